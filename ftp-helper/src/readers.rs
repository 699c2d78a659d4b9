//! Who may read what is pinned: root, and the group that `--group` names.
//!
//! Reading a pinned map takes the right to read its pin, to search the directories
//! above it, and no capability (since Linux 5.19; before, an unprivileged user may
//! not call bpf(2) at all where `kernel.unprivileged_bpf_disabled` says so).

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    str::FromStr,
};

use anyhow::{Context as _, Result, bail};
use nix::unistd::{Gid, chown};
use tracing::warn;

use crate::pins::PinDirectory;

/// Modes without and with a group.
const DIRECTORY: [u32; 2] = [0o700, 0o750];
const MAP: [u32; 2] = [0o600, 0o640];

/// Root's own group, whose members need no advice about it.
const ROOT: Gid = Gid::from_raw(0);

/// A group of users.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    name: String,
    id: Gid,
}

impl FromStr for Group {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = nix::unistd::Group::from_name(text)
            .with_context(|| format!("can not look up group {text}"))?;
        let id = match (found, text.parse()) {
            (Some(group), _) => group.gid,
            (None, Ok(number)) => Gid::from_raw(number),
            (None, Err(_)) => {
                bail!("there is no group {text}: make it with `groupadd --system {text}`")
            }
        };
        Ok(Self {
            name: text.to_owned(),
            id,
        })
    }
}

/// Lets this group, or nobody but root, read the pinned maps. What is attached
/// stays root's.
pub fn admit(pins: &PinDirectory, group: Option<&Group>) -> Result<()> {
    let which = usize::from(group.is_some());
    for map in &pins.read()?.maps {
        set(&map.path, MAP[which], group)?;
    }
    set(pins.path(), DIRECTORY[which], group)?;
    if let Some(obstacle) = group.and_then(|group| obstacle(pins, group)) {
        warn!("{obstacle}");
    }
    Ok(())
}

/// Why the group can not get to the pins, if something above them is closed.
fn obstacle(pins: &PinDirectory, group: &Group) -> Option<String> {
    let closed = closed_above(pins.path(), |metadata| {
        let bit = if metadata.gid() == group.id.as_raw() {
            0o010
        } else {
            0o001
        };
        metadata.mode() & bit != 0
    })?;
    Some(format!(
        "group {} can not get to the pins: {} is closed to it; open it with `chmod o+x {}`",
        group.name,
        closed.display(),
        closed.display()
    ))
}

fn set(path: &Path, mode: u32, group: Option<&Group>) -> Result<()> {
    let metadata =
        fs::metadata(path).with_context(|| format!("can not look at {}", path.display()))?;
    if let Some(Group { name, id }) = group
        && metadata.gid() != id.as_raw()
    {
        chown(path, None, Some(*id)).with_context(|| {
            format!(
                "can not give {} to group {name}: the agent needs CAP_CHOWN for that, or has to be \
                 in the group (systemd: SupplementaryGroups={name})",
                path.display()
            )
        })?;
    }
    if metadata.mode() & 0o777 != mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("can not set the mode of {}", path.display()))?;
    }
    Ok(())
}

/// What to do when something in a pin directory can not be opened, to be put behind
/// what failed.
pub fn advice(error: &io::Error, pins: &Path, to_change: bool) -> String {
    const SWITCH: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";

    match error.raw_os_error() {
        Some(libc::EACCES) if to_change => " (changing it takes root: use sudo)".to_owned(),
        Some(libc::EACCES) => match closed_above(pins, is_open_to_us) {
            Some(closed) if closed != pins => format!(
                " ({} is closed to this user: use sudo, or open it with `chmod o+x {}`)",
                closed.display(),
                closed.display()
            ),
            _ => format!(" ({})", whose(pins)),
        },
        Some(libc::EPERM) if fs::read_to_string(SWITCH).is_ok_and(|value| value.trim() != "0") => {
            " (kernel.unprivileged_bpf_disabled keeps users without CAP_BPF out of all maps on \
             kernels before Linux 5.19: use sudo)"
                .to_owned()
        }
        _ => String::new(),
    }
}

/// Who may read the pins, and what others can do.
fn whose(pins: &Path) -> String {
    let owner = fs::metadata(pins).map_or(ROOT, |metadata| Gid::from_raw(metadata.gid()));
    if owner == ROOT {
        return "only root may read it: use sudo, or name a group with `--group` of `ftp-helper run`"
            .to_owned();
    }
    let group = nix::unistd::Group::from_gid(owner).ok().flatten();
    let group = group.map_or_else(|| owner.to_string(), |group| group.name);
    format!("only root and group {group} may read it: use sudo, or add this user to the group")
}

/// The topmost directory above `path`, or `path` itself, that is not open.
fn closed_above(path: &Path, is_open: impl Fn(&fs::Metadata) -> bool) -> Option<&Path> {
    let mut directories: Vec<&Path> = path.ancestors().collect();
    directories.reverse();
    directories.into_iter().find(|directory| {
        fs::metadata(directory).is_ok_and(|metadata| metadata.is_dir() && !is_open(&metadata))
    })
}

/// True when this process may search the directory.
fn is_open_to_us(metadata: &fs::Metadata) -> bool {
    let group = Gid::from_raw(metadata.gid());
    let in_group = nix::unistd::getegid() == group
        || nix::unistd::getgroups().is_ok_and(|groups| groups.contains(&group));
    let bit = if metadata.uid() == nix::unistd::geteuid().as_raw() {
        0o100
    } else if in_group {
        0o010
    } else {
        0o001
    };
    metadata.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_go_by_name_or_number() {
        let root: Group = "root".parse().unwrap();
        assert_eq!(root.id, ROOT);
        let number: Group = "54321".parse().unwrap();
        assert_eq!(number.id.as_raw(), 54321);
        let error = "no-such-group".parse::<Group>().unwrap_err().to_string();
        assert!(error.contains("groupadd --system no-such-group"), "{error}");
    }

    #[test]
    fn the_first_closed_directory_is_found() {
        let place = tempfile::tempdir().unwrap();
        let closed = place.path().join("closed");
        let inner = closed.join("inner");
        fs::create_dir_all(&inner).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o711)).unwrap();
        let others = |metadata: &fs::Metadata| {
            metadata.mode() & 0o001 != 0 || metadata.ino() != fs::metadata(&closed).unwrap().ino()
        };
        assert_eq!(closed_above(&inner, others), None);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed_above(&inner, others), Some(closed.as_path()));
    }

    #[test]
    fn other_errors_need_no_advice() {
        let path = Path::new("/");
        for code in [libc::ENOENT, libc::EIO] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(advice(&error, path, false), "");
        }
        let error = io::Error::from_raw_os_error(libc::EACCES);
        assert!(advice(&error, path, true).contains("sudo"));
    }
}
