//! `cargo xtask test`: everything that continuous integration runs.

mod stages;

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use self::stages::{Outcome, Stages};
use crate::{dist, fuzz, image, process, setup, toolchain::Toolchain, vm, workspace};

/// The package whose tests make network namespaces and load programs, as root.
const ROOT_TESTS: &str = "ftp-helper-tests";

/// So many scenarios run side by side.
const ROOT_TEST_THREADS: &str = "2";

/// What a stage does.
type Stage = fn() -> Result<Outcome>;

/// Check the format, lint, and run all tests.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only run the tests whose names contain this, and no other checks
    filter: Option<String>,
    /// Leave the end-to-end tests out, the ones that need root
    #[arg(long)]
    skip_e2e: bool,
}

/// Runs the command: stops at the first stage that fails, and sums up in any case.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut stages = Stages::new();
    let outcome = run_stages(options, &mut stages);
    stages.print_summary();
    outcome
}

fn run_stages(options: &Options, stages: &mut Stages) -> Result<()> {
    let filter = options.filter.as_deref();
    let mut toolchain = None;
    stages.run("setup", || {
        toolchain = Some(setup::everything()?);
        Ok(Outcome::Passed)
    })?;
    let Some(toolchain) = toolchain else {
        bail!("setup told no toolchain");
    };

    if filter.is_none() {
        stages.run("format", check_format)?;
        stages.run("clippy", clippy)?;
        stages.run("clippy for BPF", || clippy_bpf(&toolchain))?;
        stages.run("cargo deny", cargo_deny)?;
    } else {
        for name in ["format", "clippy", "clippy for BPF", "cargo deny"] {
            stages.run(name, || Ok(Outcome::skipped("a test filter is given")))?;
        }
    }
    stages.run("unit tests", || unit_tests(filter, options.skip_e2e))?;
    stages.run("fuzz", || {
        if filter.is_some() {
            return Ok(Outcome::skipped("a test filter is given"));
        }
        fuzz::sample()?;
        Ok(Outcome::Passed)
    })?;
    stages.run("end-to-end tests", || {
        if options.skip_e2e {
            return Ok(Outcome::skipped("--skip-e2e is given"));
        }
        root_tests(filter)
    })?;
    let last = [
        ("packaging", packaging as Stage),
        ("image", image),
        ("other kernels", other_kernels),
    ];
    for (name, stage) in last {
        stages.run(name, || {
            if filter.is_some() {
                return Ok(Outcome::skipped("a test filter is given"));
            }
            if options.skip_e2e {
                return Ok(Outcome::skipped("--skip-e2e is given"));
            }
            stage()
        })?;
    }
    Ok(())
}

