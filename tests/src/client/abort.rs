//! Clients that change their mind during a transfer.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::Result;

use super::{Transcript, ftplib, lftp};
use crate::{
    host::Host,
    lab::FILES,
    process::{Output, run},
    python::interpreter,
};

const SCRIPT: &str = include_str!("../../clients/ftplib_abort.py");

/// Longest time for all of it.
const LIMIT: Duration = Duration::from_secs(60);

/// What to fetch in active mode over one control connection, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// A file whose transfer is begun and aborted.
    pub large: &'a str,
    /// A file that is fetched before and after that.
    pub small: &'a str,
    /// Where it arrives before.
    pub before: &'a Path,
    /// Where it arrives after.
    pub after: &'a Path,
}

/// Python's ftplib: `ABOR` as urgent data, without the signals of Telnet.
pub fn with_ftplib(host: &Host, server: SocketAddr, files: Files<'_>) -> Result<Transcript> {
    let script = Path::new(FILES).join("ftplib_abort.py");
    fs::write(&script, SCRIPT)?;
    let mut command = host.command(interpreter(host, "ftplib")?);
    command
        .arg(script)
        .args([server.ip().to_string(), server.port().to_string()])
        .args(["20", files.large, files.small])
        .args([files.before, files.after]);
    Ok(transcript(run(&mut command, LIMIT)?, ftplib::dialogue))
}

/// lftp: Telnet's interrupt and synch, the first byte of which is urgent, and
/// `ABOR`.
pub fn with_lftp(host: &Host, server: SocketAddr, files: Files<'_>) -> Result<Transcript> {
    let Files {
        large,
        small,
        before,
        after,
    } = files;
    let (before, after) = (before.display(), after.display());
    let script = format!(
        "set ftp:passive-mode off; set ftp:auto-passive-mode no; set ftp:prefer-epsv no; \
         set ftp:ssl-allow no; set net:timeout 20; set net:max-retries 1; \
         set ftp:use-abor yes; set xfer:log no; set xfer:clobber yes; set xfer:make-backup no; \
         set net:limit-rate 200000; set net:connection-limit 1; debug 5; \
         open -u anonymous,lab@example.net ftp://{server}; get {small} -o {before}; \
         get {large} -o {FILES}/partial & sleep 1; kill 0; \
         get {small} -o {after}"
    );
    let mut command = host.command("lftp");
    command.args(["--norc", "-c", &script]);
    Ok(transcript(run(&mut command, LIMIT)?, lftp::dialogue))
}

fn transcript(
    output: Output,
    dialogue: impl Fn(&Output) -> (Vec<String>, Vec<String>),
) -> Transcript {
    let (sent, received) = dialogue(&output);
    Transcript {
        output,
        sent,
        received,
    }
}
