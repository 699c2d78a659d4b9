//! Packets with another host's address as their source.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use anyhow::{Result, bail};
use etherparse::PacketBuilder;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};

use crate::host::Host;

/// A segment that its source did not send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forged {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) sequence: u32,
    pub(super) reset: bool,
}

impl Forged {
    /// Sends it from `host`.
    pub(super) fn send(self, host: &Host) -> Result<()> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (self.source.ip(), self.destination.ip()) else {
            bail!("only IPv4 packets can be forged here");
        };
        let ports = (self.source.port(), self.destination.port());
        let builder = PacketBuilder::ipv4(from.octets(), to.octets(), 64).tcp(
            ports.0,
            ports.1,
            self.sequence,
            u16::MAX,
        );
        let builder = if self.reset {
            builder.rst()
        } else {
            builder.syn()
        };
        let mut packet = Vec::new();
        builder.write(&mut packet, &[])?;
        host.enter(|| {
            let raw = socket(
                AddressFamily::Inet,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::Raw,
            )?;
            let to = SockaddrIn::from(SocketAddrV4::new(to, 0));
            let descriptor = std::os::fd::AsRawFd::as_raw_fd(&raw);
            sendto(descriptor, &packet, &to, MsgFlags::empty())?;
            Ok(())
        })
    }
}
