//! A segment that arrived before the one that precedes it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::session::{Direction, SessionKey};

/// Longest segment that is kept when it arrives too early, in bytes.
pub const STASH: usize = 256;

/// Number of places for such segments, a power of two.
pub const PLACES: u32 = 1024;

/// A place for such a segment. It goes on together with the one that closes the gap;
/// nobody acknowledged it, so nothing is lost when it is forgotten, and connections that
/// meet in one place may take it from each other.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
pub struct Stash {
    /// Not zero while a processor works on the place.
    pub lock: u64,
    /// Whose it is.
    pub session: SessionKey,
    /// Its [`Direction`](crate::session::Direction), as a number.
    pub direction: u32,
    /// Its first byte, as the sender counts.
    pub start: u32,
    /// Its length in bytes, 0 for none.
    pub len: u32,
    /// Always zero.
    pub reserved: u32,
    /// Its payload, zero-padded.
    pub bytes: [u8; STASH],
}

const _: () = assert!(PLACES.is_power_of_two());
const _: () = assert!(size_of::<Stash>() == 8 + 40 + 16 + STASH);

/// The place of a direction of a connection, below [`PLACES`]. The two of a connection
/// have different ones.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "either half of the digest is as good"
)]
pub fn place_of(session: &SessionKey, direction: Direction) -> u32 {
    (session.digest() as u32 ^ direction as u32) & (PLACES - 1)
}
