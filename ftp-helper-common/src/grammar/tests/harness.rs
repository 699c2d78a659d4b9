//! Pushes streams into a parser, checks what has to hold after every byte, and
//! puts the outcome of a line into words for the tables.

use std::{
    format,
    net::{IpAddr, SocketAddr},
    string::String,
    vec::Vec,
};

use crate::{
    address::Endpoint,
    grammar::{ANNOUNCEMENT, Announcement, Kind, LINE, LineParser, Role},
    reason::Reason,
};

/// An announcement together with the bytes that it tells to replace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub(super) announcement: Announcement,
    /// Place of the span in everything that was pushed.
    pub(super) start: usize,
    pub(super) span: Vec<u8>,
}

/// What is known of a line at its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    pub(super) kind: Kind,
    pub(super) code: u16,
    pub(super) problem: Option<Reason>,
}

/// Something that the parser reported.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Event {
    Announcement(Found),
    Line(Line),
}

/// A parser that remembers what it was fed.
pub(super) struct Reader {
    pub(super) parser: LineParser,
    pub(super) events: Vec<Event>,
    role: Role,
    seen: Vec<u8>,
    /// What `pending` said after each byte.
    pending: Vec<usize>,
    line_start: usize,
}

impl Reader {
    pub(super) fn new(role: Role) -> Self {
        Self::with(role, LineParser::default())
    }

    pub(super) fn with(role: Role, parser: LineParser) -> Self {
        Self {
            parser,
            events: Vec::new(),
            role,
            seen: Vec::new(),
            pending: Vec::new(),
            line_start: 0,
        }
    }

    /// Pushes a byte, and checks the invariants of [`LineParser`].
    pub(super) fn push(&mut self, byte: u8) {
        let step = self.parser.push(self.role, byte);
        self.seen.push(byte);
        let pending = self.parser.pending() as usize;
        self.pending.push(pending);
        assert_eq!(
            step & !(ANNOUNCEMENT | LINE),
            0,
            "unknown step in {:?}",
            self.line()
        );
        assert_eq!(
            step & LINE != 0,
            byte == b'\n',
            "a line ends with LF and only there"
        );
        assert!(
            pending <= self.line().len(),
            "more is pending than the line has"
        );
        if step & ANNOUNCEMENT != 0 {
            let found = self.found();
            self.events.push(Event::Announcement(found));
        }
        if step & LINE != 0 {
            assert_eq!(pending, 0, "nothing of a complete line is pending");
            assert_eq!(self.parser.column(), 0);
            self.events.push(Event::Line(Line {
                kind: self.parser.kind(),
                code: self.parser.code(),
                problem: self.parser.problem(),
            }));
            self.line_start = self.seen.len();
        }
    }

    pub(super) fn push_all(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
        }
    }

    /// Passes over bytes as a caller may do while the parser is skipping.
    pub(super) fn skip(&mut self, bytes: &[u8]) {
        assert!(self.parser.skipping());
        self.parser
            .skip(u32::try_from(bytes.len()).expect("a short slice"));
        self.seen.extend_from_slice(bytes);
        self.pending.resize(self.seen.len(), 0);
    }

    /// The line at hand, up to the byte that was pushed last.
    fn line(&self) -> &[u8] {
        &self.seen[self.line_start..]
    }

    /// Cuts the announced span out of the stream, as the caller of the parser
    /// does, and checks that it could be replaced when it was complete.
    fn found(&self) -> Found {
        let announcement = self.parser.announcement();
        let (distance, len) = (announcement.distance as usize, announcement.len as usize);
        assert!(
            distance <= self.line().len(),
            "the span starts before the line"
        );
        assert!(
            len > 0 && len < distance,
            "the completing byte is not replaced"
        );
        assert_eq!(self.parser.problem(), None);
        let behind = self.seen.len();
        let start = behind - distance;
        let span = &self.seen[start..start + len];
        assert_eq!(
            announcement.digest,
            digest(span),
            "the digest is not the span's"
        );
        // Every byte from the span's first on was withheld until now, none before
        // it, so that all of them could still be replaced.
        for (count, pending) in self.pending[start..behind - 1].iter().enumerate() {
            assert_eq!(
                *pending,
                count + 1,
                "byte {count} of {:?}",
                text(&self.seen[start..])
            );
        }
        assert_eq!(
            self.pending[behind - 1],
            0,
            "nothing is pending behind an announcement"
        );
        Found {
            announcement,
            start,
            span: span.to_vec(),
        }
    }
}

/// Digest of `bytes` as a caller computes it.
pub(super) fn digest(bytes: &[u8]) -> u32 {
    bytes.iter().fold(LineParser::digest_basis(), |sum, byte| {
        LineParser::digest_add(sum, *byte)
    })
}

/// Everything that the parser reports about a stream.
pub(super) fn events(role: Role, stream: &[u8]) -> Vec<Event> {
    let mut reader = Reader::new(role);
    reader.push_all(stream);
    reader.events
}

/// The announcements of a stream.
pub(super) fn announcements(role: Role, stream: &[u8]) -> Vec<Found> {
    events(role, stream)
        .into_iter()
        .filter_map(|event| match event {
            Event::Announcement(found) => Some(found),
            Event::Line(_) => None,
        })
        .collect()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `address:port` in the form of the standard library.
pub(super) fn endpoint_text(endpoint: &Endpoint) -> String {
    format!(
        "{}",
        SocketAddr::new(IpAddr::from(endpoint.address), endpoint.port)
    )
}

/// The outcome of each line in words: `KIND ENDPOINT <replaced bytes>` for an
/// announcement, `KIND: reason` for a refusal, else the kind alone.
pub(super) fn outcomes(role: Role, stream: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut announced = None;
    for event in events(role, stream) {
        match event {
            Event::Announcement(found) => {
                assert_eq!(announced, None, "two announcements in one line");
                announced = Some(format!(
                    "{} {} <{}>",
                    found.announcement.kind.word(),
                    endpoint_text(&found.announcement.endpoint),
                    text(&found.span)
                ));
            }
            Event::Line(line) => {
                let outcome = match (announced.take(), line.problem) {
                    (Some(announced), None) => announced,
                    (None, Some(problem)) => format!("{}: {}", line.kind.word(), problem.word()),
                    (None, None) => kind_text(role, &line),
                    both => panic!("announced and refused: {both:?}"),
                };
                lines.push(outcome);
            }
        }
    }
    assert_eq!(announced, None, "an announcement without an end of line");
    lines
}

fn kind_text(role: Role, line: &Line) -> String {
    let code = match line.kind {
        _ if role == Role::Client => 0,
        Kind::REPLY => return format!("reply {}", line.code),
        Kind::REPLY_227 => 227,
        Kind::LONG => 228,
        Kind::REPLY_229 => 229,
        _ => 0,
    };
    assert_eq!(line.code, code, "code of a {}", line.kind.word());
    line.kind.word().into()
}

/// Compares every line of a table (name, line, expected outcome). The line's end
/// has to be part of it.
#[track_caller]
pub(super) fn check(role: Role, table: &[(&str, &[u8], &str)]) {
    for (name, line, expected) in table {
        assert_eq!(
            outcomes(role, line),
            [*expected],
            "{name}: {:?}",
            text(line)
        );
    }
}
