//! Where the workspace and what it builds are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

/// The packages that are built for the host. The programs' own package only builds
/// for a BPF target.
pub(crate) const HOST_PACKAGES: [&str; 3] = ["--workspace", "--exclude", "ftp-helper-ebpf"];

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// The cargo that runs this program, at work in the workspace.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// A file that cargo builds, `target/PROFILE/NAME`, wherever cargo is configured to
/// have its target directory: this program is in it as well.
pub(crate) fn artifact(release: bool, name: &str) -> Result<PathBuf> {
    let profile = if release { "release" } else { "debug" };
    Ok(target_dir()?.join(profile).join(name))
}

/// A directory for files of xtask's own, made if it is not there.
pub(crate) fn scratch() -> Result<PathBuf> {
    let directory = target_dir()?.join("xtask");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("can not create {}", directory.display()))?;
    Ok(directory)
}

/// Where cargo builds, see [`artifact`].
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("can not tell where xtask itself is")?;
    program
        .ancestors()
        .nth(2)
        .map(Path::to_owned)
        .with_context(|| format!("{} is not in a target directory", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_has_the_workspace_manifest() {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace]"), "{manifest}");
    }
}
