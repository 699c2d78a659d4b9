//! A control connection.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::Endpoint, expectation::ExpectationKey, grammar::Role, journal::Journal,
    rewrite::Rewrites, stream::Stream,
};

/// A control connection as it is seen outside, the same key for both
/// directions.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct SessionKey {
    /// Our side of the connection, behind every translation.
    pub outside: Endpoint,
    /// The host on the far side of the outside interface.
    pub peer: Endpoint,
}

impl SessionKey {
    /// A number for the key, whose low half and high half are as good as two.
    #[inline(always)]
    pub fn digest(&self) -> u64 {
        const WORDS: usize = size_of::<SessionKey>() / 4;
        let words: &[u32; WORDS] = zerocopy::transmute_ref!(self);
        let mut digest = 0_u64;
        for word in words {
            digest = (digest ^ u64::from(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            digest ^= digest >> 29;
        }
        digest
    }
}

/// A way through the outside interface; index of [`Session::streams`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the inside host to the peer.
    Egress = 0,
    /// From the peer to the inside host.
    Ingress = 1,
}

impl Direction {
    /// The other way.
    #[must_use]
    #[inline(always)]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Egress => Self::Ingress,
            Self::Ingress => Self::Egress,
        }
    }
}

/// Bits of [`Session::flags`].
pub mod flags {
    /// The client is the inside host; otherwise it is the peer.
    pub const CLIENT_INSIDE: u64 = 1;
    /// The inside endpoints were learned from conntrack.
    pub const LEARNED: u64 = 1 << 1;
    /// The server said 220.
    pub const GREETED: u64 = 1 << 2;
    /// The server said 230.
    pub const LOGGED_IN: u64 = 1 << 3;
    /// The connection is encrypted: sequence translation only.
    pub const OPAQUE: u64 = 1 << 4;
    /// Taken on in the middle of the connection.
    pub const PICKED_UP: u64 = 1 << 5;
    /// EPSV ALL was accepted.
    pub const EPSV_ALL: u64 = 1 << 6;
    /// The connection was opaque and is readable again.
    pub const CLEARED: u64 = 1 << 12;
    /// The client speaks another protocol: the connection stays opaque.
    pub const FOREIGN: u64 = 1 << 13;
    /// Not on a control port; the server greeted like one of FTP, the client has
    /// not spoken yet.
    pub const CANDIDATE: u64 = 1 << 10;
    /// The client's first line was not FTP.
    pub const REJECTED: u64 = 1 << 11;
    /// A new handshake with the same endpoints was seen.
    pub const RESTARTING: u64 = 1 << 9;
    /// An expectation of this session may be alive.
    pub const EXPECTING: u64 = 1 << 7;
    /// A RST was seen, or a FIN of both sides.
    pub const CLOSED: u64 = 1 << 8;
}

/// The command whose reply is awaited, as far as the helper cares; numbers of
/// [`Kind`](crate::grammar::Kind).
pub type Outstanding = u8;

/// What is known of a control connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
pub struct Session {
    /// The inside host's own endpoint, before every translation.
    pub inside: Endpoint,
    /// The peer as the inside host sees it.
    pub seen_peer: Endpoint,
    /// The live expectation, while [`flags::EXPECTING`] is set.
    pub expectation: ExpectationKey,
    /// Interface index, host byte order.
    pub ifindex: u32,
    /// Bits of [`flags`]. So many because segments of both directions change them at the
    /// same time, and the programs have atomic operations for this width only.
    pub flags: u64,
    /// Announcements rewritten or accepted.
    pub helped: u32,
    /// Announcements refused.
    pub refused: u32,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub created: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds, of the last packet.
    pub last_seen: u64,
    /// Command lines of the client (wraps).
    pub commands: u16,
    /// Final replies of the server (wraps); trails `commands`.
    pub replies: u16,
    /// Value of `commands` for the last announcing or asking command, whose
    /// reply is awaited while `outstanding` is not zero.
    pub outstanding_at: u16,
    /// The command whose reply is awaited.
    pub outstanding: Outstanding,
    /// Last refusal: 0 for none, else the [`Reason`](crate::reason::Reason)'s
    /// number plus 1.
    pub last_refusal: u8,
    /// Not zero while a processor works on the data of a direction; by [`Direction`].
    pub locks: [u64; 2],
    /// The two directions, by [`Direction`].
    pub streams: [Stream; 2],
    /// What became of the bytes that went out.
    pub rewrites: Rewrites,
    /// What happened last.
    pub journal: Journal,
    /// Always zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<SessionKey>() == 40);
/// With its key and the kernel's own part, an element of the table takes 2048 bytes of the
/// kernel's allocator, which has nothing between that and the double.
const _: () = assert!(size_of::<Session>() <= 1952);
const _: () = assert!(size_of::<Session>() == 136 + 2 * 76 + 752 + 900 + 4);

impl Session {
    /// Who sends in this direction.
    #[inline(always)]
    pub fn role(&self, direction: Direction) -> Role {
        let client_inside = self.flags & flags::CLIENT_INSIDE != 0;
        match (client_inside, direction) {
            (true, Direction::Egress) | (false, Direction::Ingress) => Role::Client,
            _ => Role::Server,
        }
    }

    /// What was done to the bytes of this direction; nothing ever to those that come in.
    #[must_use]
    pub fn rewrites_of(&self, direction: Direction) -> Option<&Rewrites> {
        (direction == Direction::Egress).then_some(&self.rewrites)
    }
}

/// A TCP handshake on a control port that is under way. Spoofed SYNs only turn
/// over this small LRU map; a session starts with the third segment, whose
/// acknowledgment number proves that its sender saw the second.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct Handshake {
    /// Initial sequence number of the initiator.
    pub initiator: u32,
    /// Initial sequence number of the responder.
    pub responder: u32,
    /// 1 when the initiator is inside.
    pub client_inside: u8,
    /// 1 when the SYN-ACK was seen.
    pub answered: u8,
    /// Always zero.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<Handshake>() == 12);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::address::Address;

    /// Neighbours in one place are told apart by both halves.
    #[test]
    fn digests_of_neighbours_differ() {
        let mut halves = [HashSet::new(), HashSet::new()];
        let count = 20_000;
        for number in 0..count {
            let [low, high] = [number & 0xff, number >> 8].map(|it| u16::try_from(it).unwrap());
            let key = SessionKey {
                outside: Endpoint::new(Address::from_v4([203, 0, 113, 1]), 40_000 + high),
                peer: Endpoint::new(Address::from_v4([198, 51, 100, 7]), 21 + low),
            };
            let digest = key.digest();
            // As many places as the programs have.
            halves[0].insert(digest & 0xfffff);
            halves[1].insert(digest >> 32 & 0xfffff);
        }
        // By chance alone, 1 % of them meet another one.
        for half in halves {
            assert!(half.len() > count * 98 / 100, "{}", half.len());
        }
    }
}
