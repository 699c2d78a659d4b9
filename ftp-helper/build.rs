//! Builds the TC programs; the agent embeds them from `OUT_DIR/ftp-helper`.

use std::{
    env, fs,
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain, build_ebpf};

#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

const PROGRAMS: Package<'_> = Package {
    name: "ftp-helper-ebpf",
    root_dir: concat!(env!("CARGO_MANIFEST_DIR"), "/../ftp-helper-ebpf"),
    no_default_features: false,
    features: &[],
};

fn main() {
    // Told this way the message is all that cargo prints; a failing exit code would
    // wrap it into the whole output of this script.
    if let Err(error) = build() {
        println!("cargo::error={}", format!("{error:#}").replace('\n', " "));
    }
}

fn build() -> Result<()> {
    println!("cargo::rerun-if-env-changed={}", toolchain::OVERRIDE);

    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo did not set OUT_DIR")?);
    let found = match toolchain::find(&out_dir) {
        Ok(found) => found,
        // aya-build reads the variable; a skipped build needs no toolchain.
        Err(_) if env::var_os("AYA_BUILD_SKIP").is_some() => {
            return build_ebpf([PROGRAMS], Toolchain::Nightly);
        }
        Err(_) => bail!("no BPF toolchain: run `cargo xtask setup`"),
    };

    share_target_dir(&out_dir)?;
    // SAFETY: this process has one thread: aya-build starts its first one below.
    unsafe { env::set_var("PATH", toolchain::search_path()) };
    if found.version.is_stable() {
        // Building `core` is an unstable feature. It is allowed to the compilers
        // that this script starts and to no crate of the host's own build, some of
        // which change what they compile to when they see the variable.
        // SAFETY: as above, there is no other thread.
        unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") };
    }
    // Without rustup aya-build calls the compiler on the `PATH`, whatever the name.
    let name = found.compiler.name().unwrap_or_default();
    build_ebpf([PROGRAMS], Toolchain::Custom(name))
}

/// Lets all profiles, checks and tests compile `core` and the programs once: each of
/// them has an `OUT_DIR` of its own, in which aya-build makes its target directory.
/// That becomes a link to one beside the profiles' directories; cargo locks it.
fn share_target_dir(out_dir: &Path) -> Result<()> {
    // OUT_DIR is TARGET/PROFILE/build/PACKAGE-HASH/out.
    let Some(target) = out_dir.ancestors().nth(4) else {
        return Ok(());
    };
    let shared = target.join("bpf");
    let link = out_dir.join("aya-build").join("target");
    for directory in [&shared, &out_dir.join("aya-build")] {
        fs::create_dir_all(directory)
            .with_context(|| format!("can not create {}", directory.display()))?;
    }
    match fs::read_link(&link) {
        Ok(old) if old == shared => return Ok(()),
        // The target directory was moved.
        Ok(_) => {
            fs::remove_file(&link).with_context(|| format!("can not remove {}", link.display()))?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // Not a link but a directory, which will do.
        Err(_) => return Ok(()),
    }
    symlink(&shared, &link)
        .with_context(|| format!("can not link {} to {}", link.display(), shared.display()))
}
