//! Sockets that take TCP segments as they are; the kernel adds the IP header, and
//! cuts a packet that is too long into fragments.

use std::{
    io,
    mem::size_of,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

/// Longest packet.
const PACKET: usize = 1 << 16;

/// A socket between two addresses.
#[derive(Debug)]
pub(super) struct Socket {
    descriptor: OwnedFd,
    is_v4: bool,
}

impl Socket {
    /// In the network namespace that the thread is in.
    pub(super) fn open(local: IpAddr, peer: IpAddr) -> Result<Self> {
        let family = if local.is_ipv4() {
            libc::AF_INET
        } else {
            libc::AF_INET6
        };
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers.
        let descriptor = unsafe { libc::socket(family, kind, libc::IPPROTO_TCP) };
        ensure!(
            descriptor >= 0,
            "no raw socket: {}",
            io::Error::last_os_error()
        );
        // SAFETY: the descriptor is new and nobody else's.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        for (call, address) in [
            (libc::bind as Call, SocketAddr::new(local, 0)),
            (libc::connect as Call, SocketAddr::new(peer, 0)),
        ] {
            let (address, length) = raw(address)?;
            // SAFETY: the address is valid for the call and of that length.
            let done = unsafe { call(descriptor.as_raw_fd(), (&raw const address).cast(), length) };
            ensure!(
                done == 0,
                "raw socket between {local} and {peer}: {}",
                io::Error::last_os_error()
            );
        }
        Ok(Self {
            descriptor,
            is_v4: local.is_ipv4(),
        })
    }

    pub(super) fn send(&self, packet: &[u8]) -> Result<()> {
        let descriptor = self.descriptor.as_raw_fd();
        // SAFETY: pointer and length are those of the slice.
        let sent = unsafe { libc::send(descriptor, packet.as_ptr().cast(), packet.len(), 0) };
        ensure!(
            usize::try_from(sent) == Ok(packet.len()),
            "a packet of {} bytes was not sent: {}",
            packet.len(),
            io::Error::last_os_error()
        );
        Ok(())
    }

    /// The next TCP segment between the two addresses, if one comes in time.
    pub(super) fn receive(&self, limit: Duration) -> Result<Option<Vec<u8>>> {
        let mut polled = libc::pollfd {
            fd: self.descriptor.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let limit = libc::c_int::try_from(limit.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one entry.
        if unsafe { libc::poll(&raw mut polled, 1, limit) } <= 0 {
            return Ok(None);
        }
        let mut packet = vec![0_u8; PACKET];
        let descriptor = self.descriptor.as_raw_fd();
        // SAFETY: pointer and length are those of the vector.
        let count = unsafe { libc::recv(descriptor, packet.as_mut_ptr().cast(), PACKET, 0) };
        let count = usize::try_from(count)
            .map_err(|_| io::Error::last_os_error())
            .context("raw socket")?;
        packet.truncate(count);
        if self.is_v4 {
            // With IPv6 the header is not part of what is received.
            let header = usize::from(packet.first().context("an empty packet")? & 15) * 4;
            ensure!(header <= count, "a packet of {count} bytes");
            packet.drain(..header);
        }
        Ok(Some(packet))
    }
}

type Call =
    unsafe extern "C" fn(libc::c_int, *const libc::sockaddr, libc::socklen_t) -> libc::c_int;

/// The address as the kernel wants it.
fn raw(address: SocketAddr) -> Result<(libc::sockaddr_storage, libc::socklen_t)> {
    // SAFETY: a plain structure, for which zero means unset.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let length = match address.ip() {
        IpAddr::V4(ip) => {
            // SAFETY: the storage is large enough and aligned for every family.
            let v4 = unsafe { &mut *(&raw mut storage).cast::<libc::sockaddr_in>() };
            v4.sin_family = libc::sa_family_t::try_from(libc::AF_INET)?;
            v4.sin_addr.s_addr = u32::from_ne_bytes(ip.octets());
            size_of::<libc::sockaddr_in>()
        }
        IpAddr::V6(ip) => {
            // SAFETY: as above.
            let v6 = unsafe { &mut *(&raw mut storage).cast::<libc::sockaddr_in6>() };
            v6.sin6_family = libc::sa_family_t::try_from(libc::AF_INET6)?;
            v6.sin6_addr.s6_addr = ip.octets();
            size_of::<libc::sockaddr_in6>()
        }
    };
    Ok((storage, libc::socklen_t::try_from(length)?))
}
