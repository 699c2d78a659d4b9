//! curl; several URLs in one call share a control connection.

use std::process::Command;

use super::{Call, Mode, Step, marked};
use crate::process::Output;

pub(super) fn command(call: &Call<'_>) -> Command {
    let (server, patience) = (call.server, call.patience.to_string());
    // curl has no limit for a step in which nothing moves.
    let whole = (call.patience * 5).to_string();
    let mut command = call.host.command("curl");
    // The first error ends the run and is the exit code.
    command.arg("--fail-early");
    for (index, step) in call.steps.iter().enumerate() {
        if index > 0 {
            command.arg("--next");
        }
        command.args([
            "-q",
            "-v",
            "-sS",
            "-g",
            "--connect-timeout",
            &patience,
            "--max-time",
            &whole,
        ]);
        match call.mode {
            Mode::Active => command.args(["--ftp-port", "-", "--disable-eprt"]),
            Mode::ExtendedActive => command.args(["--ftp-port", "-", "--eprt"]),
            Mode::Passive => command.args(["--ftp-pasv", "--disable-epsv"]),
            Mode::ExtendedPassive => command.args(["--ftp-pasv", "--epsv"]),
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
