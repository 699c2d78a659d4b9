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
pub const REWRITES: usize = RING as usize;
const RING: u32 = 8;

/// Longest segment that is kept when it arrives too early.
pub const STASH: usize = 256;

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
    /// Copies word by word. A plain assignment becomes a call of `memcpy`, whose
    /// loop over bytes costs the kernel's verifier more than all the rest.
    #[inline(always)]
    pub fn copy_to(&self, target: &mut Self) {
        const WORDS: usize = size_of::<Rewrite>() / 4;
        let source: &[u32; WORDS] = zerocopy::transmute_ref!(self);
        let target: &mut [u32; WORDS] = zerocopy::transmute_mut!(target);
        for (from, to) in source.iter().zip(target) {
            // SAFETY: a valid reference; volatile, so that it stays what it is.
            unsafe { core::ptr::from_mut(to).write_volatile(*from) };
        }
    }

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

    /// What this rewrite knows about a position; `None` when the position lies
    /// before it, so that an older one has to be asked.
    #[inline(always)]
    pub fn answer(&self, question: Question, position: u32) -> Option<u32> {
        match question {
            // A segment that touches a rewrite always carries the text as a
            // whole, so every position inside is its start.
            Question::ToWire if !before(position, self.end()) => {
                Some(position.wrapping_add(self.delta_after))
            }
            Question::ToWire => before(self.start, position).then(|| self.wire_start()),
            _ if !before(position, self.wire_end()) => {
                Some(position.wrapping_sub(self.delta_after))
            }
            // The sender has to repeat a line of which only a part arrived, but
            // for the bytes that we acknowledged ourselves.
            Question::Acknowledgment => (!before(position, self.wire_start()))
                .then(|| self.start.wrapping_add(u32::from(self.held_len))),
            // Never tell the sender that something arrived which did not: a text
            // that is covered in part is left out of the block.
            Question::LeftEdge => before(self.wire_start(), position).then(|| self.end()),
            Question::RightEdge => before(self.wire_start(), position).then_some(self.start),
        }
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

/// What is asked about a position of a direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// Sender to wire, for a sequence number.
    ToWire,
    /// Wire to sender, for an acknowledgment number.
    Acknowledgment,
    /// Wire to sender, for the left edge of a SACK block.
    LeftEdge,
    /// Wire to sender, for the right edge of a SACK block.
    RightEdge,
}

/// State of one direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
pub struct Stream {
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
    /// Bits of [`flags`]; only segments of this direction change them.
    pub flags: u16,
    /// 1 when `acknowledged` is valid. Segments of the other direction say so, on any
    /// processor, so it is no bit among those of this one.
    pub heard: u16,
    /// Number of the wire up to which the receiver acknowledged everything.
    pub acknowledged: u32,
    /// The line being read.
    pub parser: LineParser,
    /// First byte of the stash, sender space.
    pub stash_start: u32,
    /// Length of the stash, 0 for none.
    pub stash_len: u32,
    /// The bytes that the parser counts as pending, from their first on; the
    /// first `hold_len` of them are withheld.
    pub capture: [u8; TEXT],
    /// A segment that arrived before the one that precedes it, zero-padded. It
    /// goes on together with that one; nobody acknowledged it, so nothing is
    /// lost when it is forgotten.
    pub stash: [u8; STASH],
    /// Ring of the last rewrites.
    pub rewrites: [Rewrite; REWRITES],
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            next: 0,
            base_delta: 0,
            rewrites_done: 0,
            hold_len: 0,
            window: 0,
            flags: 0,
            heard: 0,
            acknowledged: 0,
            parser: LineParser::default(),
            stash_start: 0,
            stash_len: 0,
            capture: [0; TEXT],
            stash: [0; STASH],
            rewrites: [Rewrite::default(); REWRITES],
        }
    }
}

const _: () = assert!(size_of::<Rewrite>() == 84);
const _: () = assert!(size_of::<Stream>() == 32 + 60 + 64 + STASH + REWRITES * 84);

impl Stream {
    /// True when no position of this direction is shifted or held.
    #[inline(always)]
    pub fn is_plain(&self) -> bool {
        self.rewrites_done == 0 && self.hold_len == 0
    }

    /// Notes an acknowledgment of the receiver, in the numbers of the wire. One of
    /// bytes that were never sent is nobody's; a FIN counts as one byte.
    #[inline(always)]
    pub fn hear(&mut self, acknowledgment: u32) {
        let end = self.next.wrapping_add(self.delta()).wrapping_add(1);
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
        rewrite.copy_to(entry);
        entry.delta_after = delta_before
            .wrapping_add(u32::from(rewrite.new_len))
            .wrapping_sub(u32::from(rewrite.original_len));
        // Readers of the other direction look at the counter first.
        self.rewrites_done = self.rewrites_done.wrapping_add(1);
    }

    /// Answers `question` about a position: asks the rewrites, the newest first,
    /// until one knows. The programs do the same walk with `bpf_loop`.
    #[inline(always)]
    pub fn ask(&self, question: Question, position: u32) -> u32 {
        let position = self.begin(question, position);
        let mut answer = None;
        for age in 0..RING {
            answer = self
                .rewrite(age)
                .and_then(|rewrite| rewrite.answer(question, position));
            if answer.is_some() {
                break;
            }
        }
        self.finish(question, position, answer)
    }

    /// First part of [`Self::ask`]: held bytes are not on the wire yet.
    #[inline(always)]
    pub fn begin(&self, question: Question, position: u32) -> u32 {
        let held = question == Question::ToWire
            && self.hold_len > 0
            && before(self.hold_start(), position)
            && !before(self.next, position);
        if held { self.hold_start() } else { position }
    }

    /// Last part of [`Self::ask`]: before every remembered rewrite, the base
    /// delta holds; what we acknowledged in a hold stays acknowledged.
    #[inline(always)]
    pub fn finish(&self, question: Question, position: u32, answer: Option<u32>) -> u32 {
        if question == Question::ToWire {
            return answer.unwrap_or_else(|| position.wrapping_add(self.base_delta));
        }
        let sender = answer.unwrap_or_else(|| position.wrapping_sub(self.base_delta));
        let held = question == Question::Acknowledgment
            && self.hold_len > 0
            && sender == self.hold_start();
        if held { self.next } else { sender }
    }

    /// Sender to wire, for a sequence number.
    #[inline(always)]
    pub fn to_wire(&self, sequence: u32) -> u32 {
        self.ask(Question::ToWire, sequence)
    }

    /// Wire to sender, for an acknowledgment number.
    #[inline(always)]
    pub fn acknowledgment_to_sender(&self, acknowledgment: u32) -> u32 {
        self.ask(Question::Acknowledgment, acknowledgment)
    }

    /// Wire to sender, for the left or right edge of a SACK block (RFC 2018).
    #[inline(always)]
    pub fn edge_to_sender(&self, edge: u32, left: bool) -> u32 {
        self.ask(
            if left {
                Question::LeftEdge
            } else {
                Question::RightEdge
            },
            edge,
        )
    }
}

#[cfg(test)]
mod tests;
