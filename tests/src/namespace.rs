//! The namespaces a lab lives in.
//!
//! A lab belongs to one thread. That thread leaves the machine's mount
//! namespace, and what it starts from then on goes to a new PID namespace. The
//! first process in there is the gateway's holder; when it dies, the kernel
//! kills the rest, and with the last process the network namespaces go too.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::{
        prctl::set_pdeathsig,
        signal::{SigHandler, Signal, signal},
    },
    unistd::setsid,
};

/// A process that does nothing but keep a network namespace alive.
#[derive(Debug)]
pub(crate) struct Holder {
    process: Child,
    /// Its number as processes of the lab see it.
    pub(crate) inner_pid: u32,
    /// The namespace it holds.
    pub(crate) network: Arc<OwnedFd>,
}

impl Holder {
    /// Its number as the machine sees it.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Kills it, without waiting for its end.
    pub(crate) fn kill(&mut self) {
        // Fails only for a process that has already gone.
        let _ = self.process.kill();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.kill();
        let _ = self.process.wait();
    }
}

/// Takes the calling thread out of the machine's mount namespace and lets its
/// children start in a new PID namespace. `files` becomes an empty directory
/// that only the lab sees.
///
/// A thread can not be started by this thread afterwards.
pub(crate) fn leave_machine(files: &Path) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)
        .context("no namespaces of its own: a lab needs root (CAP_SYS_ADMIN)")?;
    let none = None::<&Path>;
    mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none)
        .context("the mount namespace can not be made private")?;
    mount(
        Some("tmpfs"),
        files,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )
    .with_context(|| format!("no private tmpfs on {}", files.display()))
}

/// Starts a holder with a network namespace of its own. The first one that a
/// thread starts is the init process of the lab; `bound` lets it die with that
/// thread.
pub(crate) fn hold_network(bound: bool) -> Result<Holder> {
    let mut command = Command::new("sleep");
    command
        .arg("infinity")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: between fork and exec only system calls are made, nothing allocates.
    unsafe {
        command.pre_exec(move || {
            if bound {
                set_pdeathsig(Signal::SIGKILL)?;
            }
            setsid()?;
            // The init process of a PID namespace becomes the parent of those
            // that lost theirs: let the kernel reap them.
            signal(Signal::SIGCHLD, SigHandler::SigIgn)?;
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(())
        });
    }
    let process = command
        .spawn()
        .context("no holder for a network namespace: `sleep` failed")?;
    let network: OwnedFd = File::open(format!("/proc/{}/ns/net", process.id()))
        .context("the holder's network namespace can not be opened")?
        .into();
    let network = Arc::new(network);
    let inner_pid = inner_pid(process.id())?;
    Ok(Holder {
        process,
        inner_pid,
        network,
    })
}

/// The number that the process has in the innermost PID namespace.
fn inner_pid(pid: u32) -> Result<u32> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("{path} not readable"))?;
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("NSpid:")?
                .split_whitespace()
                .last()?
                .parse()
                .ok()
        })
        .with_context(|| format!("{path} has no NSpid line"))
}

/// Gives the lab its own `/proc`, a `/sys` that shows the gateway's devices,
/// and an empty bpffs, so that nothing of the machine's shows through.
pub(crate) fn mount_kernel_views(gateway: &Arc<OwnedFd>) -> Result<()> {
    let gateway = Arc::clone(gateway);
    let mut command = Command::new("true");
    // SAFETY: between fork and exec only system calls are made; the paths fit
    // nix's stack buffer, so nothing allocates.
    unsafe {
        command.pre_exec(move || {
            setns(gateway.as_fd(), CloneFlags::CLONE_NEWNET)?;
            mount_view("proc", "/proc")?;
            mount_view("sysfs", "/sys")?;
            mount_view("bpf", "/sys/fs/bpf")
        });
    }
    let status = command
        .status()
        .context("no private /proc, /sys and /sys/fs/bpf")?;
    anyhow::ensure!(status.success(), "`true` ended with {status}");
    Ok(())
}

fn mount_view(kind: &str, target: &str) -> io::Result<()> {
    mount(
        Some(kind),
        target,
        Some(kind),
        MsFlags::empty(),
        None::<&str>,
    )?;
    Ok(())
}
