//! Features of a device's driver.

use std::{
    io, mem,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, bail};

use crate::device::Device;

/// `ETHTOOL_GFLAGS`: the old request is a single word, and has what is asked here.
const ETHTOOL_GFLAGS: u32 = 0x25;
/// `ETH_FLAG_LRO`
const LRO: u32 = 1 << 15;

/// `struct ethtool_value`
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// True when the device merges received segments into larger ones that can not
/// be taken apart again (LRO, unlike GRO).
pub fn merges_for_good(device: &Device) -> Result<bool> {
    let context = || format!("can not read the features of interface {}", device.name);

    // SAFETY: socket() takes no pointers.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error()).with_context(context);
    }
    // SAFETY: the descriptor was just made and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };

    let mut value = EthtoolValue {
        command: ETHTOOL_GFLAGS,
        data: 0,
    };
    // SAFETY: an ifreq of zeros is valid: a name, and a union of plain data.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if device.name.len() >= request.ifr_name.len() {
        bail!("interface name {} is too long", device.name);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(device.name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: SIOCETHTOOL reads the name and, for this command, writes to the
    // value behind the pointer; both live across the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error()).with_context(context);
    }
    Ok(value.data & LRO != 0)
}

/// `SIOCETHTOOL`, in the type that this C library gives to request numbers.
const SIOCETHTOOL: libc::Ioctl = 0x8946;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_does_not_merge_for_good() {
        assert!(!merges_for_good(&Device::find("lo").unwrap()).unwrap());
    }
}
