//! ftp-helper on the lab's gateway.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    host::Host,
    lab::Lab,
    process::{Daemon, Output, run},
    wait::wait_for,
};

/// Where the agent pins unless it is told otherwise.
pub const PINS: &str = "/sys/fs/bpf/ftp-helper";

/// Loading takes most of it: the kernel verifies the programs.
const START: Duration = Duration::from_secs(30);

/// The binary, and where to run it.
#[derive(Clone, Debug)]
pub struct Agent {
    program: PathBuf,
    gateway: Host,
    log: PathBuf,
}

/// A started `ftp-helper run`; killed when this value goes away.
#[derive(Debug)]
pub struct RunningAgent {
    daemon: Daemon,
}

/// Finds the agent's binary: the environment's `FTP_HELPER_BIN`, or what cargo
/// has built beside the running program. To be called before a lab is made,
/// which hides the machine's `/proc`.
pub fn find_binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("FTP_HELPER_BIN") {
        let path = PathBuf::from(path);
        ensure!(
            path.is_file(),
            "FTP_HELPER_BIN names no file: {}",
            path.display()
        );
        return std::path::absolute(&path).context("FTP_HELPER_BIN");
    }
    let own = env::current_exe().context("path of the running program")?;
    // Tests lie in `deps`, one below the binaries.
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("ftp-helper"))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "no ftp-helper beside {}: build it with `cargo build --package ftp-helper`, \
             or name it in FTP_HELPER_BIN",
            own.display()
        )
    })
}

impl Agent {
    /// The agent for `lab`'s gateway, not started yet.
    pub fn new(lab: &Lab, program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            gateway: lab.gateway.clone(),
            log: lab.logs().join("ftp-helper.log"),
        }
    }

    /// The binary.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// A command line of the agent's binary on the gateway.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.gateway.command(&self.program);
        command
            .env_remove("FTP_HELPER_PIN_DIR")
            .env_remove("FTP_HELPER_LOG")
            .env_remove("FTP_HELPER_RUN_DIR")
            .args(arguments);
        command
    }

    /// Runs a command of the agent's to its end, whatever that is.
    pub fn cli(&self, arguments: &[&str]) -> Result<Output> {
        run(&mut self.command(arguments), Duration::from_secs(20))
    }

    /// What a command prints, as a table; it has to succeed.
    pub fn table(&self, arguments: &[&str]) -> Result<String> {
        let what = format!("ftp-helper {}", arguments.join(" "));
        Ok(self.cli(arguments)?.success(&what)?.stdout)
    }

    /// What a command prints with `-o json`, out of its envelope: the items of a
    /// list, or the single thing. It has to succeed.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let arguments = [arguments, &["-o", "json"]].concat();
        let text = self.table(&arguments)?;
        let open = || {
            let mut envelope: Value = serde_json::from_str(&text)?;
            ensure!(envelope["schema_version"] == 1, "another schema version");
            ensure!(envelope["kind"].is_string(), "no kind");
            let envelope = envelope.as_object_mut().context("no object")?;
            let content = envelope.remove("items").or_else(|| envelope.remove("item"));
            content.context("neither items nor an item")
        };
        open().with_context(|| format!("`ftp-helper {}` printed:\n{text}", arguments.join(" ")))
    }

    /// The number that `stats` shows for the reason `word`.
    pub fn count(&self, word: &str) -> Result<u64> {
        let stats = self.json(&["stats"])?;
        stats
            .as_array()
            .and_then(|rows| rows.iter().find(|row| row["reason"] == word))
            .and_then(|row| row["count"].as_u64())
            .with_context(|| format!("no count of {word} in {stats}"))
    }

    /// Starts `ftp-helper run -i wan0` and waits until it is ready.
    pub fn start(&self) -> Result<RunningAgent> {
        self.start_with(&["run", "-i", "wan0"])
    }

    /// Starts it for these control ports of an interface.
    pub fn start_for(&self, interface: &str, ports: &[u16]) -> Result<RunningAgent> {
        let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
        let mut arguments = vec!["run", "-i", interface];
        for port in &ports {
            arguments.extend(["--control-port", port]);
        }
        self.start_with(&arguments)
    }

    /// Starts the agent with these arguments and waits until it is ready.
    pub fn start_with(&self, arguments: &[&str]) -> Result<RunningAgent> {
        self.start_command(&mut self.command(arguments))
    }

    /// The same with another program around it, which has to become the agent.
    pub fn start_through(
        &self,
        program: &str,
        words: &[String],
        arguments: &[&str],
    ) -> Result<RunningAgent> {
        let mut command = self.gateway.command(program);
        command
            .env_remove("FTP_HELPER_PIN_DIR")
            .env_remove("FTP_HELPER_LOG")
            .env_remove("FTP_HELPER_RUN_DIR")
            .args(words)
            .arg(&self.program)
            .args(arguments);
        self.start_command(&mut command)
    }

    fn start_command(&self, command: &mut Command) -> Result<RunningAgent> {
        let before = std::fs::read(&self.log).map_or(0, |log| log.len());
        let mut daemon = Daemon::start(command, &self.log)?;
        wait_for("the agent ready", START, || {
            // Looked at first: the log is then complete.
            let ended = daemon.ended()?;
            let log = daemon.log()?;
            let log = log.get(before..).unwrap_or_default();
            if let Some(status) = ended {
                bail!("the agent ended with {status}:\n{log}");
            }
            Ok(log.lines().any(|line| line.contains("ready")).then_some(()))
        })
        .with_context(|| format!("log of the agent:\n{}", daemon.log().unwrap_or_default()))?;
        Ok(RunningAgent { daemon })
    }
}

impl RunningAgent {
    /// Everything that agents of this lab have logged.
    pub fn log(&self) -> Result<String> {
        self.daemon.log()
    }

    /// Waits until one of them has logged `text`: events and the kernel's messages are
    /// read in turns, so what they lead to may be seen before it is said.
    pub fn says(&self, text: &str) -> Result<()> {
        self.says_behind(0, text).map(drop)
    }

    /// Lets it read its settings again, and waits until its log says so with
    /// `answer`. Returns what it logged since.
    pub fn reload(&self, answer: &str) -> Result<String> {
        let before = self.log()?.len();
        self.daemon.signal(Signal::SIGHUP)?;
        self.says_behind(before, answer)
    }

    /// The log from this byte on, as soon as `text` is in it.
    fn says_behind(&self, start: usize, text: &str) -> Result<String> {
        wait_for(&format!("{text:?} in the log"), START, || {
            let log = self.log()?;
            let new = log.get(start..).unwrap_or_default();
            Ok(new.contains(text).then(|| new.to_owned()))
        })
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.daemon.signal(signal)
    }

    /// Ends it and waits for that.
    pub fn stop(&mut self, signal: Signal) -> Result<ExitStatus> {
        self.daemon.stop(signal)
    }

    /// Lets it live as long as the lab.
    pub fn leave(self) {
        self.daemon.leave();
    }
}