fn check_format() -> Result<Outcome> {
    if !setup::host_has("fmt") {
        return absent("this toolchain has no rustfmt: `rustup component add rustfmt`");
    }
    process::run(workspace::cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

fn clippy() -> Result<Outcome> {
    if !setup::host_has("clippy") {
        return absent("this toolchain has no clippy: `rustup component add clippy`");
    }
    let mut cargo = workspace::cargo();
    cargo.arg("clippy").args(workspace::HOST_PACKAGES);
    process::run(cargo.args(["--all-targets", "--", "-D", "warnings"]))?;
    Ok(Outcome::Passed)
}

/// Lints the programs for the target that they run on, as the build compiles them.
fn clippy_bpf(toolchain: &Toolchain) -> Result<Outcome> {
    if !setup::bpf_has_clippy(toolchain) {
        return absent(&format!("{} has no clippy", toolchain.compiler));
    }
    let arch = toolchain.version.host.split('-').next().unwrap_or_default();
    let mut cargo = toolchain.compiler.command("cargo");
    cargo
        .current_dir(workspace::root())
        .env("PATH", crate::toolchain::search_path())
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!("--cfg=bpf_target_arch=\"{arch}\""),
        )
        .args(["clippy", "--package", "ftp-helper-ebpf", "--release"])
        // Where the build script builds them; the macros need no second build.
        .arg("--target-dir")
        .arg(workspace::target_dir()?.join("bpf/ftp-helper-ebpf"))
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core"])
        .args(["--", "-D", "warnings"]);
    if toolchain.version.is_stable() {
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
    process::run(&mut cargo)?;
    Ok(Outcome::Passed)
}

/// Without the advisories: they are fetched, and change without a change here.
fn cargo_deny() -> Result<Outcome> {
    if let Err(error) = setup::cargo_deny() {
        return absent(&format!("{error:#}"));
    }
    process::run(workspace::cargo().args(["deny", "check", "bans", "licenses", "sources"]))?;
    Ok(Outcome::Passed)
}

/// Some of them load the programs, and leave that out where they are not run as root.
fn unit_tests(filter: Option<&str>, without_root: bool) -> Result<Outcome> {
    let root = if without_root { None } else { root_cargo() };
    let mut cargo = root.unwrap_or_else(workspace::cargo);
    cargo.arg("test").args(workspace::HOST_PACKAGES);
    process::run(cargo.args(["--exclude", ROOT_TESTS]).args(filter))?;
    Ok(Outcome::Passed)
}

fn root_tests(filter: Option<&str>) -> Result<Outcome> {
    let Some(mut cargo) = root_cargo() else {
        return absent(NO_ROOT);
    };
    process::run(workspace::cargo().args(["build", "--package", "ftp-helper"]))?;
    cargo
        .env("FTP_HELPER_BIN", workspace::artifact(false, "ftp-helper")?)
        .args(["test", "--no-fail-fast", "--package", ROOT_TESTS])
        .args(filter)
        .args(["--", "--test-threads", ROOT_TEST_THREADS]);
    process::run(&mut cargo)?;
    Ok(Outcome::Passed)
}

const NO_ROOT: &str = "they need root: run as root or install sudo";

/// A cargo whose tests run as root.
fn root_cargo() -> Option<Command> {
    let mut cargo = workspace::cargo();
    if !process::is_root() {
        process::find("sudo")?;
        cargo.args(["--config", r#"target."cfg(all())".runner = ["sudo", "-E"]"#]);
    }
    Some(cargo)
}

/// Makes the packages, of the debug build, and installs, uses and removes the Debian one.
fn packaging() -> Result<Outcome> {
    if process::find("dpkg").is_none() {
        return absent("there is no dpkg to install a package with");
    }
    let Some(mut cargo) = root_cargo() else {
        return absent(NO_ROOT);
    };
    let products = dist::make(dist::Options::TEST)?;
    let package = products.deb.context("no Debian package was made")?;
    lint_package(&package)?;
    cargo
        .env("FTP_HELPER_PACKAGE", package)
        .args(["test", "--package", ROOT_TESTS, "--test", "packaging"])
        .args(["--", "--test-threads", ROOT_TEST_THREADS]);
    process::run(&mut cargo)?;
    Ok(Outcome::Passed)
}

/// Fills a directory with what is in the container image, of a debug build, and runs
/// that as Kubernetes would.
fn image() -> Result<Outcome> {
    let Some(mut cargo) = root_cargo() else {
        return absent(NO_ROOT);
    };
    let rootfs = image::for_tests()?;
    cargo
        .env("FTP_HELPER_ROOTFS", rootfs)
        .args(["test", "--package", ROOT_TESTS, "--test", "image"])
        .args(["--", "--test-threads", ROOT_TEST_THREADS]);
    process::run(&mut cargo)?;
    Ok(Outcome::Passed)
}

fn lint_package(package: &Path) -> Result<()> {
    if process::find("lintian").is_none() {
        println!("  not looked at by lintian, which is not installed");
        return Ok(());
    }
    let mut lintian = Command::new("lintian");
    if process::is_root() {
        lintian.arg("--allow-root");
    }
    lintian.args(["--fail-on", "error,warning"]).arg(package);
    process::run(&mut lintian)
}

/// A few end-to-end tests under packaged kernels; `cargo xtask vm-test` runs more.
fn other_kernels() -> Result<Outcome> {
    if let Some(obstacle) = vm::obstacle() {
        return absent(&obstacle);
    }
    if vm::sample()? {
        Ok(Outcome::Passed)
    } else {
        absent("the packages of this machine have none of these kernels")
    }
}

/// A check can not be made: left out at a developer's desk, an error where nobody
/// would read that it was.
fn absent(why: &str) -> Result<Outcome> {
    if process::in_ci() {
        bail!("{why} (with CI set, nothing is left out)");
    }
    Ok(Outcome::skipped(why))
}
