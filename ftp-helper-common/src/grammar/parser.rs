//! State and entry point of the parser.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Kind, Role};
use crate::{
    address::{Address, Endpoint},
    reason::Reason,
};

/// [`LineParser::push`]: the byte completed nothing.
pub const NOTHING: u32 = 0;
/// [`LineParser::push`]: an announcement is complete, see
/// [`LineParser::announcement`]. Commands are complete at the end of their
/// line, replies behind the last byte of the numbers.
pub const ANNOUNCEMENT: u32 = 1;
/// [`LineParser::push`]: the byte ended a line, see [`LineParser::kind`].
pub const LINE: u32 = 2;

/// Where the parser is inside a line.
pub(super) mod phase {
    pub(in super::super) const START: u8 = 0;
    pub(in super::super) const SKIP: u8 = 1;
    // Commands.
    pub(in super::super) const IAC: u8 = 2;
    pub(in super::super) const IAC_OPTION: u8 = 3;
    pub(in super::super) const VERB: u8 = 4;
    pub(in super::super) const PORT: u8 = 5;
    pub(in super::super) const TAIL: u8 = 6;
    pub(in super::super) const EPRT: u8 = 7;
    pub(in super::super) const EPRT_FAMILY: u8 = 8;
    pub(in super::super) const EPRT_V4: u8 = 9;
    pub(in super::super) const EPRT_V6: u8 = 10;
    pub(in super::super) const EPRT_PORT: u8 = 11;
    pub(in super::super) const EPSV: u8 = 12;
    /// Somewhere in a line, where the stream was taken on.
    pub(in super::super) const UNKNOWN: u8 = 13;
    // Replies.
    pub(in super::super) const CODE: u8 = 20;
    pub(in super::super) const SEPARATOR: u8 = 21;
    pub(in super::super) const TEXT_227: u8 = 22;
    pub(in super::super) const RUN_227: u8 = 23;
    pub(in super::super) const TEXT_229: u8 = 24;
    pub(in super::super) const OPEN_229: u8 = 25;
    pub(in super::super) const PORT_229: u8 = 26;
}

/// FNV-1a, 32 bit: enough to tell an honest retransmission from another text;
/// nothing is ever sent because of a match that would not be sent otherwise.
const DIGEST_BASIS: u32 = 0x811c_9dc5;
const DIGEST_PRIME: u32 = 0x0100_0193;

/// An endpoint that a line announced.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Announcement {
    /// `PORT`, `EPRT`, `227` or `229`.
    pub kind: Kind,
    /// The announced endpoint; the address is [`Address::UNSPECIFIED`] for 229,
    /// which carries none.
    pub endpoint: Endpoint,
    /// Delimiter of `EPRT`, to be kept in the rewrite.
    pub delimiter: u8,
    /// How far the first byte to be replaced lies before the byte behind the one
    /// that completed the announcement.
    pub distance: u32,
    /// Number of bytes to be replaced.
    pub len: u32,
    /// Digest of the bytes to be replaced.
    pub digest: u32,
}

/// One direction's parser. All-zero is the state at the start of a stream.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct LineParser {
    /// Bytes of this line so far; saturates.
    pub(super) column: u32,
    /// Column of the first byte that a rewrite would replace.
    pub(super) span_start: u32,
    /// Column behind the last byte that a rewrite would replace.
    pub(super) span_end: u32,
    /// Digest of the span so far.
    pub(super) digest: u32,
    /// Bytes of the line up to and including the one that completed something.
    pub(super) event_column: u32,
    /// The verb, at most four upper-case letters, last one lowest.
    pub(super) verb: u32,
    /// The number being read.
    pub(super) value: u32,
    /// Numbers of `PORT` and `227`, groups of an IPv6 address.
    pub(super) numbers: [u16; 8],
    /// Reply code of this line.
    pub(super) code: u16,
    /// Code of the multi-line reply that is open, 0 for none.
    pub(super) open_reply: u16,
    pub(super) port: u16,
    pub(super) phase: u8,
    pub(super) kind: u8,
    /// Index of the number being read.
    pub(super) field: u8,
    /// Digits of the number being read.
    pub(super) digits: u8,
    pub(super) delimiter: u8,
    /// 1 plus the index of the `::` of an IPv6 address, 0 for none.
    pub(super) gap: u8,
    /// The byte before this one.
    pub(super) previous: u8,
    /// The run of numbers in a 227 is not an endpoint.
    pub(super) spoiled: u8,
    pub(super) family: u8,
    /// What is wrong with the line: 0 for nothing, else a [`Reason`] plus 1.
    pub(super) problem: u8,
}

