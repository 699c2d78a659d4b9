//! curl; several URLs in one call share a control connection.

use std::{net::Ipv4Addr, process::Command};

use super::{Mode, Step, marked};
use crate::{host::Host, process::Output};

pub(super) fn command(host: &Host, server: Ipv4Addr, mode: Mode, steps: &[Step]) -> Command {
    let mut command = host.command("curl");
    // The first error ends the run and is the exit code.
    command.arg("--fail-early");
    for (index, step) in steps.iter().enumerate() {
        if index > 0 {
            command.arg("--next");
        }
        command.args([
            "-q",
            "-v",
            "-sS",
            "--connect-timeout",
            "20",
            "--max-time",
            "100",
        ]);
        match mode {
            Mode::Active => command.args(["--ftp-port", "-", "--disable-eprt"]),
            Mode::Passive => command.arg("--ftp-pasv"),
        };
        match step {
            Step::List { remote, local } => {
                command
                    .arg("-o")
                    .arg(local)
                    .arg(format!("ftp://{server}/{remote}/"));
            }
            Step::Download { remote, local } => {
                command
                    .arg("-o")
                    .arg(local)
                    .arg(format!("ftp://{server}/{remote}"));
            }
            Step::Upload { local, remote } => {
                command
                    .arg("-T")
                    .arg(local)
                    .arg(format!("ftp://{server}/{remote}"));
            }
        }
    }
    command
}

/// Commands and replies: `-v` writes `> COMMAND` and `< REPLY`.
pub(super) fn dialogue(output: &Output) -> (Vec<String>, Vec<String>) {
    let text = &output.stderr;
    (marked(text, "> ", ""), marked(text, "< ", ""))
}
