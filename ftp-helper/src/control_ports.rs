//! The summary of all control ports that lets other packets pass at once.

use anyhow::Result;
use ftp_helper_common::interface::DETECT_MARK;

use crate::{
    datapath::maps::{PortBits, Ports},
    ports::PortSet,
};

/// Brings the bitmap up to date with the ports of every interface. `detect`:
/// sessions are also looked for elsewhere; otherwise that stays as it is.
pub fn summarise(ports: &Ports, bitmap: &mut PortBits, detect: bool) -> Result<()> {
    let mut set: PortSet = ports.entries()?.iter().map(|(key, _)| key.port).collect();
    if detect || bitmap.contains(DETECT_MARK)? {
        set.insert(DETECT_MARK);
    }
    bitmap.store(&set)
}
