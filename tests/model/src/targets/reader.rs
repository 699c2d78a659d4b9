//! What the parser says of a stream, and what has to hold meanwhile.

use ftp_helper_common::{
    grammar::{ANNOUNCEMENT, Announcement, Kind, LINE, LineParser, Role},
    reason::Reason,
};
use zerocopy::{FromBytes as _, IntoBytes as _};

/// Something that the parser said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// An announcement: what, and where its span starts in the stream.
    Announced(Announcement, usize),
    /// A line is complete: its kind and code, and what is wrong with it.
    Line(Kind, u16, Option<Reason>),
}

/// A parser that remembers what it said.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The parser.
    pub parser: LineParser,
    /// What it said.
    pub events: Vec<Event>,
    role: Role,
    /// Bytes so far, and where the line at hand starts.
    position: usize,
    line_start: usize,
    /// Where the pending bytes start, while there are any.
    pending_from: Option<usize>,
}

impl Reader {
    /// At the start of a stream.
    pub fn new(role: Role) -> Self {
        Self {
            parser: LineParser::default(),
            events: Vec::new(),
            role,
            position: 0,
            line_start: 0,
            pending_from: None,
        }
    }

    /// Pushes a byte; panics when the parser breaks a promise.
    pub fn push(&mut self, byte: u8) {
        let step = self.parser.push(self.role, byte);
        self.position += 1;
        let line = self.position - self.line_start;
        assert_eq!(step & !(ANNOUNCEMENT | LINE), 0, "a step that is none");
        assert_eq!(step & LINE != 0, byte == b'\n', "LF ends a line");
        let pending = self.parser.pending() as usize;
        assert!(pending <= line, "more is pending than was pushed");
        assert!(self.parser.trailing() as usize <= pending);
        if step & ANNOUNCEMENT != 0 {
            self.announced(line);
        }
        // What is withheld stays withheld up to its end, and starts where it started.
        let from = self.position - pending;
        if pending > 0 {
            assert!(
                self.pending_from.is_none_or(|first| first == from) || pending == 1,
                "the start of what is pending moved"
            );
        }
        self.pending_from = (pending > 0).then_some(from);
        if step & LINE != 0 {
            assert_eq!(pending, 0, "a complete line is pending");
            assert_eq!(self.parser.column(), 0);
            self.events.push(Event::Line(
                self.parser.kind(),
                self.parser.code(),
                self.parser.problem(),
            ));
            self.line_start = self.position;
        }
    }

    fn announced(&mut self, line: usize) {
        let announcement = self.parser.announcement();
        let (distance, len) = (announcement.distance as usize, announcement.len as usize);
        assert!(distance <= line, "the span starts before its line");
        assert!(0 < len && len < distance, "the span ends too late");
        let start = self.position - distance;
        assert_eq!(
            self.pending_from,
            Some(start),
            "a byte of the span was not withheld"
        );
        self.events.push(Event::Announced(announcement, start));
    }

    /// Pushes bytes; passes over those that the parser does not need, so many at a time
    /// at most.
    pub fn push_quickly(&mut self, bytes: &[u8], stride: usize) {
        let mut rest = bytes;
        while let Some((first, behind)) = rest.split_first() {
            let run = rest.iter().take_while(|byte| **byte != b'\n').count();
            if !self.parser.skipping() || run == 0 {
                self.push(*first);
                rest = behind;
                continue;
            }
            let count = run.min(stride.max(1));
            self.parser
                .skip(u32::try_from(count).expect("a short piece"));
            self.position += count;
            self.pending_from = None;
            rest = &rest[count..];
        }
    }

    /// What lies in a map between two segments: plain bytes.
    pub fn store_and_load(&mut self) {
        let stored = self.parser.as_bytes().to_vec();
        self.parser = LineParser::read_from_bytes(&stored).expect("its own size");
    }
}

/// Everything that the parser says of a stream.
pub fn events(role: Role, stream: &[u8]) -> Vec<Event> {
    let mut reader = Reader::new(role);
    for byte in stream {
        reader.push(*byte);
    }
    reader.events
}
