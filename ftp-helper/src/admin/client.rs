//! The commands' side.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::{
    RunDirectory,
    protocol::{Message, Request},
};
use crate::{failure::Failure, pins::PinDirectory};

/// A connection to the agent.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects and asks; a [`Failure::NotRunning`] when no agent is there.
    pub fn ask(run: &RunDirectory, pins: &PinDirectory, request: Request) -> Result<Self> {
        let path = run.socket(pins);
        let mut stream = UnixStream::connect(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Failure::not_running(format!(
                    "no agent runs with the pins {}: start it with `ftp-helper run -i IFACE`, or \
                     name its directories with --pin-dir and --run-dir (nobody listens on {})",
                    pins.path().display(),
                    path.display()
                ))
                .into()
            }
            io::ErrorKind::PermissionDenied => {
                let advice =
                    "use sudo, or name a group of yours with `--group` of `ftp-helper run`";
                anyhow::Error::from(error)
                    .context(format!("can not connect to {}: {advice}", path.display()))
            }
            _ => {
                anyhow::Error::from(error).context(format!("can not connect to {}", path.display()))
            }
        })?;
        let mut line = serde_json::to_string(&request).context("can not write the request")?;
        line.push('\n');
        stream
            .write_all(line.as_bytes())
            .context("can not ask the agent")?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Gives up when nothing comes for so long.
    pub fn set_patience(&self, limit: Duration) -> Result<()> {
        self.stream
            .get_ref()
            .set_read_timeout(Some(limit))
            .context("can not limit the wait for the agent")
    }

    /// The next message; nothing when the agent has ended.
    pub fn message(&mut self) -> Result<Option<Message>> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => bail!(
                "the agent did not answer in time: it may still do what it was asked for, see its \
                 log"
            ),
            Err(error) => return Err(error).context("can not read from the agent"),
        }
        if !line.ends_with('\n') {
            return Ok(None);
        }
        match serde_json::from_str(&line) {
            Ok(Message::Error { error }) => bail!("the agent refuses: {error}"),
            Ok(message) => Ok(Some(message)),
            Err(error) => Err(error).context(
                "the agent says something that this ftp-helper does not understand: is it of \
                 another version?",
            ),
        }
    }
}
