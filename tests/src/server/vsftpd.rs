//! vsftpd, run for anonymous users only.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    lab::{FILES, Lab},
    setup::Family,
};

/// Where distributions put it; `/usr/sbin` is not in everybody's path.
const PROGRAMS: [&str; 2] = ["/usr/sbin/vsftpd", "/usr/bin/vsftpd"];

fn program() -> Option<&'static str> {
    PROGRAMS.into_iter().find(|path| Path::new(path).exists())
}

pub(super) fn is_installed(_lab: &Lab) -> bool {
    program().is_some()
}

pub(super) fn command(lab: &Lab, root: &Path, command_log: &Path) -> Result<Command> {
    let program = program().context("vsftpd is not installed (Debian: apt-get install vsftpd)")?;
    let empty = Path::new(FILES).join("empty");
    fs::create_dir_all(&empty)?;
    let configuration = Path::new(FILES).join("vsftpd.conf");
    fs::write(&configuration, settings(lab, root, &empty, command_log))
        .with_context(|| format!("{} not written", configuration.display()))?;
    let mut command = lab.server.command(program);
    command.arg(configuration);
    Ok(command)
}

fn settings(lab: &Lab, root: &Path, empty: &Path, command_log: &Path) -> String {
    // seccomp_sandbox: the filter of 3.0.3 kills sessions with newer C
    // libraries. isolate*: a session's own namespaces cost more time than a
    // small transfer and change nothing on the wire. async_abor_enable: an abort
    // is heard during a transfer.
    format!(
        "listen={}
listen_ipv6={}
listen_port={}
background=NO
anonymous_enable=YES
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
anon_root={}
nopriv_user=nobody
secure_chroot_dir={}
connect_from_port_20=YES
async_abor_enable=YES
xferlog_enable=YES
xferlog_std_format=NO
vsftpd_log_file={}
log_ftp_protocol=YES
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
",
        yes(lab.setup.family() == Family::V4),
        yes(lab.setup.family() == Family::V6),
        lab.setup.control_port.served,
        root.display(),
        empty.display(),
        command_log.display()
    )
}

fn yes(on: bool) -> &'static str {
    if on { "YES" } else { "NO" }
}

/// The commands in a log made with `log_ftp_protocol`.
pub(super) fn commands(log: &str) -> Vec<String> {
    quoted(log, " FTP command: Client \"")
}

/// The replies in a log made with `log_ftp_protocol`.
pub(super) fn replies(log: &str) -> Vec<String> {
    quoted(log, " FTP response: Client \"")
}

/// The last quoted text of each line with this `mark`:
/// `... FTP command: Client "203.0.113.1", "PORT 203,0,113,1,4,1"`.
fn quoted(log: &str, mark: &str) -> Vec<String> {
    log.lines()
        .filter_map(|line| {
            line.split_once(mark)?
                .1
                .split_once("\", \"")?
                .1
                .strip_suffix('"')
        })
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
Sat Nov 21 07:40:00 2026 [pid 2] CONNECT: Client \"203.0.113.1\"
Sat Nov 21 07:40:00 2026 [pid 2] FTP response: Client \"203.0.113.1\", \"220 (vsFTPd 3.0.3)\"
Sat Nov 21 07:40:00 2026 [pid 2] FTP command: Client \"203.0.113.1\", \"USER anonymous\"
Sat Nov 21 07:40:00 2026 [pid 1] [ftp] OK LOGIN: Client \"203.0.113.1\", anon password \"?\"
Sat Nov 21 07:40:00 2026 [pid 3] [ftp] FTP command: Client \"203.0.113.1\", \"PORT 10,0,0,2,4,1\"
";

    #[test]
    fn commands_and_replies_are_told_apart() {
        assert_eq!(commands(LOG), ["USER anonymous", "PORT 10,0,0,2,4,1"]);
        assert_eq!(replies(LOG), ["220 (vsFTPd 3.0.3)"]);
    }
}
