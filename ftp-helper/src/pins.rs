//! The pin directory: what outlives the agent.
//!
//! * `map_<NAME>_v<SCHEMA>`: a map. The schema version is part of the name, so an
//!   agent never mistakes the maps of another version for its own.
//! * `next_<NAME>_v<SCHEMA>`: a map that is about to take the place of the one of
//!   that name; left over only when that was interrupted, and of no use then.
//! * `link_<device>_<ifindex>_<direction>`: the attachment of a program with TCX.
//! * `lock`: a directory that only root may open, for [`PinDirectory::lock`].
//! * `filter_<device>_<ifindex>_<direction>`: a program that is attached with
//!   clsact. The pin does not hold the attachment, but tells that there is one.
//!
//! bpffs reserves dots in names, so a dot of the device's name (VLANs) is written
//! as `%2e`.
//!
//! One directory belongs to one network namespace: an interface index means
//! nothing in another one.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use ftp_helper_common::{SCHEMA_VERSION, session::Direction};

use crate::device::Device;

/// Where pins are kept when nothing else is said.
pub const DEFAULT: &str = "/sys/fs/bpf/ftp-helper";

/// A directory of pins.
#[derive(Clone, Debug)]
pub struct PinDirectory {
    path: PathBuf,
}

/// A pinned map.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MapPin {
    /// Name of the map in the object.
    pub name: String,
    /// Schema version.
    pub version: u32,
    /// Where it is.
    pub path: PathBuf,
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Technique {
    /// A link (Linux 6.6).
    Tcx,
    /// A filter of the clsact qdisc.
    Clsact,
}

impl Technique {
    /// The word for the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// An attachment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AttachmentPin {
    /// The device; its name is the one it had when the attachment was made.
    pub device: Device,
    /// The way through it.
    pub direction: Direction,
    /// How it is made.
    pub technique: Technique,
    /// Where it is.
    pub path: PathBuf,
}

/// What is in a pin directory.
#[derive(Debug, Default)]
pub struct Pins {
    /// Maps of any schema version.
    pub maps: Vec<MapPin>,
    /// Attachments.
    pub attachments: Vec<AttachmentPin>,
    /// Maps that did not take the place of others after all.
    pub leftovers: Vec<PathBuf>,
    /// Names that are none of ours.
    pub foreign: Vec<String>,
}

impl Pins {
    /// True when there is nothing of ours.
    pub fn is_empty(&self) -> bool {
        self.maps.is_empty() && self.attachments.is_empty()
    }

    /// A schema version other than ours that something is pinned with.
    pub fn other_version(&self) -> Option<u32> {
        let mut versions = self.maps.iter().map(|map| map.version);
        versions.find(|version| *version != SCHEMA_VERSION)
    }
}

/// The word for a direction, in names and in tables.
pub const fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "egress",
        Direction::Ingress => "ingress",
    }
}

impl PinDirectory {
    /// The directory at this path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the map of this name is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.path.join(format!("{MAP}{name}_v{SCHEMA_VERSION}"))
    }

    /// Where the map is pinned that is about to take its place.
    pub fn next_map(&self, name: &str) -> PathBuf {
        self.path.join(format!("{NEXT}{name}_v{SCHEMA_VERSION}"))
    }

    /// The pin of an attachment to this device.
    pub fn attachment(
        &self,
        device: &Device,
        direction: Direction,
        technique: Technique,
    ) -> AttachmentPin {
        let prefix = match technique {
            Technique::Tcx => LINK,
            Technique::Clsact => FILTER,
        };
        let name = device.name.replace('%', "%25").replace('.', "%2e");
        let word = direction_word(direction);
        AttachmentPin {
            device: device.clone(),
            direction,
            technique,
            path: self
                .path
                .join(format!("{prefix}{name}_{}_{word}", device.index)),
        }
    }

    /// Makes the directory unless it is there; true when it was made.
    pub fn create(&self) -> Result<bool> {
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error)
                .with_context(|| format!("can not make the pin directory {}", self.path.display())),
        }
    }

    /// What is in the directory; nothing when it does not exist.
    pub fn read(&self) -> Result<Pins> {
        let context = || format!("can not read the pin directory {}", self.path.display());
        let mut pins = Pins::default();
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(pins),
            Err(error) => return Err(error).with_context(context),
        };
        for entry in entries {
            let entry = entry.with_context(context)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some((name, version)) = parse_map(&name) {
                pins.maps.push(MapPin {
                    name: name.to_owned(),
                    version,
                    path: entry.path(),
                });
            } else if parse(NEXT, &name).is_some() {
                pins.leftovers.push(entry.path());
            } else if let Some((technique, device, direction)) = parse_attachment(&name) {
                pins.attachments.push(AttachmentPin {
                    device,
                    direction,
                    technique,
                    path: entry.path(),
                });
            } else if name != LOCK {
                pins.foreign.push(name);
            }
        }
        Ok(pins)
    }

    /// What is locked.
    pub fn lock_place(&self) -> PathBuf {
        self.path.join(LOCK)
    }

    /// Takes the lock that the agent holds while it runs; `None` when another
    /// process has it. The directory must exist.
    ///
    /// What is locked is among the pins: it goes with the process however that ends, and
    /// two agents can only meet where they would fight over the same pins. It is a
    /// directory, as bpffs has no files, and one of its own, because whoever may read a
    /// directory may lock it: a group that may read the pins may not stop the agent.
    pub fn lock(&self) -> Result<Option<Lock>> {
        let path = self.lock_place();
        let context = || format!("can not lock the pin directory {}", self.path.display());
        loop {
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error).with_context(context);
                }
                _ => {}
            }
            let directory = match File::open(&path) {
                // `detach` was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.with_context(context)?,
            };
            match directory.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error).with_context(context),
            }
            // `detach` may have removed the directory between the two calls; the
            // lock on the old one would keep nobody out.
            let ours = directory.metadata().with_context(context)?;
            match fs::metadata(&path) {
                Ok(found) if (found.dev(), found.ino()) == (ours.dev(), ours.ino()) => {
                    return Ok(Some(Lock {
                        _directory: directory,
                    }));
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(context);
                }
                _ => {}
            }
        }
    }

    /// Removes the directory, in which no pin may be left. Fine when it is not there.
    pub fn remove(&self) -> Result<()> {
        for path in [&self.lock_place(), &self.path] {
            if let Err(error) = fs::remove_dir(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error).with_context(|| {
                    format!("can not remove the pin directory {}", self.path.display())
                });
            }
        }
        Ok(())
    }

    /// Refuses pins that this version can not take over.
    pub fn check_version(pins: &Pins) -> Result<()> {
        if let Some(version) = pins.other_version() {
            bail!(
                "the pinned maps have schema version {version}, this ftp-helper needs \
                 {SCHEMA_VERSION}: start it with `--on-other-version replace`, or run \
                 `ftp-helper detach` with this one (live sessions lose their help)"
            );
        }
        Ok(())
    }
}

