//! A limit for the agent's memory, and for that of its maps: a control group.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result};
use nix::unistd::{AccessFlags, access, setsid};

/// Waits for the end of its input, which is the end of this program, however that comes;
/// then for that of the last process in the group, and removes the group.
const REAPER: &str = r#"
cat >/dev/null
for _ in $(seq 200); do
    rmdir "$1" 2>/dev/null
    [ -d "$1" ] || exit 0
    sleep 0.05
done
exit 1
"#;

/// Names in the two versions of control groups.
struct Version {
    limit: &'static str,
    usage: &'static str,
}

const V1: Version = Version {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
};
const V2: Version = Version {
    limit: "memory.max",
    usage: "memory.current",
};

/// A group; gone when this value is.
#[derive(Debug)]
pub struct MemoryGroup {
    processes: File,
    limit: File,
    usage: File,
    reaper: Child,
    /// Open as long as the group is wanted.
    alive: Option<ChildStdin>,
}

impl MemoryGroup {
    /// Makes a group without a limit; nothing where memory can not be limited. To be
    /// called before a lab is made, which hides the machine's groups.
    pub fn new() -> Result<Option<Self>> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);

        let Some((parent, version)) = hierarchy()? else {
            return Ok(None);
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("ftp-helper-chaos-{}-{number}", process::id()));
        let mut command = Command::new("sh");
        command
            .args(["-c", REAPER, "sh"])
            .arg(&path)
            .stdin(Stdio::piped());
        // SAFETY: between fork and exec only a system call is made, nothing allocates.
        unsafe {
            // Ctrl-C is for this program, which takes its time to end.
            command.pre_exec(|| Ok(setsid().map(drop)?));
        }
        let mut reaper = command.spawn().context("no process to remove a cgroup")?;
        let alive = reaper.stdin.take();
        fs::create_dir(&path).with_context(|| format!("{} not made", path.display()))?;
        let open = |name: &str| {
            let path = path.join(name);
            let file = OpenOptions::new()
                .read(true)
                .write(name != version.usage)
                .open(&path);
            file.with_context(|| format!("{} not opened", path.display()))
        };
        Ok(Some(Self {
            processes: open("cgroup.procs")?,
            limit: open(version.limit)?,
            usage: open(version.usage)?,
            reaper,
            alive,
        }))
    }

    /// Starts the command inside the group.
    pub fn contain(&self, command: &mut Command) -> Result<()> {
        let processes = self.processes.try_clone()?;
        // SAFETY: between fork and exec only a system call is made, nothing allocates.
        unsafe {
            // Zero is the writer itself.
            command.pre_exec(move || (&processes).write_all(b"0"));
        }
        Ok(())
    }

    /// Bytes that are in use.
    pub fn usage(&self) -> Result<u64> {
        let mut text = String::new();
        let mut file = &self.usage;
        file.rewind()?;
        file.read_to_string(&mut text)?;
        text.trim().parse().context("no usage of memory")
    }

    /// Sets the limit, in bytes; false when what is in use already does not fit.
    pub fn limit(&self, bytes: u64) -> Result<bool> {
        let mut file = &self.limit;
        file.rewind()?;
        Ok(file.write_all(bytes.to_string().as_bytes()).is_ok())
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        self.alive = None;
        // What it did not manage, nobody can.
        let _ = self.reaper.wait();
    }
}

/// Where groups with a limit for memory can be made.
fn hierarchy() -> Result<Option<(PathBuf, Version)>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("mounts not readable")?;
    for line in mounts.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else {
            continue;
        };
        let Some(path) = mount.split(' ').nth(4).map(Path::new) else {
            continue;
        };
        if access(path, AccessFlags::W_OK).is_err() {
            continue;
        }
        let mut words = kind.split(' ');
        match (words.next(), words.nth(1)) {
            (Some("cgroup"), Some(options)) if options.split(',').any(|it| it == "memory") => {
                return Ok(Some((path.to_owned(), V1)));
            }
            (Some("cgroup2"), _) => {
                // What a group's children may limit; the root's is what there is.
                let controllers = fs::read_to_string(path.join("cgroup.subtree_control"));
                let controllers = controllers.unwrap_or_default();
                if controllers.split_whitespace().any(|it| it == "memory") {
                    return Ok(Some((path.to_owned(), V2)));
                }
            }
            _ => {}
        }
    }
    Ok(None)
}
