//! Somebody who listens to the agent: `ftp-helper watch`, running.

use std::{path::PathBuf, process::ExitStatus, time::Duration};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use crate::{agent::Agent, lab::Lab, process::Daemon, wait::wait_for};

/// Longest wait for a line.
const LIMIT: Duration = Duration::from_secs(20);

/// A started `ftp-helper watch`; killed when this value goes away.
#[derive(Debug)]
pub struct Listener {
    daemon: Daemon,
    log: PathBuf,
}

impl Listener {
    /// Starts `watch` with these further arguments, and waits until it misses
    /// nothing any more.
    pub fn start(lab: &Lab, agent: &Agent, name: &str, arguments: &[&str]) -> Result<Self> {
        let log = lab.logs().join(format!("watch-{name}.log"));
        let arguments = [&["watch"], arguments].concat();
        let daemon = Daemon::start(&mut agent.command(&arguments), &log)?;
        let mut listener = Self { daemon, log };
        listener.wait_for("watching")?;
        Ok(listener)
    }

    /// Everything that it has printed.
    pub fn text(&self) -> Result<String> {
        self.daemon.log()
    }

    /// The lines that are about events.
    pub fn lines(&self) -> Result<Vec<String>> {
        let text = self.text()?;
        let lines = text.lines().filter(|line| !line.starts_with("ftp-helper:"));
        Ok(lines.map(str::to_owned).collect())
    }

    /// Waits for a line that contains `text`, and returns it.
    pub fn wait_for(&mut self, text: &str) -> Result<String> {
        wait_for(&format!("{text:?} in what `watch` prints"), LIMIT, || {
            // Looked at first: the text is then complete.
            let ended = self.daemon.ended()?;
            let printed = self.text()?;
            let found = printed.lines().find(|line| line.contains(text));
            if let (Some(status), None) = (ended, found) {
                bail!("`watch` ended with {status}:\n{printed}");
            }
            Ok(found.map(str::to_owned))
        })
        .with_context(|| format!("it printed:\n{}", self.text().unwrap_or_default()))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.daemon.signal(signal)
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.daemon
            .wait(LIMIT)
            .with_context(|| format!("see {}", self.log.display()))
    }
}
