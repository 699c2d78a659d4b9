//! TUN devices.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
};

use anyhow::{Context as _, Result, ensure};

/// Where they come from.
const CONTROL: &str = "/dev/net/tun";

/// Makes the device `name` in the network namespace that the thread is in: every
/// read is a packet that was sent to it, every write one that it receives. It goes
/// away with the file.
pub(super) fn open(name: &str) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(CONTROL)
        .with_context(|| format!("{CONTROL} can not be opened"))?;
    // SAFETY: a plain structure, for which zero means unset.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    let (_, room) = request.ifr_name.split_last_mut().context("no room")?;
    ensure!(name.len() <= room.len(), "{name} is too long for a device");
    for (to, from) in room.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI)?;
    // SAFETY: the request's argument is the structure.
    let set = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw const request) };
    ensure!(
        set == 0,
        "no TUN device {name}: {}",
        io::Error::last_os_error()
    );
    Ok(file)
}
