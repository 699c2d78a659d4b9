//! One host of a lab.

use std::{
    ffi::OsStr,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CloneFlags, setns},
    unistd::setsid,
};

use crate::{
    lab::FILES,
    namespace::Holder,
    process::{Output, run},
};

/// Longest time that a command without a limit of its own may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A network namespace to run commands and open sockets in.
///
/// To be used by the thread that made the lab: only that one sees its files.
#[derive(Clone, Debug)]
pub struct Host {
    name: &'static str,
    network: Arc<OwnedFd>,
    home: Arc<OwnedFd>,
    holder: u32,
}

impl Host {
    /// A host in the namespace that `holder` holds; `home` is where the lab's
    /// thread lives.
    pub(crate) fn new(name: &'static str, holder: &Holder, home: &Arc<OwnedFd>) -> Self {
        Self {
            name,
            network: Arc::clone(&holder.network),
            home: Arc::clone(home),
            holder: holder.pid(),
        }
    }

    /// `client`, `gateway` or `server`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Process to give `nsenter` to get into this host from the machine.
    pub fn holder(&self) -> u32 {
        self.holder
    }

    /// A command that will run on this host.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("LC_ALL", "C")
            .env("HOME", FILES)
            .current_dir("/")
            .stdin(Stdio::null());
        let network = Arc::clone(&self.network);
        // SAFETY: between fork and exec only system calls are made, nothing
        // allocates.
        unsafe {
            command.pre_exec(move || {
                // A session of its own: Ctrl-C is for the lab, which takes the
                // command down with itself.
                setsid()?;
                setns(network.as_fd(), CloneFlags::CLONE_NEWNET)?;
                Ok(())
            });
        }
        command
    }

    /// Runs a program with arguments to its end, whatever that is.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Output> {
        run(self.command(program).args(arguments), LIMIT)
    }

    /// Runs a command line that must succeed and returns what it printed;
    /// words are separated by spaces.
    pub fn must(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("empty command line")?;
        Ok(self
            .run(program, words)?
            .success(&format!("{}: {line}", self.name))?
            .stdout)
    }

    /// Does `work` with the calling thread inside this host: sockets that it
    /// makes belong to this host for good.
    pub fn enter<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        setns(self.network.as_fd(), CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("the {} can not be entered", self.name))?;
        let result = work();
        setns(self.home.as_fd(), CloneFlags::CLONE_NEWNET)
            .context("no way back to the machine's network namespace")?;
        result
    }
}
