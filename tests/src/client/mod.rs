//! Real FTP clients.

mod curl;
mod ftplib;
mod lftp;

use std::{net::Ipv4Addr, path::PathBuf, process::Command, time::Duration};

use anyhow::Result;

use crate::{
    announcement::{Announcement, announcements},
    host::Host,
    process::{Output, run},
};

/// Longest time for one control connection with all its transfers.
const LIMIT: Duration = Duration::from_secs(120);

/// Which FTP client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientKind {
    /// The command line client `curl`.
    Curl,
    /// The command line client `lftp`.
    Lftp,
    /// Python's standard library.
    Ftplib,
}

/// Which end makes the data connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// The server, to where the client's `PORT` says.
    Active,
    /// The client, to where the server's answer says.
    Passive,
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
    /// Every client.
    pub const ALL: [Self; 3] = [Self::Curl, Self::Lftp, Self::Ftplib];

    /// The name people know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl",
            Self::Lftp => "lftp",
            Self::Ftplib => "ftplib",
        }
    }

    /// Does `steps` one after the other over one control connection; ends with
    /// the first that fails.
    pub fn run(
        self,
        host: &Host,
        server: Ipv4Addr,
        mode: Mode,
        steps: &[Step],
    ) -> Result<Transcript> {
        let mut command = self.command(host, server, mode, steps)?;
        let output = run(&mut command, LIMIT)?;
        let (sent, received) = match self {
            Self::Curl => curl::dialogue(&output),
            Self::Lftp => lftp::dialogue(&output),
            Self::Ftplib => ftplib::dialogue(&output),
        };
        Ok(Transcript {
            output,
            sent,
            received,
        })
    }

    /// The command that [`run`](Self::run) runs.
    fn command(self, host: &Host, server: Ipv4Addr, mode: Mode, steps: &[Step]) -> Result<Command> {
        match self {
            Self::Curl => Ok(curl::command(host, server, mode, steps)),
            Self::Lftp => Ok(lftp::command(host, server, mode, steps)),
            Self::Ftplib => ftplib::command(host, server, mode, steps),
        }
    }
}

/// The lines that stand between `prefix` and `suffix`.
fn marked(text: &str, prefix: &str, suffix: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix(prefix)?.trim_end().strip_suffix(suffix))
        .map(str::to_owned)
        .collect()
}
