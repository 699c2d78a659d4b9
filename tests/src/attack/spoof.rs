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
pub struct Forged {
    /// Who is said to send it.
    pub source: SocketAddr,
    /// Who gets it.
    pub destination: SocketAddr,
    /// Its sequence number.
    pub sequence: u32,
    /// What it is.
    pub what: What,
}

/// Kinds of forged segments.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// The beginning of a connection.
    Syn,
    /// The end of one.
    Reset,
    /// Something that is said in between.
    Text(&'static str),
}

impl Forged {
    /// Sends it from `host`.
    pub fn send(self, host: &Host) -> Result<()> {
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
        let (builder, text) = match self.what {
            What::Syn => (builder.syn(), ""),
            What::Reset => (builder.rst(), ""),
            What::Text(text) => (builder.psh().ack(1), text),
        };
        let mut packet = Vec::new();
        builder.write(&mut packet, text.as_bytes())?;
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