/// Removes the pin of a map, which goes with its last user.
pub fn remove_map(path: &Path) -> Result<()> {
    fs::remove_file(path)
        .with_context(|| format!("can not remove the pinned map {}", path.display()))
}

const MAP: &str = "map_";
const NEXT: &str = "next_";
const LINK: &str = "link_";
const FILTER: &str = "filter_";
const LOCK: &str = "lock";

/// `map_<NAME>_v<VERSION>`
fn parse_map(name: &str) -> Option<(&str, u32)> {
    parse(MAP, name)
}

fn parse<'a>(prefix: &str, name: &'a str) -> Option<(&'a str, u32)> {
    let (name, version) = name.strip_prefix(prefix)?.rsplit_once("_v")?;
    Some((name, version.parse().ok()?))
}

/// `link_<device>_<ifindex>_<direction>` or `filter_...`
fn parse_attachment(name: &str) -> Option<(Technique, Device, Direction)> {
    let (technique, rest) = if let Some(rest) = name.strip_prefix(LINK) {
        (Technique::Tcx, rest)
    } else {
        (Technique::Clsact, name.strip_prefix(FILTER)?)
    };
    let (rest, direction) = rest.rsplit_once('_')?;
    let direction = match direction {
        "ingress" => Direction::Ingress,
        "egress" => Direction::Egress,
        _ => return None,
    };
    let (name, index) = rest.rsplit_once('_')?;
    let device = Device {
        name: name.replace("%2e", ".").replace("%25", "%"),
        index: index.parse().ok()?,
    };
    Some((technique, device, direction))
}

/// The right to change what is pinned, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _directory: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, index: u32) -> Device {
        Device {
            name: name.to_owned(),
            index,
        }
    }

    #[test]
    fn attachment_names_round_trip_and_hold_no_dot() {
        let pins = PinDirectory::new("/pins");
        for name in ["wan0", "eth0.100", "a_b_1", "x%2ey", "br-0"] {
            for technique in [Technique::Tcx, Technique::Clsact] {
                for direction in [Direction::Ingress, Direction::Egress] {
                    let device = device(name, 7);
                    let pin = pins.attachment(&device, direction, technique);
                    let file = pin.path.file_name().unwrap().to_str().unwrap();
                    assert!(!file.contains('.'), "{file}");
                    assert_eq!(parse_attachment(file), Some((technique, device, direction)));
                }
            }
        }
    }

    #[test]
    fn map_names_carry_the_schema_version() {
        let path = PinDirectory::new("/pins").map("CONTROL_PORTS");
        let file = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(parse_map(file), Some(("CONTROL_PORTS", SCHEMA_VERSION)));
    }

    #[test]
    fn other_names_are_foreign() {
        for name in [
            "map_X",
            "map_X_vx",
            "link_a_1_up",
            "filter_a_b_egress",
            "prog",
        ] {
            assert!(
                parse_map(name).is_none() && parse_attachment(name).is_none(),
                "{name}"
            );
        }
    }

    #[test]
    fn another_schema_version_is_refused_with_the_way_out() {
        let mut pins = Pins::default();
        PinDirectory::check_version(&pins).unwrap();
        pins.maps.push(MapPin {
            name: "SESSIONS".to_owned(),
            version: SCHEMA_VERSION + 1,
            path: PathBuf::new(),
        });
        let error = PinDirectory::check_version(&pins).unwrap_err().to_string();
        for way in ["--on-other-version replace", "ftp-helper detach"] {
            assert!(error.contains(way), "{error}");
        }
    }

    #[test]
    fn one_holder_of_the_lock_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let pins = PinDirectory::new(place.path().join("pins"));
        assert!(pins.create().unwrap());
        assert!(!pins.create().unwrap());
        let lock = pins.lock().unwrap();
        assert!(lock.is_some());
        assert!(pins.lock().unwrap().is_none());
        drop(lock);
        assert!(pins.lock().unwrap().is_some());
        pins.remove().unwrap();
        pins.remove().unwrap();
        assert!(pins.read().unwrap().is_empty());
    }
}
