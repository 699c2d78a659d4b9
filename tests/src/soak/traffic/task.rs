//! What is started on a lab's hosts: the same binary, told to do one thing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

use super::{
    drive::{self, Outcome},
    server,
};
use crate::{host::Host, lab::Lab, process::Daemon, wait::wait_for};

/// One thing to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// Serve FTP
    #[command(hide = true)]
    Serve(server::Arguments),
    /// Make sessions, and say as JSON what became of them
    #[command(hide = true)]
    Drive(drive::Arguments),
}

impl Task {
    /// Does it.
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Serve(arguments) => server::serve(arguments),
            Self::Drive(arguments) => {
                let outcome = drive::drive(arguments)?;
                println!("{}", serde_json::to_string(&outcome).context("no JSON")?);
                Ok(())
            }
        }
    }
}

/// Starts tasks on the hosts of a lab.
#[derive(Clone, Debug)]
pub struct Starter {
    program: PathBuf,
}

impl Starter {
    /// With this very program. To be made before a lab, which hides where it is.
    pub fn new() -> Result<Self> {
        let program = std::env::current_exe().context("path of the running program")?;
        Ok(Self { program })
    }

    /// Starts a server, and waits until it listens.
    pub fn serve(&self, lab: &Lab, words: &[String]) -> Result<Daemon> {
        let log = lab.logs().join("load-server.log");
        let mut command = lab.server.command(&self.program);
        command.arg("serve").args(words);
        let mut server = Daemon::start(&mut command, &log)?;
        wait_for("the server", Duration::from_secs(20), || {
            if let Some(status) = server.ended()? {
                bail!("the server ended with {status}: {}", server.log()?);
            }
            Ok(server.log()?.contains("ready").then_some(()))
        })?;
        Ok(server)
    }

    /// Starts sessions from a host. They go on until they are over, or are told to
    /// stop.
    pub fn drive(&self, lab: &Lab, host: &Host, name: &str, words: &[String]) -> Result<Driven> {
        let path = |what: &str| lab.logs().join(format!("{name}.{what}"));
        let (log, progress, stop) = (path("log"), path("progress"), path("stop"));
        for old in [&log, &progress, &stop] {
            // Of an earlier load of that name, if there was one.
            let _ = std::fs::remove_file(old);
        }
        let mut command = host.command(&self.program);
        command.arg("drive").args(words);
        command.arg("--progress").arg(&progress);
        command.arg("--stop").arg(&stop);
        Ok(Driven {
            daemon: Daemon::start(&mut command, &log)?,
            progress,
            stop,
        })
    }
}

/// Sessions under way.
#[derive(Debug)]
pub struct Driven {
    daemon: Daemon,
    progress: PathBuf,
    stop: PathBuf,
}

impl Driven {
    /// How many sessions are over.
    pub fn over(&self) -> u64 {
        number(&self.progress).unwrap_or_default()
    }

    /// Whether all are.
    pub fn is_over(&mut self) -> Result<bool> {
        Ok(self.daemon.ended()?.is_some())
    }

    /// Lets it begin no more.
    pub fn stop(&self) -> Result<()> {
        std::fs::write(&self.stop, "").context("the load can not be stopped")
    }

    /// Waits until all are over, and says what became of them.
    pub fn finish(mut self, limit: Duration) -> Result<Outcome> {
        let status = self.daemon.wait(limit)?;
        let said = self.daemon.log()?;
        if !status.success() {
            bail!("the load ended with {status}:\n{said}");
        }
        let line = said.lines().last().unwrap_or_default();
        serde_json::from_str(line).with_context(|| format!("the load printed:\n{said}"))
    }
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Words of a command line.
pub fn words<const N: usize>(words: [&dyn ToString; N]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}
