//! The place of the pins.

use std::path::Path;

use nix::sys::statfs::{FsType, statfs};

use super::Check;
use crate::doctor::{Finding, Gateway};

pub(super) const CHECK: Check = Check {
    name: "bpffs",
    looks_at: "the BPF file system that holds what outlives the agent",
    quick: false,
    run: |gateway| Ok(run(gateway)),
};

const BPFFS: FsType = FsType(libc::BPF_FS_MAGIC);

fn run(gateway: &Gateway) -> Vec<Finding> {
    let path = gateway.pins.path();
    // A start makes the last directory of the path, and no other one.
    let place = if path.exists() {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    let subject = place.display().to_string();
    let fix = format!(
        "`mount -t bpf bpf {}`, or choose another place with --pin-dir",
        mount_point(place).display()
    );
    vec![match statfs(place) {
        Err(error) => Finding::fail(subject, format!("it can not be looked at: {error}"), fix),
        Ok(found) if found.filesystem_type() != BPFFS => Finding::fail(
            subject,
            "it is not on a BPF file system: programs and maps can not be pinned there",
            fix,
        ),
        Ok(_) => Finding::ok(subject, "it is on a BPF file system"),
    }]
}

/// Where such a file system belongs, for a place that is not on one.
fn mount_point(place: &Path) -> &Path {
    let usual = Path::new("/sys/fs/bpf");
    if place.starts_with(usual) {
        usual
    } else {
        place
    }
}
