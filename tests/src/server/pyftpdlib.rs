//! pyftpdlib, with a handler that writes down what it receives.

use std::{fs, path::Path, process::Command};

use anyhow::Result;

use crate::{
    lab::{FILES, Lab},
    python::interpreter,
};

const SCRIPT: &str = include_str!("../../servers/pyftpdlib_server.py");

pub(super) fn is_installed(lab: &Lab) -> bool {
    interpreter(&lab.server, "pyftpdlib").is_ok()
}

pub(super) fn command(lab: &Lab, root: &Path, command_log: &Path) -> Result<Command> {
    let python = interpreter(&lab.server, "pyftpdlib")?;
    let script = Path::new(FILES).join("pyftpdlib_server.py");
    fs::write(&script, SCRIPT)?;
    let mut command = lab.server.command(python);
    command.arg(script).arg(root).arg(command_log);
    Ok(command)
}
