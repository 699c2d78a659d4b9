//! Which toolchain builds the BPF programs: the one place that decides it.
//!
//! `ftp-helper/build.rs` includes this file by path, so that the build script and
//! xtask can not disagree; therefore it uses nothing but std.
//!
//! In this order: the toolchain that `FTP_HELPER_BPF_TOOLCHAIN` names and no other;
//! rustup's `nightly`; a rustup toolchain linked as `ftp-helper-bpf`. Without
//! rustup it is the `rustc` on the `PATH`. The first one that works is used, and
//! "works" is tried, not looked up: `bpf-linker` does not tell which LLVM it was
//! built with, so a small program is compiled and linked.

use std::{
    env,
    ffi::OsString,
    fmt, fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{self, Command},
};

/// Environment variable that names the toolchain to use.
pub(crate) const OVERRIDE: &str = "FTP_HELPER_BPF_TOOLCHAIN";
/// Rustup toolchain that is preferred when it is complete.
pub(crate) const NIGHTLY: &str = "nightly";
/// Rustup toolchain that `cargo xtask setup` links to a distribution's compiler.
pub(crate) const LINKED: &str = "ftp-helper-bpf";
/// The linker that rustc calls for BPF targets.
pub(crate) const LINKER: &str = "bpf-linker";

/// References, slices, a call and debug information: what a linker built with an
/// LLVM older than the compiler's trips over first.
const PROBE: &str = "#![no_std]
#[inline(never)]
fn reversed(from: &[u8; 64], to: &mut [u8; 64]) {
    for (to, from) in to.iter_mut().zip(from.iter().rev()) {
        *to = *from;
    }
}
#[unsafe(no_mangle)]
pub extern \"C\" fn probe(from: &[u8; 64], to: &mut [u8; 64]) -> u64 {
    reversed(from, to);
    to.iter().map(|&byte| u64::from(byte)).sum()
}
";

/// How a compiler is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Compiler {
    /// `rustup run NAME`.
    Rustup(String),
    /// The one on the `PATH`; only asked where there is no rustup.
    System,
}

impl Compiler {
    /// A command that runs `program` of this toolchain.
    pub(crate) fn command(&self, program: &str) -> Command {
        match self {
            Self::Rustup(name) => {
                let mut command = rustup();
                // To ask for a toolchain must not install it.
                command
                    .env("RUSTUP_AUTO_INSTALL", "0")
                    .args(["run", name.as_str(), program]);
                command
            }
            Self::System => Command::new(program),
        }
    }

    /// The toolchain's name for rustup.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Rustup(name) => Some(name),
            Self::System => None,
        }
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rustup(name) => write!(f, "rustup toolchain `{name}`"),
            Self::System => f.write_str("rustc on the PATH"),
        }
    }
}

/// What `rustc -vV` tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Version {
    /// For example `1.96.0` or `1.97.0-nightly`.
    pub(crate) release: String,
    /// For example `x86_64-unknown-linux-gnu`.
    pub(crate) host: String,
    /// Major version of the LLVM that wrote the bitcode.
    pub(crate) llvm: u32,
}

impl Version {
    /// Reads the output of `rustc -vV`; `None` if a line is missing, as with a
    /// compiler that has no LLVM.
    pub(crate) fn parse(output: &str) -> Option<Self> {
        let value = |key: &str| {
            output
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
                .map(str::trim)
        };
        let (major, _rest) = value("LLVM version")?.split_once('.')?;
        Some(Self {
            release: value("release")?.to_owned(),
            host: value("host")?.to_owned(),
            llvm: major.parse().ok()?,
        })
    }

    /// Whether unstable features need `RUSTC_BOOTSTRAP=1`.
    pub(crate) fn is_stable(&self) -> bool {
        !self.release.contains("nightly") && !self.release.contains("dev")
    }
}

/// A toolchain that builds BPF programs.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    /// How it is called.
    pub(crate) compiler: Compiler,
    /// Its version.
    pub(crate) version: Version,
    /// The linker that goes with it.
    pub(crate) linker: PathBuf,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (rustc {}, LLVM {}) with {}",
            self.compiler,
            self.version.release,
            self.version.llvm,
            self.linker.display()
        )
    }
}

