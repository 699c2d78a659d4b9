//! Python's ftplib, driven by a script of ours.

use std::{fs, path::Path, process::Command};

use anyhow::Result;

use super::{Call, Mode, Step, marked};
use crate::{lab::FILES, process::Output, python::interpreter};

const SCRIPT: &str = include_str!("../../clients/ftplib_client.py");

/// `protocol` is the script's word for what the control connection is.
pub(super) fn command(call: &Call<'_>, protocol: &str) -> Result<Command> {
    let Call { host, server, .. } = *call;
    let script = Path::new(FILES).join("ftplib_client.py");
    fs::write(&script, SCRIPT)?;
    let mut command = host.command(interpreter(host, "ftplib")?);
    command.arg(script).arg(protocol);
    command.arg(match call.mode {
        Mode::Active | Mode::ExtendedActive => "active",
        Mode::Passive | Mode::ExtendedPassive => "passive",
    });
    command.arg(server.ip().to_string());
    command.arg(server.port().to_string());
    command.arg(call.patience.to_string());
    for step in call.steps {
        match step {
            Step::List { remote, local } => command.args(["list", remote]).arg(local),
            Step::Download { remote, local } => command.args(["download", remote]).arg(local),
            Step::Upload { local, remote } => command.arg("upload").arg(local).arg(remote),
        };
    }
    Ok(command)
}

/// Commands and replies: `set_debuglevel(1)` writes `*cmd* 'COMMAND'` and `*resp* 'REPLY'`.
pub(super) fn dialogue(output: &Output) -> (Vec<String>, Vec<String>) {
    let text = &output.stdout;
    (marked(text, "*cmd* '", "'"), marked(text, "*resp* '", "'"))
}
