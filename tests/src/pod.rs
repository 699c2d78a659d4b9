//! A container on the lab's gateway, made by an OCI runtime as the kubelet has it made
//! for a pod in the node's network: with a root file system that nobody can write to,
//! with the capabilities that it is given, and with nothing else of the node in sight
//! than what is mounted.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    host::Host,
    lab::{FILES, Lab},
    process::{Daemon, Output, run},
    wait::wait_for,
};

/// The runtime.
const RUNTIME: &str = "crun";

const NAME: &str = "ftp-helper";
const START: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(20);

/// What the container shall be.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// The program with its arguments.
    pub words: Vec<String>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// What it may do, as `CAP_...`.
    pub capabilities: Vec<String>,
    /// Whether it may get new privileges.
    pub escalates: bool,
    /// Whether nobody can write to its root file system.
    pub read_only: bool,
    /// What is mounted where.
    pub mounts: Vec<Mount>,
}

/// Something that is mounted.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Where.
    pub at: String,
    /// What.
    pub volume: Volume,
    /// Whether it can not be written to.
    pub read_only: bool,
}

/// What can be mounted.
#[derive(Clone, Debug)]
pub enum Volume {
    /// Files with these names and contents.
    Files(Vec<(String, String)>),
    /// An empty file system in memory, that everybody may write to.
    Empty,
    /// A directory of the node, with what is mounted there later.
    Host(String),
}

/// The container; killed when this value goes away.
#[derive(Debug)]
pub struct Pod {
    gateway: Host,
    daemon: Daemon,
}

/// Why there can be none on this machine, if there can not.
pub fn missing() -> Option<String> {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(RUNTIME).exists())
    });
    (!found).then(|| format!("there is no {RUNTIME}"))
}

impl Pod {
    /// Starts it on the gateway, from the files of `rootfs`, and waits until its log has
    /// this word.
    pub fn start(lab: &Lab, rootfs: &Path, spec: &Spec, word: &str) -> Result<Self> {
        let directory = Path::new(FILES).join("pod");
        if !directory.exists() {
            fs::create_dir(&directory)?;
            // The runtime asks what is there, also when it makes no groups.
            lab.gateway.must("mount -t tmpfs tmpfs /sys/fs/cgroup")?;
        }
        let config = configuration(&directory, rootfs, spec)?;
        fs::write(directory.join("config.json"), serde_json::to_vec(&config)?)?;
        let log = lab.logs().join("pod.log");
        let before = fs::read(&log).map_or(0, |log| log.len());
        let mut command = lab.gateway.command(RUNTIME);
        command
            .args(["--cgroup-manager=disabled", "--root=/run/crun", "run"])
            .arg("--bundle")
            .arg(&directory)
            .arg(NAME);
        let mut daemon = Daemon::start(&mut command, &log)?;
        wait_for("the container ready", START, || {
            // Looked at first: the log is then complete.
            let ended = daemon.ended()?;
            let log = daemon.log()?;
            let log = log.get(before..).unwrap_or_default();
            if let Some(status) = ended {
                bail!("it ended with {status}:\n{log}");
            }
            Ok(log.contains(word).then_some(()))
        })?;
        Ok(Self {
            gateway: lab.gateway.clone(),
            daemon,
        })
    }

    /// Runs a command in there, as `kubectl exec` does, to its end, whatever that is.
    pub fn exec(&self, words: &[&str]) -> Result<Output> {
        let mut command = self.gateway.command(RUNTIME);
        command
            .args(["--cgroup-manager=disabled", "--root=/run/crun", "exec"])
            .arg(NAME)
            .args(words);
        run(&mut command, LIMIT)
    }

    /// The number of its first process, as the lab sees it.
    pub fn process(&self) -> Result<String> {
        let mut command = self.gateway.command(RUNTIME);
        command.args([
            "--cgroup-manager=disabled",
            "--root=/run/crun",
            "state",
            NAME,
        ]);
        let state = run(&mut command, LIMIT)?.success("state")?;
        let state: Value = serde_json::from_str(&state.stdout)?;
        let pid = state["pid"].as_u64().context("no number")?;
        Ok(pid.to_string())
    }

    /// Ends it as the kubelet does, with SIGTERM, and waits for that.
    pub fn stop(mut self) -> Result<()> {
        let status = self.daemon.stop(Signal::SIGTERM)?;
        if !status.success() {
            bail!("it ended with {status}:\n{}", self.daemon.log()?);
        }
        let mut command = self.gateway.command(RUNTIME);
        command.args([
            "--cgroup-manager=disabled",
            "--root=/run/crun",
            "delete",
            "--force",
            NAME,
        ]);
        run(&mut command, LIMIT)?;
        Ok(())
    }
}

/// For the runtime.
fn configuration(directory: &Path, rootfs: &Path, spec: &Spec) -> Result<Value> {
    let environment = spec.environment.iter();
    let environment: Vec<String> = environment
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // What every container has.
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "mode=755"]}),
        json!({"destination": "/sys", "type": "bind", "source": "/sys",
               "options": ["bind", "ro", "nosuid", "nodev", "noexec"]}),
    ];
    for (number, mount) in spec.mounts.iter().enumerate() {
        let access = if mount.read_only { "ro" } else { "rw" };
        mounts.push(match &mount.volume {
            Volume::Files(files) => {
                let source = directory.join(format!("volume{number}"));
                fill(&source, files)?;
                json!({"destination": mount.at, "type": "bind", "source": source,
                       "options": ["rbind", access]})
            }
            Volume::Empty => json!({"destination": mount.at, "type": "tmpfs", "source": "tmpfs",
                                    "options": [access, "mode=777"]}),
            Volume::Host(path) => json!({"destination": mount.at, "type": "bind", "source": path,
                                         "options": ["rbind", "rslave", access]}),
        });
    }
    Ok(json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": spec.words,
            "env": environment,
            "cwd": "/",
            "capabilities": {
                "bounding": spec.capabilities,
                "effective": spec.capabilities,
                "permitted": spec.capabilities,
            },
            "noNewPrivileges": !spec.escalates,
        },
        "root": {"path": rootfs, "readonly": spec.read_only},
        "mounts": mounts,
        "linux": {
            // None of the network: it is the gateway's.
            "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "mount"}],
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
        },
    }))
}

fn fill(directory: &Path, files: &[(String, String)]) -> Result<()> {
    fs::create_dir_all(directory)?;
    for (name, content) in files {
        fs::write(directory.join(name), content)?;
    }
    Ok(())
}
