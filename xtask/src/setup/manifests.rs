//! What the tests of the manifests for Kubernetes render and check them with: packages
//! of Python, in a virtual environment of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{debian, tools::PYTHON};
use crate::{process, workspace};

/// The packages with their versions, relative to the root of the workspace.
const REQUIREMENTS: &str = "tests/manifests/requirements.txt";

/// They have some 50 MB.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(600);

/// Whether they are there.
pub(super) fn are_missing() -> bool {
    !directory().is_ok_and(|directory| is_complete(&directory))
}

/// Installs them. That they can not be had is told and no error: the tests that need
/// them say so again.
pub(super) fn provide() {
    if are_missing()
        && let Err(error) = install()
    {
        println!("  the tools for the manifests of Kubernetes could not be installed: {error:#}");
    }
}

fn directory() -> Result<PathBuf> {
    Ok(workspace::scratch()?.join("manifests"))
}

/// Filled to the end, with the packages of today's list.
fn is_complete(directory: &Path) -> bool {
    let read = |path: PathBuf| fs::read(path).ok();
    let wanted = read(workspace::root().join(REQUIREMENTS));
    wanted.is_some() && read(installed(directory)) == wanted
}

/// The list that was installed.
fn installed(directory: &Path) -> PathBuf {
    directory.join("requirements.txt")
}

fn install() -> Result<()> {
    let can_make =
        || process::succeeds(Command::new(PYTHON).args(["-c", "import ensurepip, venv"]));
    if !can_make() && debian::is_present() {
        debian::install("virtual environments of Python", &["python3-venv".into()])?;
    }
    let directory = directory()?;
    process::step("Install the tools for the manifests of Kubernetes with pip");
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("can not remove {}", directory.display()))?;
    }
    process::run(Command::new(PYTHON).args(["-m", "venv"]).arg(&directory))?;
    let list = workspace::root().join(REQUIREMENTS);
    let mut pip = Command::new(directory.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    process::run_for(pip.arg("--requirement").arg(&list), DOWNLOAD_LIMIT)?;
    fs::copy(&list, installed(&directory))
        .with_context(|| format!("can not write to {}", directory.display()))?;
    Ok(())
}
