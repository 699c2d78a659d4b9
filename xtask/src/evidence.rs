//! The programs behind `attack`, `bench`, `chaos` and `soak`: built and run as root, with
//! the agent that they try.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::{process, workspace};

/// Builds the agent and the program `name` of the end-to-end tests; returns the command
/// that runs it in the workspace.
pub(crate) fn program(name: &str, release: bool) -> Result<Command> {
    let mut cargo = workspace::cargo();
    cargo.arg("build").args(release.then_some("--release"));
    cargo.args(["--package", "ftp-helper"]);
    cargo.args(["--package", "ftp-helper-tests"]);
    cargo.args(["--bin", "ftp-helper", "--bin", name]);
    process::run(&mut cargo)?;

    let mut program = process::as_root(workspace::artifact(release, name)?)?;
    program.env(
        "FTP_HELPER_BIN",
        workspace::artifact(release, "ftp-helper")?,
    );
    program.current_dir(workspace::root());
    Ok(program)
}

/// Passes the flags on that are given.
pub(crate) fn switches(program: &mut Command, switches: &[(&str, bool)]) {
    for (flag, is_given) in switches {
        program.args(is_given.then_some(flag));
    }
}

/// Passes the numbers on that are given.
pub(crate) fn numbers(program: &mut Command, numbers: &[(&str, Option<u64>)]) {
    for (flag, number) in numbers {
        if let Some(number) = number {
            program.args([flag, number.to_string().as_str()]);
        }
    }
}

/// Passes a file on that is given: it is meant from where we are.
pub(crate) fn file(program: &mut Command, flag: &str, path: Option<&Path>) -> Result<()> {
    if let Some(path) = path {
        let path =
            std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
        program.arg(flag).arg(path);
    }
    Ok(())
}
