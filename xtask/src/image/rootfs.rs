//! What is in the image: the agent as one static program, and the licences.

use std::{
    env,
    fs::{self, DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::metadata::ENTRYPOINT;
use crate::{process, toolchain, workspace};

/// Directories to mount things on: nobody could make them on a read-only root.
const MOUNT_POINTS: [&str; 7] = [
    "dev",
    "etc/ftp-helper",
    "proc",
    "run/ftp-helper",
    "sys",
    "tmp",
    "var/run/secrets/kubernetes.io/serviceaccount",
];

const LICENCES: [&str; 3] = ["LICENSE-APACHE", "LICENSE-GPL2", "LICENSE-MIT"];

/// Builds the agent with this profile of cargo's, and fills `directory`, which must not
/// be there yet or be empty.
pub(super) fn fill(directory: &Path, profile: &str) -> Result<()> {
    let context = || format!("can not make {}", directory.display());
    fs::create_dir_all(directory).with_context(context)?;
    ensure!(
        fs::read_dir(directory)
            .with_context(context)?
            .next()
            .is_none(),
        "{} is not empty: name a new directory",
        directory.display()
    );
    let built = build(profile)?;
    process::step(&format!("Fill {}", directory.display()));
    for place in MOUNT_POINTS {
        make(&directory.join(place))?;
    }
    let program = directory.join(ENTRYPOINT.trim_start_matches('/'));
    make(program.parent().unwrap_or(directory))?;
    process::run(Command::new("strip").arg("-o").arg(&program).arg(&built))
        .context("the binary could not be stripped; strip belongs to binutils")?;
    set_mode(&program, 0o755)?;

    let licences = directory.join("usr/share/doc/ftp-helper");
    make(&licences)?;
    for name in LICENCES {
        let to = licences.join(name);
        fs::copy(workspace::root().join(name), &to)
            .with_context(|| format!("can not copy {name} to {}", to.display()))?;
        set_mode(&to, 0o644)?;
    }
    Ok(())
}

/// Builds it without shared libraries. The target is named so that build scripts and
/// macros, which have to be loaded, are not concerned.
fn build(profile: &str) -> Result<PathBuf> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let version = process::output(rustc.args(["--version", "--verbose"]))
        .as_deref()
        .and_then(toolchain::Version::parse)
        .context("`rustc --version --verbose` does not tell its target")?;
    let target = version.host;
    share_programs(&workspace::target_dir()?, &target)?;
    process::step("Build the agent as a static program");
    let variable = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        target.to_uppercase().replace('-', "_")
    );
    let mut cargo = workspace::cargo();
    cargo
        .env(variable, "-C target-feature=+crt-static")
        // These would count instead.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .args(["build", "--locked", "--package", "ftp-helper"])
        .args(["--profile", profile, "--target", &target]);
    process::run(&mut cargo)?;
    let directory = if profile == "dev" { "debug" } else { profile };
    let built = workspace::target_dir()?.join(target).join(directory);
    Ok(built.join("ftp-helper"))
}

/// Lets the programs for the kernel be those of other builds: the agent's build script
/// puts them beside the profiles' directories, which here are one level deeper.
fn share_programs(directory: &Path, target: &str) -> Result<()> {
    let shared = directory.join("bpf");
    let link = directory.join(target).join("bpf");
    if link.exists() {
        return Ok(());
    }
    make(&shared)?;
    make(&directory.join(target))?;
    symlink("../bpf", &link).with_context(|| format!("can not make {}", link.display()))
}

fn make(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .with_context(|| format!("can not make {}", path.display()))
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("can not set the mode of {}", path.display()))
}
