//! One direction of a control connection.
//!
//! Sequence numbers come in two spaces: *sender* (as the sending host counts)
//! and *wire* (as the receiving host sees them, behind every rewrite). A
//! [`Rewrite`] says which bytes of the sender's space were replaced by which
//! text; the last [`REWRITES`] of a direction are kept, each with the delta that
//! holds behind it, so several may be in flight at once. Everything older than
//! the ring is covered by one base delta.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::grammar::{LineParser, TEXT};

/// Rewrites that are remembered per direction. A retransmission of data before
/// the oldest of them is passed with the base delta and its own bytes.
pub const REWRITES: usize = 8;

/// `a` is before `b` in sequence space (RFC 9293 section 3.4).
#[inline(always)]
pub const fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// Bits of [`Stream::flags`].
pub mod flags {
    /// `Stream::next` is valid.
    pub const POSITIONED: u16 = 1;
    /// The sender closed this direction.
    pub const FINISHED: u16 = 2;
}

/// Bytes of the sender that were replaced on their way.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
pub struct Rewrite {
    /// First replaced byte, sender space.
    pub start: u32,
    /// Number of replaced bytes.
    pub original_len: u16,
    /// Number of bytes put in their place.
    pub new_len: u16,
    /// Wire minus sender, for every position from the end of this rewrite on
    /// (wrapping).
    pub delta_after: u32,
    /// Digest of the first `digest_len` replaced bytes.
    pub digest: u32,
    /// See `digest`; 0 when there is nothing to compare.
    pub digest_len: u16,
    /// The first so many replaced bytes were acknowledged by us while the line
    /// was held: the sender will not send them again.
    pub held_len: u16,
    /// What is sent instead, zero-padded.
    pub text: [u8; TEXT],
}

impl Default for Rewrite {
    fn default() -> Self {
        Self {
            start: 0,
            original_len: 0,
            new_len: 0,
            delta_after: 0,
            digest: 0,
            digest_len: 0,
            held_len: 0,
            text: [0; TEXT],
        }
    }
}

impl Rewrite {
    /// First byte behind the replaced ones, sender space.
    #[inline(always)]
    pub fn end(&self) -> u32 {
        self.start.wrapping_add(u32::from(self.original_len))
    }

    /// Wire minus sender before this rewrite.
    #[inline(always)]
    pub fn delta_before(&self) -> u32 {
        self.delta_after
            .wrapping_sub(u32::from(self.new_len))
            .wrapping_add(u32::from(self.original_len))
    }

    /// First byte of the text, wire space.
    #[inline(always)]
    pub fn wire_start(&self) -> u32 {
        self.start.wrapping_add(self.delta_before())
    }

    /// First byte behind the text, wire space.
    #[inline(always)]
    pub fn wire_end(&self) -> u32 {
        self.wire_start().wrapping_add(u32::from(self.new_len))
    }

    /// True when a segment of the sender's space `[from, to)` has to carry this
    /// rewrite's text. A segment that only touches the end has to, when the
    /// bytes before it were held: nobody else sends them.
    #[inline(always)]
    pub fn touches(&self, from: u32, to: u32) -> bool {
        let reaches = if self.held_len > 0 {
            !before(self.end(), from)
        } else {
            before(from, self.end())
        };
        reaches && before(self.start, to)
    }
}

/// State of one direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
pub struct Stream {
    /// 1 while a processor works on this direction.
    pub lock: u32,
    /// Sequence number behind the last byte that the parser saw, sender space.
    pub next: u32,
    /// Delta of everything before the ring (wire minus sender, wrapping).
    pub base_delta: u32,
    /// Rewrites done since the start; slot of the next one modulo [`REWRITES`].
    pub rewrites_done: u32,
    /// Length of the held bytes; they end at `next`.
    pub hold_len: u16,
    /// Last window field seen from the sender, host byte order, unscaled.
    pub window: u16,
    /// Bits of [`flags`].
    pub flags: u16,
    /// Always zero.
    pub reserved: u16,
    /// The line being read.
    pub parser: LineParser,
    /// Bytes that were withheld, zero-padded.
    pub hold: [u8; TEXT],
    /// Ring of the last rewrites.
    pub rewrites: [Rewrite; REWRITES],
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            lock: 0,
            next: 0,
            base_delta: 0,
            rewrites_done: 0,
            hold_len: 0,
            window: 0,
            flags: 0,
            reserved: 0,
            parser: LineParser::default(),
            hold: [0; TEXT],
            rewrites: [Rewrite::default(); REWRITES],
        }
    }
}

