//! Processes of a lab: ones that end by themselves and ones that stay.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{lab::FILES, wait::wait_for};

/// What a finished process left.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything it wrote to standard output.
    pub stdout: String,
    /// Everything it wrote to standard error.
    pub stderr: String,
}

impl Output {
    /// The output of a process that succeeded; an error that quotes it otherwise.
    pub fn success(self, what: &str) -> Result<Self> {
        if !self.status.success() {
            bail!("{what}: {}\n{}{}", self.status, self.stdout, self.stderr);
        }
        Ok(self)
    }
}

/// Runs `command` to its end; it is killed after `limit`.
///
/// Output goes to unnamed files, not pipes: a pipe with two ends to watch would
/// need a thread, and the lab's thread may not start any.
pub fn run(command: &mut Command, limit: Duration) -> Result<Output> {
    let mut stdout = unnamed_file()?;
    let mut stderr = unnamed_file()?;
    command
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?);
    let mut child = spawn(command)?;
    let status = wait_exit(&mut child, limit);
    if status.is_err() {
        end(&mut child);
    }
    let (stdout, stderr) = (content(&mut stdout)?, content(&mut stderr)?);
    let status = status.with_context(|| format!("{command:?} was killed:\n{stdout}{stderr}"))?;
    Ok(Output {
        status,
        stdout,
        stderr,
    })
}

fn unnamed_file() -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(FILES)
        .with_context(|| format!("no unnamed file in {FILES}"))
}

fn content(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| {
        let program = command.get_program().display();
        format!("`{program}` does not start; is the package that has it installed?")
    })
}

fn wait_exit(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    wait_for("the end of the process", limit, || Ok(child.try_wait()?))
}

fn end(child: &mut Child) {
    // Both fail only for a process that is gone, which is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

/// A process that runs until it is stopped; killed when this value goes away.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `command` with standard output and error appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("no log file {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        Ok(Self {
            child: spawn(command)?,
            log: log.to_owned(),
        })
    }

    /// What it has written so far.
    pub fn log(&self) -> Result<String> {
        let bytes = std::fs::read(&self.log)
            .with_context(|| format!("{} not readable", self.log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let log = self.log()?;
        wait_exit(&mut self.child, limit).with_context(|| format!("its log:\n{log}"))
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to process {pid}"))
    }

    /// Sends `signal` and waits for the end.
    pub fn stop(&mut self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        self.wait(Duration::from_secs(10))
    }

    /// Lets it live on when this value goes away, as long as the lab.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
