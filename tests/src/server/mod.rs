//! Real FTP servers.

mod pyftpdlib;
mod vsftpd;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    announcement::{Announcement, announcements},
    lab::Lab,
    process::Daemon,
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
}

impl ServerKind {
    /// Every server.
    pub const ALL: [Self; 2] = [Self::Vsftpd, Self::Pyftpdlib];

    /// The name people know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vsftpd => "vsftpd",
            Self::Pyftpdlib => "pyftpdlib",
        }
    }

    /// Whether it is installed, seen from `lab`.
    pub fn is_installed(self, lab: &Lab) -> bool {
        match self {
            Self::Vsftpd => vsftpd::is_installed(lab),
            Self::Pyftpdlib => pyftpdlib::is_installed(lab),
        }
    }
}

/// A running server; stopped when this value goes away.
#[derive(Debug)]
pub struct Server {
    /// Which one it is.
    pub kind: ServerKind,
    /// Its address.
    pub address: Ipv4Addr,
    root: PathBuf,
    command_log: PathBuf,
    daemon: Daemon,
}

impl Server {
    /// Starts a server on the lab's outside host; anonymous users may fetch
    /// from [`DOWNLOADS`] and store into [`UPLOADS`].
    pub fn start(lab: &Lab, kind: ServerKind) -> Result<Self> {
        let root = lab.server_files();
        make_directories(&root)?;
        let command_log = lab.logs().join(format!("{}-commands.log", kind.name()));
        let log = lab.logs().join(format!("{}.log", kind.name()));
        let mut command = match kind {
            ServerKind::Vsftpd => vsftpd::command(lab, &root, &command_log)?,
            ServerKind::Pyftpdlib => pyftpdlib::command(lab, &root, &command_log)?,
        };
        let mut daemon = Daemon::start(&mut command, &log)?;
        wait_for(
            &format!("{} listening", kind.name()),
            Duration::from_secs(20),
            || {
                if let Some(status) = daemon.ended()? {
                    bail!("{} ended with {status}:\n{}", kind.name(), daemon.log()?);
                }
                lab.server
                    .enter(|| Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, 21)).ok()))
            },
        )?;
        Ok(Self {
            kind,
            address: lab.setup.addresses.server,
            root,
            command_log,
            daemon,
        })
    }

    /// Where clients connect to.
    pub fn endpoint(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, 21)
    }

    /// The path, on the lab's file system, of a file that clients call `remote`.
    pub fn file(&self, remote: &str) -> PathBuf {
        self.root.join(remote)
    }

    /// Every command that it has received, as it came.
    pub fn commands(&self) -> Result<Vec<String>> {
        let log = self.log()?;
        Ok(match self.kind {
            ServerKind::Vsftpd => vsftpd::commands(&log),
            ServerKind::Pyftpdlib => log.lines().map(str::to_owned).collect(),
        })
    }

    /// The announcements among the commands that it has received.
    pub fn announcements(&self) -> Result<Vec<Announcement>> {
        announcements(&self.commands()?)
    }

    /// Every reply that it has sent; only vsftpd writes them down.
    pub fn replies(&self) -> Result<Vec<String>> {
        match self.kind {
            ServerKind::Vsftpd => Ok(vsftpd::replies(&self.log()?)),
            ServerKind::Pyftpdlib => bail!("pyftpdlib's replies are not recorded"),
        }
    }

    /// Lets it live as long as the lab.
    pub fn leave(self) {
        self.daemon.leave();
    }

    fn log(&self) -> Result<String> {
        match fs::read(&self.command_log) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => {
                Err(error).with_context(|| format!("{} not readable", self.command_log.display()))
            }
        }
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
