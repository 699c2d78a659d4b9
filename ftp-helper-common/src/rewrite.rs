//! What became of the bytes that went out.
//!
//! Only what goes out is ever rewritten or held: an inside host's address is announced
//! that way, whoever has the client. Sequence numbers of that direction come in two
//! spaces: *sender* (as the sending host counts) and *wire* (as the receiving host sees
//! them, behind every rewrite). A [`Rewrite`] says which bytes of the sender's space were
//! replaced by which text; the last [`REWRITES`] are kept, each with the delta that holds
//! behind it, so several may be in flight at once. Everything older than the ring is
//! covered by one base delta.

use core::hint::black_box;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{grammar::TEXT, stream::before};

/// Rewrites that are remembered. A retransmission of data before the oldest of them is
/// passed with the base delta and its own bytes.
pub const REWRITES: usize = RING as usize;
const RING: u32 = 8;

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

/// What is asked about a position.
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

/// Everything that was done to the bytes that went out, and what is held of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq)]
pub struct Rewrites {
    /// Delta of everything before the ring (wire minus sender, wrapping).
    pub base_delta: u32,
    /// Rewrites done since the start; slot of the next one modulo [`REWRITES`].
    pub done: u32,
    /// First held byte, sender space; means nothing while `hold_len` is zero.
    pub hold_start: u32,
    /// Number of held bytes; they end where the parser is.
    pub hold_len: u16,
    /// Always zero.
    pub reserved: u16,
    /// The bytes that the parser counts as pending, from their first on; the
    /// first `hold_len` of them are withheld.
    pub capture: [u8; TEXT],
    /// The last rewrites.
    pub ring: [Rewrite; REWRITES],
}

impl Default for Rewrites {
    fn default() -> Self {
        Self {
            base_delta: 0,
            done: 0,
            hold_start: 0,
            hold_len: 0,
            reserved: 0,
            capture: [0; TEXT],
            ring: [Rewrite::default(); REWRITES],
        }
    }
}

const _: () = assert!(size_of::<Rewrite>() == 84);
const _: () = assert!(size_of::<Rewrites>() == 16 + TEXT + REWRITES * 84);

impl Rewrites {
    /// True when no position is shifted or held.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.done == 0 && self.hold_len == 0
    }

    /// Keeps a pending byte; there is room for [`TEXT`] of them.
    #[inline(always)]
    pub fn keep_pending(&mut self, index: u32, byte: u8) {
        // Hidden from the compiler, which leaves the mask out where it knows of a check, in
        // a place in which the verifier does not.
        self.capture[black_box(index) as usize & (TEXT - 1)] = byte;
    }

    /// The bytes from `start` on, `len` of them, are held from now on.
    #[inline(always)]
    pub const fn hold(&mut self, start: u32, len: u16) {
        // Readers of the other direction look at the length first.
        self.hold_start = start;
        self.hold_len = len;
    }

    /// First byte behind the held ones, sender space.
    #[inline(always)]
    pub fn hold_end(&self) -> u32 {
        self.hold_start.wrapping_add(u32::from(self.hold_len))
    }

    /// The rewrite that is `age` rewrites old (0: the newest).
    #[inline(always)]
    pub fn rewrite(&self, age: u32) -> Option<&Rewrite> {
        if age >= self.done || age as usize >= REWRITES {
            return None;
        }
        let slot = self.done.wrapping_sub(1).wrapping_sub(age) as usize & (REWRITES - 1);
        Some(&self.ring[slot])
    }

    /// Delta behind the newest rewrite.
    #[inline(always)]
    pub fn delta(&self) -> u32 {
        self.rewrite(0)
            .map_or(self.base_delta, |newest| newest.delta_after)
    }

    /// Appends a rewrite, which takes along what is held; `delta_after` is filled in here.
    /// The oldest one gives way to it. Its `start` must not lie before the end of the
    /// newest one.
    #[inline(always)]
    pub fn push(&mut self, rewrite: &Rewrite) {
        let delta_before = self.delta();
        let slot = self.done as usize & (REWRITES - 1);
        if self.done as usize >= REWRITES {
            self.base_delta = self.ring[slot].delta_after;
        }
        let entry = &mut self.ring[slot];
        rewrite.copy_to(entry);
        entry.delta_after = delta_before
            .wrapping_add(u32::from(rewrite.new_len))
            .wrapping_sub(u32::from(rewrite.original_len));
        // Readers of the other direction look at the counter first.
        self.done = self.done.wrapping_add(1);
        self.hold_len = 0;
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
            && before(self.hold_start, position)
            && !before(self.hold_end(), position);
        if held { self.hold_start } else { position }
    }

    /// Last part of [`Self::ask`]: before every remembered rewrite, the base
    /// delta holds; what we acknowledged in a hold stays acknowledged.
    #[inline(always)]
    pub fn finish(&self, question: Question, position: u32, answer: Option<u32>) -> u32 {
        if question == Question::ToWire {
            return answer.unwrap_or_else(|| position.wrapping_add(self.base_delta));
        }
        let sender = answer.unwrap_or_else(|| position.wrapping_sub(self.base_delta));
        let held =
            question == Question::Acknowledgment && self.hold_len > 0 && sender == self.hold_start;
        if held { self.hold_end() } else { sender }
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
