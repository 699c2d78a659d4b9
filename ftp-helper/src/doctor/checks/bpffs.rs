//! The place of the pins.

use std::path::Path;

use nix::sys::statfs::statfs;

use super::Check;
use crate::{
    doctor::{Finding, Gateway},
    preflight::{BPFFS, place_of},
};

pub(super) const CHECK: Check = Check {
    name: "bpffs",
    looks_at: "the BPF file system that holds what outlives the agent",
    quick: false,
    run: |gateway| Ok(run(gateway)),
};

fn run(gateway: &Gateway) -> Vec<Finding> {
    let place = place_of(gateway.pins.path());
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
