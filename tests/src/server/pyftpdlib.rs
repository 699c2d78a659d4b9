//! pyftpdlib, with a handler that writes down what it receives.

use std::{fs, path::Path, process::Command};

use anyhow::Result;

use crate::{
    lab::{FILES, Lab},
    python::interpreter,
    setup::Family,
};

const SCRIPT: &str = include_str!("../../servers/pyftpdlib_server.py");

pub(super) fn is_installed(lab: &Lab) -> bool {
    interpreter(&lab.server, "pyftpdlib").is_ok()
}

/// `protocol` is the script's word for what control connections are.
pub(super) fn command(
    lab: &Lab,
    protocol: &str,
    root: &Path,
    command_log: &Path,
    reply_log: &Path,
) -> Result<Command> {
    let python = interpreter(&lab.server, "pyftpdlib")?;
    let script = Path::new(FILES).join("pyftpdlib_server.py");
    fs::write(&script, SCRIPT)?;
    let mut command = lab.server.command(python);
    let port = lab.setup.control_port.served.to_string();
    // Every IPv4 address, or every IPv6 address.
    let address = match lab.setup.family() {
        Family::V4 => "0.0.0.0",
        Family::V6 => "::",
    };
    command.arg(script);
    command.args([protocol, address, &port]).arg(root);
    command.arg(command_log).arg(reply_log);
    Ok(command)
}
