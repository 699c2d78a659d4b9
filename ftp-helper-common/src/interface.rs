//! What the agent tells the programs about an interface.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::address::Address;

/// Settings of one interface; map key: interface index (host byte order).
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct Interface {
    /// Address announced instead of the packet's own, to peers of its IP version; `::`
    /// means the packet's. See [`announces`](Self::announces).
    pub advertise: Address,
    /// First outside port that may be allocated, host byte order.
    pub first_port: u16,
    /// Last outside port that may be allocated (inclusive), host byte order.
    pub last_port: u16,
    /// Length of the link header: 14 for Ethernet, 0 for L3 devices.
    pub link_header: u16,
    /// Bits of [`Flags`](flags).
    pub flags: u16,
    /// Life time of an unused expectation, in seconds.
    pub expectation_timeout: u32,
    /// Most sessions of one client, 0 for no limit.
    pub client_limit: u32,
    /// Zone of conntrack that the connections through the interface are in, host byte order.
    pub ct_zone: u16,
    /// Always zero.
    pub reserved: u16,
    /// Mark of the conntrack entries of admitted data connections.
    pub ct_mark: u32,
    /// Mark of the packet that opens an admitted data connection; only the bits
    /// of `skb_mark_mask` are set.
    pub skb_mark: u32,
    /// Bits of the packet's mark that are replaced.
    pub skb_mark_mask: u32,
}

impl Interface {
    /// The address by which peers are told of an inside host that they see as `outside`.
    /// [`advertise`](Self::advertise) stands for addresses of its own IP version.
    #[inline(always)]
    pub fn announces(&self, outside: Address) -> Address {
        if self.advertise.is_unspecified() || self.advertise.is_v4() != outside.is_v4() {
            outside
        } else {
            self.advertise
        }
    }
}

/// Bits of [`Interface::flags`].
pub mod flags {
    /// No announcement is helped before the server's 230.
    pub const REQUIRE_LOGIN: u16 = 1;
    /// A `PORT` or `EPRT` admits nothing before the server's 2xx.
    pub const STRICT: u16 = 2;
    /// Connections on other ports become sessions when both sides speak FTP.
    pub const DETECT: u16 = 4;
    /// Third parties may take part in transfers (FXP), if they are on the list.
    pub const FXP: u16 = 8;
    /// A client may leave encryption again with `CCC` (RFC 4217 section 6).
    pub const CCC: u16 = 16;
    /// Inside hosts are behind this interface: data connections that they open
    /// come in here.
    pub const INSIDE: u16 = 32;
    /// Data connections that inside hosts open are admitted too: there are inside
    /// interfaces.
    pub const OUTGOING: u16 = 64;
    /// Packets of control connections are dropped, to be repeated by their TCP,
    /// and nothing is admitted: the agent moves the tables for a moment.
    pub const FROZEN: u16 = 128;
    /// `Interface::advertise` was set by hand, not by the agent. The programs do not
    /// ask.
    pub const ADVERTISED_BY_HAND: u16 = 256;
    /// Some outside endpoints are announced under an address of their own, which
    /// counts more than `Interface::advertise`.
    pub const PER_ENDPOINT: u16 = 512;
}

/// No server listens on port 0: its bit in the bitmap of control ports says that
/// sessions are detected on some interface.
pub const DETECT_MARK: u16 = 0;

/// Values of the map of control ports.
pub mod control_port {
    /// Not a control port any more: sessions that are there go on, because their
    /// sequence numbers need translation to the end; none are taken on.
    pub const DRAINING: u8 = 0;
    /// New sessions are taken on.
    pub const OPEN: u8 = 1;
    /// New sessions are taken on, for as long as a Service of Kubernetes wants it. The
    /// programs make no difference.
    pub const DISCOVERED: u8 = 2;

    /// True when new sessions are taken on, for whatever reason.
    #[inline(always)]
    pub const fn is_open(value: u8) -> bool {
        value != DRAINING
    }
}

/// A TCP port of FTP servers on one interface.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq)]
pub struct ControlPort {
    /// Interface index, host byte order.
    pub ifindex: u32,
    /// TCP port, host byte order.
    pub port: u16,
    /// Always zero.
    pub reserved: u16,
}

/// A network of third parties that may take part in transfers; the key of a
/// prefix trie has its length in bits in front (IPv4: 96 more).
pub type Network = [u8; 16];

const _: () = assert!(size_of::<Interface>() == 48);
const _: () = assert!(size_of::<ControlPort>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advertised_stands_for_its_own_ip_version() {
        let outside = [
            Address::from_v4([203, 0, 113, 1]),
            Address::from_groups(&[0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
        ];
        let advertise = [
            Address::from_v4([192, 0, 2, 99]),
            Address::from_groups(&[0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x99]),
        ];
        for own in 0..2 {
            let nothing = Interface::default();
            assert_eq!(nothing.announces(outside[own]), outside[own]);
            let interface = Interface {
                advertise: advertise[own],
                ..Interface::default()
            };
            assert_eq!(interface.announces(outside[own]), advertise[own]);
            assert_eq!(interface.announces(outside[1 - own]), outside[1 - own]);
        }
    }
}