/// Why a toolchain can not be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Unusable {
    /// The compiler does not run.
    NotInstalled,
    /// The compiler does not say which LLVM it has.
    NoLlvm,
    /// `core` has to be compiled for BPF and its source is not there.
    NoRustSrc,
    /// There is no `bpf-linker`.
    NoLinker {
        /// The compiler's LLVM.
        llvm: u32,
    },
    /// The linker can not read what the compiler writes.
    LinkerDiffers {
        /// The compiler's LLVM.
        llvm: u32,
        /// Where the linker is.
        linker: PathBuf,
        /// The first line of its complaint.
        message: String,
    },
    /// The trial could not be made.
    Trial(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled => f.write_str("is not installed"),
            Self::NoLlvm => f.write_str("does not tell its LLVM version"),
            Self::NoRustSrc => f.write_str("has no source of `core` (component rust-src)"),
            Self::NoLinker { llvm } => write!(f, "has no {LINKER} (for LLVM {llvm})"),
            Self::LinkerDiffers {
                llvm,
                linker,
                message,
            } => write!(
                f,
                "writes LLVM {llvm} bitcode that {} does not link: {message}",
                linker.display()
            ),
            Self::Trial(message) => write!(f, "could not be tried: {message}"),
        }
    }
}

/// The toolchains that come into question, in order.
pub(crate) fn candidates() -> Vec<Compiler> {
    match env::var(OVERRIDE) {
        Ok(name) if !name.is_empty() => vec![Compiler::Rustup(name)],
        _ if program("rustup").is_some() => [NIGHTLY, LINKED]
            .map(|name| Compiler::Rustup(name.to_owned()))
            .into(),
        _ => vec![Compiler::System],
    }
}

/// The first candidate that works, or why none does. The trial's files are made in
/// `scratch` and removed again.
pub(crate) fn find(scratch: &Path) -> Result<Toolchain, Vec<(Compiler, Unusable)>> {
    let mut reasons = Vec::new();
    for compiler in candidates() {
        match examine(&compiler, scratch) {
            Ok(toolchain) => return Ok(toolchain),
            Err(reason) => reasons.push((compiler, reason)),
        }
    }
    Err(reasons)
}

/// Tries one toolchain.
pub(crate) fn examine(compiler: &Compiler, scratch: &Path) -> Result<Toolchain, Unusable> {
    let version = version(compiler)?;
    if !has_rust_src(compiler) {
        return Err(Unusable::NoRustSrc);
    }
    let llvm = version.llvm;
    let linker = program(LINKER).ok_or(Unusable::NoLinker { llvm })?;
    match link_probe(compiler, &linker, scratch) {
        Ok(Ok(())) => Ok(Toolchain {
            compiler: compiler.clone(),
            version,
            linker,
        }),
        Ok(Err(message)) => Err(Unusable::LinkerDiffers {
            llvm,
            linker,
            message,
        }),
        Err(error) => Err(Unusable::Trial(error.to_string())),
    }
}

/// Asks a compiler for its version.
pub(crate) fn version(compiler: &Compiler) -> Result<Version, Unusable> {
    let output = succeeds(compiler.command("rustc").arg("-vV")).ok_or(Unusable::NotInstalled)?;
    Version::parse(&output).ok_or(Unusable::NoLlvm)
}

/// The `PATH` under which programs are looked up here and the BPF build is to run:
/// `cargo install` puts the linker into a directory that need not be on it.
pub(crate) fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(cargo_bin());
    // Only a directory with a colon in its name can not be joined, and such a one
    // does not come out of `split_paths`.
    env::join_paths(directories).unwrap_or(path)
}

/// Looks a program up on [`search_path`].
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path())
        .map(|directory| directory.join(name))
        .find(|path| is_executable(path))
}

/// Calls rustup, found as [`program`] finds it.
pub(crate) fn rustup() -> Command {
    Command::new(program("rustup").unwrap_or_else(|| "rustup".into()))
}

