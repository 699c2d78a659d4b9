//! Real FTP servers.

mod pyftpdlib;
mod vsftpd;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    announcement::{Announcement, announcements},
    duet::FREED,
    lab::Lab,
    process::Daemon,
    setup::Family,
    wait::wait_for,
};

/// Directory, seen by FTP clients, with files to fetch.
pub const DOWNLOADS: &str = "pub";

/// Directory, seen by FTP clients, where files may be stored.
pub const UPLOADS: &str = "upload";

/// Which FTP server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServerKind {
    /// vsftpd: connects from port 20, refuses foreign addresses with 500.
    Vsftpd,
    /// Python's pyftpdlib: connects from any port.
    Pyftpdlib,
    /// The same with Multipath TCP as control connections, if clients ask for it.
    MultipathPyftpdlib,
}

impl ServerKind {
    /// Every server with plain control connections.
    pub const ALL: [Self; 2] = [Self::Vsftpd, Self::Pyftpdlib];

    /// The name people know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vsftpd => "vsftpd",
            Self::Pyftpdlib => "pyftpdlib",
            Self::MultipathPyftpdlib => "multipath-pyftpdlib",
        }
    }

    /// Whether it is installed, seen from `lab`.
    pub fn is_installed(self, lab: &Lab) -> bool {
        match self {
            Self::Vsftpd => vsftpd::is_installed(lab),
            Self::Pyftpdlib | Self::MultipathPyftpdlib => pyftpdlib::is_installed(lab),
        }
    }
}

/// A running server; stopped when this value goes away.
#[derive(Debug)]
pub struct Server {
    /// Which one it is.
    pub kind: ServerKind,
    endpoint: SocketAddr,
    root: PathBuf,
    command_log: PathBuf,
    reply_log: PathBuf,
    daemon: Daemon,
}

impl Server {
    /// Starts a server on the lab's server host; anonymous users may fetch
    /// from [`DOWNLOADS`] and store into [`UPLOADS`].
    pub fn start(lab: &Lab, kind: ServerKind) -> Result<Self> {
        let root = lab.server_files();
        make_directories(&root)?;
        let command_log = lab.logs().join(format!("{}-commands.log", kind.name()));
        let reply_log = lab.logs().join(format!("{}-replies.log", kind.name()));
        let log = lab.logs().join(format!("{}.log", kind.name()));
        let mut command = match kind {
            ServerKind::Vsftpd => vsftpd::command(lab, &root, &command_log)?,
            ServerKind::Pyftpdlib => {
                pyftpdlib::command(lab, "tcp", &root, &command_log, &reply_log)?
            }
            ServerKind::MultipathPyftpdlib => {
                pyftpdlib::command(lab, "multipath", &root, &command_log, &reply_log)?
            }
        };
        let mut daemon = Daemon::start(&mut command, &log)?;
        let begin = Instant::now();
        wait_for(
            &format!("{} listening", kind.name()),
            Duration::from_secs(20),
            || {
                if let Some(status) = daemon.ended()? {
                    // A program that another test starts has a copy of each of our sockets
                    // until it runs: an earlier listener may be open for a moment.
                    if begin.elapsed() < FREED {
                        daemon = Daemon::start(&mut command, &log)?;
                        return Ok(None);
                    }
                    bail!("{} ended with {status}:\n{}", kind.name(), daemon.log()?);
                }
                let local: IpAddr = match lab.setup.family() {
                    Family::V4 => Ipv4Addr::LOCALHOST.into(),
                    Family::V6 => Ipv6Addr::LOCALHOST.into(),
                };
                let port = lab.setup.control_port.served;
                lab.server
                    .enter(|| Ok(TcpStream::connect((local, port)).ok()))
            },
        )?;
        Ok(Self {
            kind,
            endpoint: lab.setup.dialled(),
            root,
            command_log,
            reply_log,
            daemon,
        })
    }

    /// Where clients connect to.
    pub fn endpoint(&self) -> SocketAddr {
        self.endpoint
    }

    /// The path, on the lab's file system, of a file that clients call `remote`.
    pub fn file(&self, remote: &str) -> PathBuf {
        self.root.join(remote)
    }

    /// Every command that it has received, as it came.
    pub fn commands(&self) -> Result<Vec<String>> {
        let log = text(&self.command_log)?;
        Ok(match self.kind {
            ServerKind::Vsftpd => vsftpd::commands(&log),
            ServerKind::Pyftpdlib | ServerKind::MultipathPyftpdlib => {
                log.lines().map(str::to_owned).collect()
            }
        })
    }

    /// The announcements among the commands that it has received.
    pub fn announcements(&self) -> Result<Vec<Announcement>> {
        announcements(&self.commands()?)
    }

    /// Every line of the replies that it has sent.
    pub fn replies(&self) -> Result<Vec<String>> {
        Ok(match self.kind {
            ServerKind::Vsftpd => vsftpd::replies(&text(&self.command_log)?),
            ServerKind::Pyftpdlib | ServerKind::MultipathPyftpdlib => {
                text(&self.reply_log)?.lines().map(str::to_owned).collect()
            }
        })
    }

    /// Lets it live as long as the lab.
    pub fn leave(self) {
        self.daemon.leave();
    }
}

/// What a log holds; nothing while it does not exist.
fn text(path: &Path) -> Result<String> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("{} not readable", path.display())),
    }
}

/// The root itself stays unwritable: vsftpd refuses anonymous users otherwise.
fn make_directories(root: &Path) -> Result<()> {
    for (directory, mode) in [(DOWNLOADS, 0o755), (UPLOADS, 0o777)] {
        let path = root.join(directory);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
