//! The Debian package. What is in it stands in the agent's manifest, under
//! `package.metadata.deb`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{
    VERSION,
    epoch::{Epoch, VARIABLE},
};
use crate::{process, workspace};

/// Of the package, where the version of the source stays the same.
pub(super) const REVISION: &str = "1";

/// Makes it from what is built and staged.
pub(super) fn make(directory: &Path, epoch: Epoch) -> Result<PathBuf> {
    let arch = process::output(std::process::Command::new("dpkg").arg("--print-architecture"))
        .context("dpkg does not tell its architecture")?;
    let path = directory.join(format!(
        "ftp-helper_{VERSION}-{REVISION}_{}.deb",
        arch.trim()
    ));
    let mut cargo = workspace::cargo();
    cargo
        .env(VARIABLE, epoch.0.to_string())
        .args(["deb", "--package", "ftp-helper", "--locked"])
        .args(["--deb-revision", REVISION])
        // Built and stripped already.
        .args(["--no-build", "--no-strip", "--no-dbgsym"])
        .arg("--output")
        .arg(&path);
    process::run(&mut cargo)?;
    Ok(path)
}