const _: () = assert!(size_of::<Rewrite>() == 84);
const _: () = assert!(size_of::<Stream>() == 24 + 56 + 64 + REWRITES * 84);

impl Stream {
    /// True when no position of this direction is shifted or held.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.rewrites_done == 0 && self.hold_len == 0
    }

    /// First held byte, sender space; equals `next` when nothing is held.
    #[inline(always)]
    pub fn hold_start(&self) -> u32 {
        self.next.wrapping_sub(u32::from(self.hold_len))
    }

    /// The rewrite that is `age` rewrites old (0: the newest).
    #[inline(always)]
    pub fn rewrite(&self, age: u32) -> Option<&Rewrite> {
        if age >= self.rewrites_done || age as usize >= REWRITES {
            return None;
        }
        let slot = self.rewrites_done.wrapping_sub(1).wrapping_sub(age) as usize & (REWRITES - 1);
        Some(&self.rewrites[slot])
    }

    /// Delta behind the newest rewrite.
    #[inline(always)]
    pub fn delta(&self) -> u32 {
        self.rewrite(0)
            .map_or(self.base_delta, |newest| newest.delta_after)
    }

    /// Appends a rewrite; `delta_after` is filled in here. The oldest one gives
    /// way to it. Its `start` must not lie before the end of the newest one.
    #[inline(always)]
    pub fn push(&mut self, rewrite: &Rewrite) {
        let delta_before = self.delta();
        let slot = self.rewrites_done as usize & (REWRITES - 1);
        if self.rewrites_done as usize >= REWRITES {
            self.base_delta = self.rewrites[slot].delta_after;
        }
        let entry = &mut self.rewrites[slot];
        *entry = *rewrite;
        entry.delta_after = delta_before
            .wrapping_add(u32::from(rewrite.new_len))
            .wrapping_sub(u32::from(rewrite.original_len));
        // Readers of the other direction look at the counter first.
        self.rewrites_done = self.rewrites_done.wrapping_add(1);
    }

    /// Sender to wire, for a sequence number. A position inside a rewrite maps
    /// to the start of its text, because a segment that touches a rewrite always
    /// carries the text as a whole. Held bytes are not on the wire yet.
    #[inline(always)]
    pub fn to_wire(&self, sequence: u32) -> u32 {
        let sequence = if self.hold_len > 0
            && before(self.hold_start(), sequence)
            && !before(self.next, sequence)
        {
            self.hold_start()
        } else {
            sequence
        };
        for age in 0..REWRITES as u32 {
            let Some(rewrite) = self.rewrite(age) else {
                break;
            };
            if !before(sequence, rewrite.end()) {
                return sequence.wrapping_add(rewrite.delta_after);
            }
            if before(rewrite.start, sequence) {
                return rewrite.wire_start();
            }
        }
        sequence.wrapping_add(self.base_delta)
    }

    /// Wire to sender, for an acknowledgment number. A position inside a text
    /// maps to its start: the sender has to repeat the whole line. What we
    /// acknowledged while a line was held stays acknowledged.
    #[inline(always)]
    pub fn acknowledgment_to_sender(&self, acknowledgment: u32) -> u32 {
        let mut sender = None;
        for age in 0..REWRITES as u32 {
            let Some(rewrite) = self.rewrite(age) else {
                break;
            };
            if !before(acknowledgment, rewrite.wire_end()) {
                sender = Some(acknowledgment.wrapping_sub(rewrite.delta_after));
                break;
            }
            if !before(acknowledgment, rewrite.wire_start()) {
                sender = Some(rewrite.start.wrapping_add(u32::from(rewrite.held_len)));
                break;
            }
        }
        let sender = sender.unwrap_or_else(|| acknowledgment.wrapping_sub(self.base_delta));
        if self.hold_len > 0 && sender == self.hold_start() {
            self.next
        } else {
            sender
        }
    }

    /// Wire to sender, for the left or right edge of a SACK block (RFC 2018).
    /// A text that is covered in part is left out of the block: never tell the
    /// sender that something arrived which did not.
    #[inline(always)]
    pub fn edge_to_sender(&self, edge: u32, left: bool) -> u32 {
        for age in 0..REWRITES as u32 {
            let Some(rewrite) = self.rewrite(age) else {
                break;
            };
            if !before(edge, rewrite.wire_end()) {
                return edge.wrapping_sub(rewrite.delta_after);
            }
            if before(rewrite.wire_start(), edge) {
                return if left { rewrite.end() } else { rewrite.start };
            }
        }
        edge.wrapping_sub(self.base_delta)
    }
}

#[cfg(test)]
mod tests;