/// Whether `path` is a file that can be run.
pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

fn cargo_bin() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    home.map(|home| home.join("bin"))
}

fn has_rust_src(compiler: &Compiler) -> bool {
    succeeds(compiler.command("rustc").args(["--print", "sysroot"])).is_some_and(|sysroot| {
        Path::new(sysroot.trim())
            .join("lib/rustlib/src/rust/library/core/src/lib.rs")
            .is_file()
    })
}

/// Compiles the probe to bitcode and links it for BPF. The bitcode is the host's,
/// because `core` for BPF takes a minute to build: what counts is whether one LLVM
/// reads what the other one writes. The inner error is the linker's message.
fn link_probe(
    compiler: &Compiler,
    linker: &Path,
    scratch: &Path,
) -> io::Result<Result<(), String>> {
    let directory = scratch.join(format!("bpf-probe-{}", process::id()));
    fs::create_dir_all(&directory)?;
    let outcome = link_probe_in(compiler, linker, &directory);
    fs::remove_dir_all(&directory)?;
    outcome
}

fn link_probe_in(
    compiler: &Compiler,
    linker: &Path,
    directory: &Path,
) -> io::Result<Result<(), String>> {
    let source = directory.join("probe.rs");
    let bitcode = directory.join("probe.bc");
    let object = directory.join("probe.o");
    fs::write(&source, PROBE)?;

    let compilation = compiler
        .command("rustc")
        .args(["--edition=2024", "--crate-type=lib", "--emit=llvm-bc"])
        .args(["-Copt-level=2", "-Cdebuginfo=2", "-Ccodegen-units=1", "-o"])
        .args([&bitcode, &source])
        .output()?;
    if !compilation.status.success() {
        return Err(io::Error::other(first_line(&compilation.stderr)));
    }
    let linking = Command::new(linker)
        .args(["--target=bpfel", "--btf", "--export=probe", "-o"])
        .args([&object, &bitcode])
        .output()?;
    Ok(if linking.status.success() {
        Ok(())
    } else {
        Err(first_line(&linking.stderr))
    })
}

fn first_line(output: &[u8]) -> String {
    String::from_utf8_lossy(output)
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no message")
        .to_owned()
}

/// The standard output of a command that ends well.
fn succeeds(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)
binary: rustc
commit-hash: ac68faa20c58cbccd01ee7208bf3b6e93a7d7f96
commit-date: 2026-05-25
host: x86_64-unknown-linux-gnu
release: 1.96.0
LLVM version: 22.1.8
";

    #[test]
    fn reads_the_version_of_a_distribution_compiler() {
        let version = Version::parse(DEBIAN).unwrap();
        assert_eq!(version.llvm, 22);
        assert_eq!(version.release, "1.96.0");
        assert_eq!(version.host, "x86_64-unknown-linux-gnu");
        assert!(version.is_stable());
    }

    #[test]
    fn nightly_needs_no_bootstrap() {
        let output = DEBIAN.replace("release: 1.96.0", "release: 1.97.0-nightly");
        assert!(!Version::parse(&output).unwrap().is_stable());
    }

    #[test]
    fn a_compiler_without_llvm_is_not_a_version() {
        let output = DEBIAN.replace("LLVM version", "Cranelift version");
        assert_eq!(Version::parse(&output), None);
        assert_eq!(Version::parse(""), None);
        let output = DEBIAN.replace("22.1.8", "unknown");
        assert_eq!(Version::parse(&output), None);
    }

    #[test]
    fn a_directory_is_not_a_program() {
        assert!(!is_executable(Path::new("/")));
        assert!(!is_executable(Path::new("/does/not/exist")));
        assert!(is_executable(Path::new("/bin/sh")));
    }

    #[test]
    fn the_first_line_of_a_message_is_not_an_empty_one() {
        assert_eq!(
            first_line(b"\n  \nerror: no bitcode\nnote"),
            "error: no bitcode"
        );
        assert_eq!(first_line(b""), "no message");
    }
}
