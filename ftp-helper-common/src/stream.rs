//! One direction of a control connection: how far it was read.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::grammar::LineParser;

/// `a` is before `b` in sequence space (RFC 9293 section 3.4).
#[inline(always)]
pub const fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

/// Bits of [`Stream::flags`].
pub mod flags {
    /// `Stream::next` is valid.
    pub const POSITIONED: u16 = 1;
    /// The sender closed this direction.
    pub const FINISHED: u16 = 2;
    /// A segment that came too early may be kept: see [`Stash`](crate::stash::Stash).
    pub const STASHED: u16 = 4;
}

/// State of one direction.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct Stream {
    /// Sequence number behind the last byte that the parser saw, as the sender counts.
    pub next: u32,
    /// Number of the wire up to which the receiver acknowledged everything.
    pub acknowledged: u32,
    /// Last window field seen from the sender, host byte order, unscaled.
    pub window: u16,
    /// Bits of [`flags`]; only segments of this direction change them.
    pub flags: u16,
    /// 1 when `acknowledged` is valid. Segments of the other direction say so, on any
    /// processor, so it is no bit among those of this one.
    pub heard: u16,
    /// Always zero.
    pub reserved: u16,
    /// The line being read.
    pub parser: LineParser,
}

const _: () = assert!(size_of::<Stream>() == 76);

impl Stream {
    /// Notes an acknowledgment of the receiver, in the numbers of the wire, which are
    /// `delta` more than the sender's. One of bytes that were never sent is nobody's; a
    /// FIN counts as one byte.
    #[inline(always)]
    pub fn hear(&mut self, acknowledgment: u32, delta: u32) {
        let end = self.next.wrapping_add(delta).wrapping_add(1);
        let is_new = self.heard == 0 || before(self.acknowledged, acknowledgment);
        let was_sent = self.flags & flags::POSITIONED == 0 || !before(end, acknowledgment);
        if is_new && was_sent {
            self.acknowledged = acknowledgment;
            self.heard = 1;
        }
    }

    /// True when the receiver has everything before this number of the wire.
    #[inline(always)]
    pub fn has_arrived(&self, wire: u32) -> bool {
        self.heard == 1 && !before(self.acknowledged, wire)
    }
}

#[cfg(test)]
mod tests;
