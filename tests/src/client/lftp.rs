//! lftp, driven by a script on its command line.

use std::{fmt::Write as _, process::Command};

use super::{Call, Mode, Step, marked};
use crate::process::Output;

pub(super) fn command(call: &Call<'_>) -> Command {
    let mut command = call.host.command("lftp");
    command.args(["--norc", "-c", &script(call)]);
    command
}

fn script(call: &Call<'_>) -> String {
    let Call {
        server,
        mode,
        steps,
        patience,
        ..
    } = *call;
    let passive = match mode {
        Mode::Active | Mode::ExtendedActive => "off",
        Mode::Passive | Mode::ExtendedPassive => "on",
    };
    let extended = if mode.is_extended() { "yes" } else { "no" };
    // No second try and no other mode by itself: a failure has to show.
    let mut script = format!(
        "set cmd:fail-exit yes; \
         set ftp:passive-mode {passive}; set ftp:auto-passive-mode no; \
         set ftp:prefer-epsv {extended}; set ftp:ssl-allow no; \
         set net:timeout {patience}; set net:max-retries 1; set net:reconnect-interval-base 1; \
         set xfer:clobber yes; set xfer:log no; \
         debug 5; open -u anonymous,lab@example.net ftp://{server}"
    );
    for step in steps {
        // Writing to a `String` can not fail.
        let _ = match step {
            Step::List { remote, local } => write!(script, "; ls {remote} > {}", local.display()),
            Step::Download { remote, local } => {
                write!(script, "; get {remote} -o {}", local.display())
            }
            Step::Upload { local, remote } => {
                write!(script, "; put {} -o {remote}", local.display())
            }
        };
    }
    script
}

/// Commands and replies: `debug` writes `---> COMMAND` and `<--- REPLY`.
pub(super) fn dialogue(output: &Output) -> (Vec<String>, Vec<String>) {
    let text = &output.stderr;
    (marked(text, "---> ", ""), marked(text, "<--- ", ""))
}
