//! What the kernel says of maps.

use std::{fs, os::fd::AsRawFd as _, path::Path};

use anyhow::{Context as _, Result};
use ftp_helper::datapath::sys;

/// Bytes that the kernel counts for a pinned map. To be called where `/proc` is that
/// of the caller.
pub(super) fn memory_of_map(pin: &Path) -> Result<u64> {
    let map =
        sys::open_pin_to_read(pin).with_context(|| format!("can not open {}", pin.display()))?;
    let info = format!("/proc/self/fdinfo/{}", map.as_raw_fd());
    let text = fs::read_to_string(&info).with_context(|| format!("can not read {info}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
        .with_context(|| format!("{info} has no memlock:\n{text}"))
}