const _: () = assert!(size_of::<LineParser>() == 60);

impl LineParser {
    /// A parser that does not know where a line starts: it passes over
    /// everything up to and including the next LF.
    #[inline(always)]
    pub fn unsynchronised() -> Self {
        Self {
            phase: phase::UNKNOWN,
            ..Self::default()
        }
    }

    /// Takes the next byte of the stream. Returns [`NOTHING`] or a set of
    /// [`ANNOUNCEMENT`] and [`LINE`].
    #[inline(always)]
    pub fn push(&mut self, role: Role, byte: u8) -> u32 {
        if self.column == 0 {
            self.begin_line();
        }
        let skipped = self.phase == phase::SKIP;
        let step = match role {
            Role::Client => self.push_command(byte),
            Role::Server => self.push_reply(byte),
        };
        // Behind the dispatch, so that a span that starts with this byte has it.
        if self.in_span() {
            self.digest = Self::digest_add(self.digest, byte);
        }
        // Of bytes that are only passed over `skip` notes no more either.
        if !skipped {
            self.previous = byte;
            self.event_column = self.column.saturating_add(1);
        }
        if step & LINE == 0 {
            self.column = self.column.saturating_add(1);
        } else {
            self.column = 0;
            self.phase = phase::START;
        }
        step
    }

    /// True while the parser only looks for the end of the line, so that the
    /// caller may pass over bytes that are not LF with [`Self::skip`].
    #[inline(always)]
    pub fn skipping(&self) -> bool {
        self.phase == phase::SKIP && self.column != 0
    }

    /// Passes over `count` bytes, none of which is LF; only while
    /// [`Self::skipping`].
    #[inline(always)]
    pub fn skip(&mut self, count: u32) {
        self.column = self.column.saturating_add(count);
    }

    /// Bytes at the end of what was pushed that may still need a rewrite, so
    /// that they must not be passed on yet. They start at the first byte that a
    /// rewrite would replace; the verb or code before it goes on.
    #[inline(always)]
    pub fn pending(&self) -> u32 {
        let holds = match self.phase {
            phase::PORT => self.digits > 0 || self.field > 0,
            phase::TAIL
            | phase::EPRT_V4
            | phase::EPRT_V6
            | phase::EPRT_PORT
            | phase::RUN_227
            | phase::PORT_229 => true,
            _ => false,
        };
        if holds {
            self.column.saturating_sub(self.span_start)
        } else {
            0
        }
    }

    /// How many of the [`Self::pending`] bytes lie behind the numbers: blanks and
    /// a CR, which a rewrite has to take along when they are held.
    #[inline(always)]
    pub fn trailing(&self) -> u32 {
        if self.phase == phase::TAIL {
            self.column.saturating_sub(self.span_end)
        } else {
            0
        }
    }

    /// Gives up on the current line: it is passed on as it is.
    #[inline(always)]
    pub fn abandon(&mut self) {
        self.phase = phase::SKIP;
        self.kind = Kind::OTHER.0;
    }

    /// Digest of `bytes`, comparable with [`Announcement::digest`] after all of
    /// them were added one by one to [`Self::digest_basis`].
    #[inline(always)]
    pub const fn digest_add(digest: u32, byte: u8) -> u32 {
        (digest ^ byte as u32).wrapping_mul(DIGEST_PRIME)
    }

    /// Digest of no bytes.
    #[inline(always)]
    pub const fn digest_basis() -> u32 {
        DIGEST_BASIS
    }

    /// Bytes of the current line that were pushed.
    #[inline(always)]
    pub fn column(&self) -> u32 {
        self.column
    }

    /// What the line is; valid when [`LINE`] or [`ANNOUNCEMENT`] was returned.
    #[inline(always)]
    pub fn kind(&self) -> Kind {
        Kind(self.kind)
    }

    /// The verb of a command, at most four upper-case letters, the last one in the
    /// lowest byte; 0 for a longer one. Valid when [`LINE`] was returned.
    #[inline(always)]
    pub fn verb(&self) -> u32 {
        let too_long = self.kind == Kind::OTHER.0 && self.digits > 4;
        if too_long { 0 } else { self.verb }
    }

