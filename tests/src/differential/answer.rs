//! What became of a case, as far as the programs show it.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr};

use ftp_helper_common::{
    address::Endpoint,
    event::Event,
    expectation::{Expectation, ExpectationKey},
    grammar::{Kind, LineParser},
    reason::Reason,
    session::{Session, flags},
};

/// What follows from lines in the flags of a session.
const BY_LINE: u64 = flags::GREETED | flags::LOGGED_IN | flags::EPSV_ALL | flags::OPAQUE;

/// Something that was reported of a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Told {
    /// What happened.
    pub reason: Reason,
    /// To what.
    pub kind: Kind,
    /// What was announced, or where the data connection leads.
    pub inside: Endpoint,
    /// Where the data connection is awaited, or our side of the session.
    pub outside: Endpoint,
}

impl Told {
    /// From the ring; `None` for a number that is no reason.
    pub fn of(event: &Event) -> Option<Self> {
        Some(Self {
            reason: Reason::from_number(event.reason)?,
            kind: Kind(event.kind),
            inside: event.inside,
            outside: event.outside,
        })
    }
}

/// An awaited data connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Awaited {
    /// Where it is awaited, and from whom.
    pub key: ExpectationKey,
    /// Where it leads.
    pub inside: Endpoint,
    /// What announced it.
    pub kind: Kind,
}

impl Awaited {
    /// From the table.
    pub fn of((key, expectation): &(ExpectationKey, Expectation)) -> Self {
        Self {
            key: *key,
            inside: expectation.target,
            kind: Kind(expectation.kind),
        }
    }
}

/// What the session remembers of the lines.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Marks {
    /// Commands that were read.
    pub commands: u16,
    /// Final replies that were read.
    pub replies: u16,
    /// The command whose reply is awaited.
    pub outstanding: Kind,
    /// Bits of [`flags`], those that follow from lines.
    pub flags: u64,
}

impl Marks {
    /// Of a session.
    pub fn of(session: &Session) -> Self {
        Self {
            commands: session.commands,
            replies: session.replies,
            outstanding: Kind(session.outstanding),
            flags: session.flags & BY_LINE,
        }
    }

    /// One of the bits is set.
    pub fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }
}

/// Where the parser is behind a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Behind {
    /// Bytes of the stream that it has read.
    pub position: usize,
    /// Bytes before that which are held.
    pub held: u32,
    /// All of its state.
    pub parser: LineParser,
}

/// What became of a case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// What was reported, in order.
    pub told: Vec<Told>,
    /// What was counted, without what depends on the segments.
    pub counted: BTreeMap<&'static str, u64>,
    /// The bytes that went on.
    pub wire: Vec<u8>,
    /// What is awaited at the end.
    pub awaited: Vec<Awaited>,
    /// What the session remembers at the end.
    pub marks: Marks,
    /// The parser behind each segment.
    pub behind: Vec<Behind>,
}

impl Answer {
    /// What differs, in words; `None` when nothing does.
    pub fn difference(host: &Self, kernel: &Self) -> Option<String> {
        let mut text = String::new();
        for index in 0..host.told.len().max(kernel.told.len()) {
            let word = |answer: &Self| answer.told.get(index).map(told);
            row(
                &mut text,
                &format!("report {index}"),
                word(host),
                word(kernel),
            );
        }
        let escaped = |answer: &Self| format!("\"{}\"", answer.wire.escape_ascii());
        row(
            &mut text,
            "bytes",
            Some(escaped(host)),
            Some(escaped(kernel)),
        );
        let awaited = |answer: &Self| {
            let entries = answer.awaited.iter().map(|awaited| {
                let (at, inside) = (awaited.key.destination, awaited.inside);
                format!(
                    "{} {} to {}",
                    awaited.kind.word(),
                    socket(at),
                    socket(inside)
                )
            });
            Some(entries.collect::<Vec<_>>().join(", "))
        };
        row(&mut text, "awaited", awaited(host), awaited(kernel));
        let counted = |answer: &Self| Some(format!("{:?}", answer.counted));
        row(&mut text, "counters", counted(host), counted(kernel));
        let marks = |answer: &Self| Some(format!("{:?}", answer.marks));
        row(&mut text, "session", marks(host), marks(kernel));
        // The first one says where they part; the others follow from it.
        let parted = (0..host.behind.len().max(kernel.behind.len()))
            .find(|index| host.behind.get(*index) != kernel.behind.get(*index));
        if let Some(index) = parted {
            let state = |answer: &Self| answer.behind.get(index).map(|it| format!("{it:?}"));
            row(
                &mut text,
                &format!("parser behind segment {index}"),
                state(host),
                state(kernel),
            );
        }
        // Whatever has no words of its own is still a difference.
        if text.is_empty() && host != kernel {
            text = format!("host {host:?}\nkernel {kernel:?}\n");
        }
        (!text.is_empty()).then_some(text)
    }
}

fn row(text: &mut String, name: &str, host: Option<String>, kernel: Option<String>) {
    if host != kernel {
        let word = |value: Option<String>| value.unwrap_or_else(|| "nothing".to_owned());
        // Writing to a `String` can not fail.
        let _ = writeln!(
            text,
            "{name}\n  host   {}\n  kernel {}",
            word(host),
            word(kernel)
        );
    }
}

fn told(told: &Told) -> String {
    format!(
        "{} {} {} outside {}",
        told.reason.word(),
        told.kind.word(),
        socket(told.inside),
        socket(told.outside)
    )
}

fn socket(endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address.into(), endpoint.port)
}
