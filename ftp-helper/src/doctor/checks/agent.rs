//! Whether an agent runs.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::Result;
use nix::sys::stat::{major, minor};

use super::Check;
use crate::doctor::{Finding, Gateway};

pub(super) const CHECK: Check = Check {
    name: "agent",
    looks_at: "the lock that a running agent holds on the pin directory",
    quick: false,
    run,
};

fn run(gateway: &Gateway) -> Result<Vec<Finding>> {
    let path = gateway.pins.path();
    let subject = path.display().to_string();
    let names: Vec<&str> = gateway
        .outsides
        .iter()
        .map(|outside| outside.device.name.as_str())
        .collect();
    let names = if names.is_empty() {
        vec!["IFACE"]
    } else {
        names
    };
    let fix = format!("ftp-helper run -i {}", names.join(" -i "));
    if !path.exists() {
        return Ok(vec![Finding::warn(
            subject,
            "nothing is loaded: FTP is not helped",
            fix,
        )]);
    }
    if let Some(holder) = holder(path) {
        return Ok(vec![Finding::ok(
            subject,
            format!("process {holder} is at work on it"),
        )]);
    }
    // Locks of other PID namespaces are not shown. Held for a moment only.
    let is_free = gateway.pins.lock()?.is_some();
    Ok(vec![if !is_free {
        Finding::ok(subject, "an agent is at work on it")
    } else if gateway.pinned.attachments.is_empty() {
        Finding::warn(subject, "no agent runs and no program is attached", fix)
    } else {
        Finding::warn(
            subject,
            "no agent runs: the programs go on, but nothing is reported, and control connections \
             that end without a word are kept",
            fix,
        )
    }])
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
}
