//! A limit for the agent's memory, and for that of its maps: a control group.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use nix::unistd::{AccessFlags, access};

use crate::container::Cgroup;

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
    group: Cgroup,
    limit: File,
    usage: File,
}

impl MemoryGroup {
    /// Makes a group without a limit; nothing where memory can not be limited. To be
    /// called before a lab is made, which hides the machine's groups.
    pub fn new() -> Result<Option<Self>> {
        let Some((hierarchy, version)) = hierarchy()? else {
            return Ok(None);
        };
        let group = Cgroup::below(&hierarchy)?;
        let mut options = OpenOptions::new();
        options.read(true);
        let usage = group.open(version.usage, &options)?;
        let limit = group.open(version.limit, options.write(true))?;
        Ok(Some(Self {
            group,
            limit,
            usage,
        }))
    }

    /// Starts the command inside the group.
    pub fn contain(&self, command: &mut Command) -> Result<()> {
        self.group.contain(command)
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
