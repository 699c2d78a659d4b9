//! A control group for the container. systemd makes groups of its own below it, and
//! unlike namespaces they do not vanish with their last process.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};
use nix::unistd::setsid;

/// Waits for the end of its input, which is the end of the test, however that ends;
/// then for that of the last process, and removes the groups.
const REAPER: &str = r#"
cat >/dev/null
for _ in $(seq 200); do
    find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null
    [ -d "$1" ] || exit 0
    sleep 0.05
done
exit 1
"#;

/// A group; gone when this value is.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    processes: File,
    reaper: Child,
    /// Open as long as the group is wanted.
    alive: Option<ChildStdin>,
}

impl Cgroup {
    /// Makes a group; nothing where no cgroup2 hierarchy is mounted. To be called
    /// before a lab is made, which hides the machine's hierarchy and would take the
    /// remover down with itself.
    pub fn new() -> Result<Option<Self>> {
        hierarchy()?
            .map(|hierarchy| Self::below(&hierarchy))
            .transpose()
    }

    /// Makes a group in a hierarchy of either version.
    pub(crate) fn below(hierarchy: &Path) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);

        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = hierarchy.join(format!("ftp-helper-test-{}-{number}", process::id()));
        let mut command = Command::new("sh");
        command
            .args(["-c", REAPER, "sh"])
            .arg(&path)
            .stdin(Stdio::piped());
        // SAFETY: between fork and exec only a system call is made, nothing
        // allocates.
        unsafe {
            // Ctrl-C is for the test, which takes its time to end.
            command.pre_exec(|| Ok(setsid().map(drop)?));
        }
        let mut reaper = command.spawn().context("no process to remove a cgroup")?;
        let alive = reaper.stdin.take();
        fs::create_dir(&path).with_context(|| format!("{} not made", path.display()))?;
        let processes = open(&path.join("cgroup.procs"), OpenOptions::new().write(true))?;
        Ok(Self {
            path,
            processes,
            reaper,
            alive,
        })
    }

    /// Opens a file of the group.
    pub(crate) fn open(&self, name: &str, options: &OpenOptions) -> Result<File> {
        open(&self.path.join(name), options)
    }

    /// Starts the command inside the group.
    pub(crate) fn contain(&self, command: &mut Command) -> Result<()> {
        let processes = self.processes.try_clone()?;
        // SAFETY: between fork and exec only a system call is made, nothing
        // allocates.
        unsafe {
            // Zero is the writer itself.
            command.pre_exec(move || (&processes).write_all(b"0"));
        }
        Ok(())
    }

    /// Removes the group, whose processes are gone or about to be, and says whether
    /// that went well.
    pub fn remove(mut self) -> Result<()> {
        self.alive = None;
        let status = self.reaper.wait()?;
        anyhow::ensure!(status.success(), "a cgroup of the test is still in use");
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.alive = None;
        // What it did not manage is said by `remove`.
        let _ = self.reaper.wait();
    }
}

fn open(path: &Path, options: &OpenOptions) -> Result<File> {
    options
        .open(path)
        .with_context(|| format!("{} not opened", path.display()))
}

/// Where this process sees a cgroup2 hierarchy.
fn hierarchy() -> Result<Option<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("mounts not readable")?;
    let found = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ")
            .then(|| mount.split(' ').nth(4))?
    });
    Ok(found
        .map(PathBuf::from)
        .filter(|path| is_writable(path).is_ok()))
}

fn is_writable(path: &Path) -> io::Result<()> {
    nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).map_err(Into::into)
}
