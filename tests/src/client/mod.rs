//! Real FTP clients.

pub mod abort;
mod curl;
mod ftplib;
mod lftp;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Result;

use crate::{
    announcement::{Announcement, announcements},
    host::Host,
    process::{Output, run},
    wait::patient,
};

/// Longest time for one control connection with all its transfers.
const LIMIT: Duration = Duration::from_secs(120);

/// Longest wait of a client for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which FTP client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientKind {
    /// The command line client `curl`.
    Curl,
    /// The command line client `lftp`.
    Lftp,
    /// Python's standard library.
    Ftplib,
    /// The same with Multipath TCP as its control connection.
    MultipathFtplib,
}

/// Which end makes the data connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// The server, to where the client's `PORT` says; `EPRT` with IPv6.
    Active,
    /// The client, to where the answer to its `PASV` says; `EPSV` with IPv6.
    Passive,
    /// The server, to where the client's `EPRT` says.
    ExtendedActive,
    /// The client, to where the answer to its `EPSV` says.
    ExtendedPassive,
}

impl Mode {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::Active,
        Self::Passive,
        Self::ExtendedActive,
        Self::ExtendedPassive,
    ];

    /// Whether the client announces.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Active | Self::ExtendedActive)
    }

    /// Whether `EPRT` or `EPSV` is demanded.
    pub fn is_extended(self) -> bool {
        matches!(self, Self::ExtendedActive | Self::ExtendedPassive)
    }
}

/// One transfer. Local paths are on the lab's file system, remote ones as
/// clients name them, relative to the directory they are in after login.
#[derive(Clone, Debug)]
pub enum Step {
    /// List the directory `remote` into the file `local`.
    List {
        /// The directory.
        remote: String,
        /// Where the listing is written to.
        local: PathBuf,
    },
    /// Fetch a file.
    Download {
        /// The file to fetch.
        remote: String,
        /// Where it is written to.
        local: PathBuf,
    },
    /// Store a file.
    Upload {
        /// The file to store.
        local: PathBuf,
        /// What it shall be called.
        remote: String,
    },
}

/// What a client did.
#[derive(Debug)]
pub struct Transcript {
    /// How the program ended and what it printed.
    pub output: Output,
    /// The commands it sent, in order, as it says.
    pub sent: Vec<String>,
    /// The lines of the replies it received, in order, as it says.
    pub received: Vec<String>,
}

impl Transcript {
    /// The announcements among the commands that it sent.
    pub fn announcements(&self) -> Result<Vec<Announcement>> {
        announcements(&self.sent)
    }

    /// An error that quotes the client unless it says that all went well.
    pub fn success(self, what: &str) -> Result<Self> {
        Ok(Self {
            output: self.output.success(what)?,
            ..self
        })
    }
}

impl ClientKind {
    /// Every client with a plain control connection.
    pub const ALL: [Self; 3] = [Self::Curl, Self::Lftp, Self::Ftplib];

    /// The name people know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Lftp => "lftp",
            Self::Ftplib => "ftplib",
            Self::MultipathFtplib => "multipath-ftplib",
        }
    }

    /// Whether it can be told to use `mode` where the family leaves a choice.
    pub fn knows(self, mode: Mode) -> bool {
        match self {
            Self::Curl => true,
            Self::Lftp => mode != Mode::ExtendedActive,
            Self::Ftplib | Self::MultipathFtplib => !mode.is_extended(),
        }
    }

    /// Does `steps` one after the other over one control connection; ends with
    /// the first that fails.
    pub fn run(
        self,
        host: &Host,
        server: SocketAddr,
        mode: Mode,
        steps: &[Step],
    ) -> Result<Transcript> {
        self.run_for(host, server, mode, steps, PATIENCE)
    }

    /// [`run`](Self::run) that waits no longer than `patience` for anything.
    pub fn run_for(
        self,
        host: &Host,
        server: SocketAddr,
        mode: Mode,
        steps: &[Step],
        patience: Duration,
    ) -> Result<Transcript> {
        let call = Call {
            host,
            server,
            mode,
            steps,
            patience: patient(patience).as_secs(),
        };
        let mut command = match self {
            Self::Curl => curl::command(&call),
            Self::Lftp => lftp::command(&call),
            Self::Ftplib => ftplib::command(&call, "tcp")?,
            Self::MultipathFtplib => ftplib::command(&call, "multipath")?,
        };
        let output = run(&mut command, LIMIT.max(patience * 10))?;
        let (sent, received) = match self {
            Self::Curl => curl::dialogue(&output),
            Self::Lftp => lftp::dialogue(&output),
            Self::Ftplib | Self::MultipathFtplib => ftplib::dialogue(&output),
        };
        Ok(Transcript {
            output,
            sent,
            received,
        })
    }
}

/// What a client shall do.
struct Call<'a> {
    host: &'a Host,
    server: SocketAddr,
    mode: Mode,
    steps: &'a [Step],
    /// Seconds.
    patience: u64,
}

/// The lines that stand between `prefix` and `suffix`.
fn marked(text: &str, prefix: &str, suffix: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix(prefix)?.trim_end().strip_suffix(suffix))
        .map(str::to_owned)
        .collect()
}
