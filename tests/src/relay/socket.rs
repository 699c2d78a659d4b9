//! Packet sockets.

use std::{
    ffi::CString,
    fs::File,
    io,
    mem::size_of,
    os::fd::{AsRawFd as _, FromRawFd as _},
    time::Duration,
};

use anyhow::{Context as _, Result};

/// `PACKET_IGNORE_OUTGOING` of linux/if_packet.h.
const IGNORE_OUTGOING: libc::c_int = 23;

/// Every frame that arrives at `device` of the network namespace that the thread
/// is in; writing sends a frame there.
pub(crate) fn open(device: &str) -> Result<File> {
    raw(device).with_context(|| format!("no packet socket on {device}"))
}

fn raw(device: &str) -> io::Result<File> {
    let name = CString::new(device)?;
    let number = u16::try_from(libc::ETH_P_ALL).map_err(io::Error::other)?;
    let protocol = number.to_be();
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Bound before it receives: protocol 0 takes no frames of other devices.
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { File::from_raw_fd(socket) };
    let one: libc::c_int = 1;
    // SAFETY: the option's value is the integer.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            IGNORE_OUTGOING,
            (&raw const one).cast(),
            length(size_of::<libc::c_int>())?,
        )
    };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a plain structure, for which zero means unset.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).map_err(io::Error::other)?;
    address.sll_protocol = protocol;
    // SAFETY: the name ends with NUL.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    address.sll_ifindex = index.cast_signed();
    // SAFETY: the address is of the type and size that the family has.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            length(size_of::<libc::sockaddr_ll>())?,
        )
    };
    if bound < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

fn length(size: usize) -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(size).map_err(io::Error::other)
}

/// Waits until one of them has a frame, at most for `limit`.
pub(super) fn wait(sockets: &[File; 2], limit: Duration) {
    let mut polled = sockets.each_ref().map(|socket| libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    let limit = libc::c_int::try_from(limit.as_millis() + 1).unwrap_or(libc::c_int::MAX);
    // SAFETY: as many entries as are given. An interruption is no harm: the
    // caller looks at both sockets and comes back.
    unsafe { libc::poll(polled.as_mut_ptr(), 2, limit) };
}
