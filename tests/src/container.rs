//! A Debian system on the lab's gateway: systemd as its first process, on a
//! copy-on-write root, with the gateway's network.
//!
//! It is in the lab's PID namespace, so it goes with the lab; what it writes goes to
//! the lab's tmpfs. Its cgroup is removed by a process that waits for the end of the
//! test ([`Cgroup`]).

mod cgroup;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

pub use self::cgroup::Cgroup;
use crate::{
    host::Host,
    lab::{FILES, Lab},
    process::{Daemon, Output, run},
    wait::wait_for,
};

const BOOT_SCRIPT: &str = include_str!("container/boot.sh");
const SYSTEMD: &str = "/lib/systemd/systemd";
const BOOT: Duration = Duration::from_secs(60);
/// Longest time that a command in there may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The system; killed when this value goes away.
#[derive(Debug)]
pub struct Container {
    gateway: Host,
    directory: PathBuf,
    /// Of its first process, as the lab sees it.
    init: String,
    _daemon: Daemon,
}

/// Why there can be none on this machine, if there can not.
pub fn missing() -> Option<String> {
    (!Path::new(SYSTEMD).exists()).then(|| format!("there is no {SYSTEMD}"))
}

impl Container {
    /// Boots it, with a copy of `file` in its root directory, under this name.
    pub fn boot(lab: &Lab, cgroup: &Cgroup, file: &Path, name: &str) -> Result<Self> {
        let directory = Path::new(FILES).join("container");
        fs::create_dir(&directory).context("a second container")?;
        let mut command = lab.gateway.command("unshare");
        command
            .args(["--mount", "--pid", "--cgroup", "--uts", "--ipc"])
            .args(["--fork", "--kill-child", "sh", "-c", BOOT_SCRIPT, "sh"])
            .arg(&directory)
            .arg(file)
            .arg(name);
        cgroup.contain(&mut command)?;
        let mut daemon = Daemon::start(&mut command, &lab.logs().join("container.log"))?;
        let pid = directory.join("pid");
        let init = wait_for("the container's first process", BOOT, || {
            if let Some(status) = daemon.ended()? {
                anyhow::bail!("it ended with {status}:\n{}", daemon.log()?);
            }
            let pid = fs::read_to_string(&pid).unwrap_or_default();
            Ok(pid.strip_suffix('\n').map(str::to_owned))
        })?;
        let container = Self {
            gateway: lab.gateway.clone(),
            directory,
            init,
            _daemon: daemon,
        };
        wait_for("systemd running", BOOT, || {
            let state = container.run(&["systemctl", "is-system-running"])?;
            Ok((state.stdout == "running\n").then_some(()))
        })
        .with_context(|| container.journal())?;
        Ok(container)
    }

    /// Runs a command in there to its end, whatever that is.
    pub fn run(&self, words: &[&str]) -> Result<Output> {
        let mut command = self.gateway.command("nsenter");
        command
            .args(["--target", &self.init, "--all", "--root", "--wd", "--"])
            .args(["env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"])
            .args(["DEBIAN_FRONTEND=noninteractive", "TERM=dumb"])
            .args(words);
        run(&mut command, LIMIT)
    }

    /// Runs a command that must succeed, and returns what it printed; what went on
    /// in there is part of the error.
    pub fn must(&self, words: &[&str]) -> Result<String> {
        let output = self.run(words)?;
        let output = output.success(&words.join(" "));
        Ok(output.with_context(|| self.journal())?.stdout)
    }

    /// The last lines of its journal.
    pub fn journal(&self) -> String {
        self.run(&["journalctl", "--no-pager", "--lines=60", "--output=cat"])
            .map_or_else(
                |error| format!("no journal: {error:#}"),
                |output| format!("journal of the container:\n{}", output.stdout),
            )
    }

    /// Replaces what a file in there holds.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        const SCRIPT: &str = r#"printf %s "$1" >"$2""#;
        self.must(&["sh", "-c", SCRIPT, "sh", text, path])?;
        Ok(())
    }

    /// Every file, link and directory that it has added or changed on its root file
    /// system, as paths without the first slash. What it removed is not among them.
    pub fn changes(&self) -> Result<BTreeSet<String>> {
        let upper = self.directory.join("upper");
        let mut found = BTreeSet::new();
        let mut waiting = vec![upper.clone()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                // A whiteout, which stands for what is not there any more.
                if kind.is_char_device() {
                    continue;
                }
                if kind.is_dir() {
                    waiting.push(entry.path());
                }
                let path = entry.path();
                let path = path.strip_prefix(&upper).unwrap_or(&path);
                found.insert(path.display().to_string());
            }
        }
        Ok(found)
    }
}
