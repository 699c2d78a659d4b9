//! A control connection.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::Endpoint, expectation::ExpectationKey, grammar::Role, journal::Journal, stream::Stream,
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
    pub const CLIENT_INSIDE: u32 = 1;
    /// The inside endpoints were learned from conntrack.
    pub const LEARNED: u32 = 1 << 1;
    /// The server said 220.
    pub const GREETED: u32 = 1 << 2;
    /// The server said 230.
    pub const LOGGED_IN: u32 = 1 << 3;
    /// The connection is encrypted: sequence translation only.
    pub const OPAQUE: u32 = 1 << 4;
    /// Taken on in the middle of the connection.
    pub const PICKED_UP: u32 = 1 << 5;
    /// EPSV ALL was accepted.
    pub const EPSV_ALL: u32 = 1 << 6;
    /// The connection was opaque and is readable again.
    pub const CLEARED: u32 = 1 << 12;
    /// The client speaks another protocol: the connection stays opaque.
    pub const FOREIGN: u32 = 1 << 13;
    /// Not on a control port; the server greeted like one of FTP, the client has
    /// not spoken yet.
    pub const CANDIDATE: u32 = 1 << 10;
    /// The client's first line was not FTP.
    pub const REJECTED: u32 = 1 << 11;
    /// A new handshake with the same endpoints was seen.
    pub const RESTARTING: u32 = 1 << 9;
    /// An expectation of this session may be alive.
    pub const EXPECTING: u32 = 1 << 7;
    /// A RST was seen, or a FIN of both sides.
    pub const CLOSED: u32 = 1 << 8;
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
    /// Bits of [`flags`].
    pub flags: u32,
    /// Announcements rewritten or accepted.
    pub helped: u32,
    /// Announcements refused.
    pub refused: u32,
    /// Command lines of the client (wraps).
    pub commands: u16,
    /// Final replies of the server (wraps); trails `commands`.
    pub replies: u16,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub created: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds, of the last packet.
    pub last_seen: u64,
    /// Value of `commands` for the last announcing or asking command, whose
    /// reply is awaited while `outstanding` is not zero.
    pub outstanding_at: u16,
    /// The command whose reply is awaited.
    pub outstanding: Outstanding,
    /// Last refusal: 0 for none, else the [`Reason`](crate::reason::Reason)'s
    /// number plus 1.
    pub last_refusal: u8,
    /// Always zero.
    pub reserved: u32,
    /// The two directions, by [`Direction`].
    pub streams: [Stream; 2],
    /// What happened last.
    pub journal: Journal,
}

const _: () = assert!(size_of::<SessionKey>() == 40);
const _: () = assert!(size_of::<Session>() == 120 + 2 * size_of::<Stream>() + size_of::<Journal>());

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