    /// The reply code of the line, 0 for a command or for a line inside a
    /// multi-line reply; valid when [`LINE`] was returned.
    #[inline(always)]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// What is wrong with an announcing line; valid when [`LINE`] was returned.
    #[inline(always)]
    pub fn problem(&self) -> Option<Reason> {
        match self.problem {
            1 => Some(Reason::BadSyntax),
            2 => Some(Reason::BadPort),
            3 => Some(Reason::WrongFamily),
            _ => None,
        }
    }

    /// The endpoint; valid when [`ANNOUNCEMENT`] was returned.
    #[inline(always)]
    pub fn announcement(&self) -> Announcement {
        let kind = Kind(self.kind);
        let address = match kind {
            Kind::REPLY_229 => Address::UNSPECIFIED,
            Kind::EPRT if self.family == 2 => Address::from_groups(&self.numbers),
            _ => Address::from_v4([
                (self.numbers[0] & 0xff) as u8,
                (self.numbers[1] & 0xff) as u8,
                (self.numbers[2] & 0xff) as u8,
                (self.numbers[3] & 0xff) as u8,
            ]),
        };
        Announcement {
            kind,
            endpoint: Endpoint::new(address, self.port),
            delimiter: self.delimiter,
            distance: self.event_column.wrapping_sub(self.span_start),
            len: self.span_end.wrapping_sub(self.span_start),
            digest: self.digest,
        }
    }

    #[inline(always)]
    fn begin_line(&mut self) {
        // `open_reply` outlives the line, and UNKNOWN is the phase of a stream whose
        // line starts are not known yet.
        self.span_start = 0;
        self.span_end = 0;
        self.verb = 0;
        self.value = 0;
        self.code = 0;
        self.kind = Kind::OTHER.0;
        self.field = 0;
        self.digits = 0;
        self.problem = 0;
        self.previous = 0;
    }

    /// The byte at `self.column` belongs to the part that a rewrite replaces.
    #[inline(always)]
    fn in_span(&self) -> bool {
        let phase = match self.phase {
            phase::PORT => self.digits > 0 || self.field > 0,
            phase::EPRT_V4
            | phase::EPRT_V6
            | phase::EPRT_PORT
            | phase::RUN_227
            | phase::PORT_229 => true,
            _ => false,
        };
        phase && self.column >= self.span_start
    }

    #[inline(always)]
    pub(super) fn start_span(&mut self, column: u32) {
        self.span_start = column;
        self.digest = DIGEST_BASIS;
        self.value = 0;
        self.digits = 0;
        self.field = 0;
    }

    /// Adds a decimal digit; false when the number gets longer than `digits` or
    /// larger than `limit`.
    #[inline(always)]
    pub(super) fn add_digit(&mut self, byte: u8, digits: u8, limit: u32) -> bool {
        self.value = self
            .value
            .wrapping_mul(10)
            .wrapping_add(u32::from(byte.wrapping_sub(b'0')));
        self.digits = self.digits.saturating_add(1);
        self.digits <= digits && self.value <= limit
    }

    /// Files the number that was read and gets ready for the next one.
    #[inline(always)]
    pub(super) fn file_number(&mut self) {
        self.numbers[usize::from(self.field & 7)] = (self.value & 0xffff) as u16;
        self.field = self.field.saturating_add(1);
        self.value = 0;
        self.digits = 0;
    }

    /// The line can not be used, for this reason; the rest of it is skipped.
    #[inline(always)]
    pub(super) fn give_up(&mut self, problem: Problem) {
        self.problem = problem as u8;
        self.phase = phase::SKIP;
    }
}

/// The reasons that a grammar can give, as they lie in [`LineParser::problem`].
#[repr(u8)]
#[derive(Clone, Copy)]
pub(super) enum Problem {
    Syntax = 1,
    Port = 2,
    Family = 3,
}

#[inline(always)]
pub(super) const fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// No text: with such bytes begin the records of TLS, the messages of TURN and the
/// frames of HTTP/2.
#[inline(always)]
pub(super) const fn is_binary(byte: u8) -> bool {
    byte < b' ' && !is_blank(byte) && byte != b'\r' && byte != b'\n'
}
