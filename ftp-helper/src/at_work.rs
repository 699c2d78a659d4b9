//! Whether an agent runs: it holds the lock of the pin directory.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Context as _, Result};
use nix::sys::stat::{major, minor};

use crate::pins::PinDirectory;

/// An agent, or somebody else of ours who changes what is pinned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AtWork {
    /// Nobody.
    Nobody,
    /// A process; its number is not known when it is in another PID namespace.
    Process(Option<u32>),
}

/// Who is at work on the pins. Takes the right to read the directory and nothing
/// else.
pub fn at_work(pins: &PinDirectory) -> Result<AtWork> {
    let path = pins.path();
    // Whoever may not look at the pins learns nothing.
    match fs::File::open(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(AtWork::Nobody),
        Err(error) => {
            let advice = crate::readers::advice(&error, path, false);
            return Err(error)
                .with_context(|| format!("can not look at {}{advice}", path.display()));
        }
    }
    let place = pins.lock_place();
    if let Some(holder) = holder(&place) {
        return Ok(AtWork::Process(Some(holder)));
    }
    // Locks of other PID namespaces are not shown, and only root can try.
    if let Err(error) = fs::File::open(&place) {
        return match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Ok(AtWork::Nobody),
            _ => Err(error).with_context(|| format!("can not look at {}", place.display())),
        };
    }
    Ok(match pins.lock()? {
        Some(_) => AtWork::Nobody,
        None => AtWork::Process(None),
    })
}

/// The process that has the lock, from the kernel's list of locks, which can be
/// read without taking it.
fn holder(path: &Path) -> Option<u32> {
    let found = fs::metadata(path).ok()?;
    let device = (major(found.dev()), minor(found.dev()));
    in_list(
        &fs::read_to_string("/proc/locks").ok()?,
        device,
        found.ino(),
    )
}

/// Lines like `5: FLOCK  ADVISORY  WRITE 1869 fe:00:10150235 0 EOF`.
fn in_list(list: &str, device: (u64, u64), inode: u64) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", device.0, device.1);
    list.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [_, "FLOCK", _, "WRITE", process, of, ..] if *of == file => process.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_in_the_list() {
        let list = "1: POSIX  ADVISORY  READ 24275 00:27:61 0 EOF\n\
                    2: FLOCK  ADVISORY  WRITE 18698 fe:00:10150235 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 18699 00:1b:77 0 EOF\n\
                    3: FLOCK  ADVISORY  READ 18698 00:1b:78 0 EOF\n";
        assert_eq!(in_list(list, (0xfe, 0), 10_150_235), Some(18698));
        assert_eq!(in_list(list, (0, 0x27), 61), None);
        assert_eq!(in_list(list, (0, 0x1b), 77), None);
        assert_eq!(in_list(list, (0, 0x1b), 78), None);
    }

    #[test]
    fn somebody_is_at_work_as_long_as_the_lock_is_held() {
        let place = tempfile::tempdir().unwrap();
        let pins = PinDirectory::new(place.path().join("pins"));
        assert_eq!(at_work(&pins).unwrap(), AtWork::Nobody);
        pins.create().unwrap();
        assert_eq!(at_work(&pins).unwrap(), AtWork::Nobody);
        let lock = pins.lock().unwrap();
        assert!(lock.is_some());
        assert!(matches!(at_work(&pins).unwrap(), AtWork::Process(_)));
        drop(lock);
        assert_eq!(at_work(&pins).unwrap(), AtWork::Nobody);
    }
}
