//! Everything about one control connection.

use ftp_helper_common::{
    grammar::{Kind, Role},
    session::{Direction, Session, SessionKey},
};
use serde::Serialize;

use super::{Entry, rewrites, text};
use crate::{
    device::Names,
    inspect::{expectation, mode::Mode},
    output::{Fact, Object, Section, Tone, layout::Grid, list_or_dash, or_dash},
    pins::direction_word,
};

/// Everything about one control connection.
#[derive(Debug, Serialize)]
pub struct Details {
    #[serde(flatten)]
    entry: Entry,
    outstanding: Option<&'static str>,
    directions: [Way; 2],
    expectation: Option<expectation::Entry>,
}

/// One direction of a control connection.
#[derive(Debug, Serialize)]
struct Way {
    direction: &'static str,
    sender: &'static str,
    sequence_delta: i32,
    held_bytes: u16,
    rewrites: Vec<Replacement>,
}

/// What took the place of an announcement.
#[derive(Debug, Serialize)]
struct Replacement {
    text: String,
    original_length: u16,
    length: u16,
    sequence_delta: i32,
}

impl Details {
    /// What is shown of a session, with its live expectation.
    pub fn new(
        key: &SessionKey,
        session: &Session,
        expectation: Option<expectation::Entry>,
        names: &mut Names,
        now: u64,
    ) -> Self {
        let outstanding = Some(session.outstanding).filter(|kind| *kind != 0);
        Self {
            entry: Entry::new(key, session, names, now),
            outstanding: outstanding.map(|kind| Kind(kind).word()),
            directions: [Direction::Egress, Direction::Ingress].map(|way| Way::new(session, way)),
            expectation,
        }
    }
}

impl Way {
    fn new(session: &Session, direction: Direction) -> Self {
        let done = session.rewrites_of(direction);
        let texts = done.map(rewrites).unwrap_or_default().into_iter();
        Self {
            direction: direction_word(direction),
            sender: match session.role(direction) {
                Role::Client => "client",
                Role::Server => "server",
            },
            sequence_delta: done.map_or(0, |done| done.delta().cast_signed()),
            held_bytes: done.map_or(0, |done| done.hold_len),
            rewrites: texts
                .map(|rewrite| Replacement {
                    text: text(rewrite),
                    original_length: rewrite.original_len,
                    length: rewrite.new_len,
                    sequence_delta: rewrite.delta_after.cast_signed(),
                })
                .collect(),
        }
    }
}

impl Object for Details {
    const KIND: &'static str = "session";

    fn sections(&self, wide: bool) -> Vec<Section> {
        let entry = &self.entry;
        let refused = match entry.last_refusal {
            Some(reason) => format!("{} (the last one: {reason})", entry.refused),
            None => entry.refused.to_string(),
        };
        let refused = Fact::new("refused", refused).tone(if entry.refused > 0 {
            Tone::Warn
        } else {
            Tone::Plain
        });
        let facts = vec![
            Fact::new("outside", &entry.outside),
            Fact::new("peer", &entry.peer),
            Fact::new("inside", or_dash(entry.inside.as_deref())),
            Fact::new("seen peer", or_dash(entry.seen_peer.as_deref())),
            Fact::new("client", entry.client),
            Fact::new("interface", &entry.interface),
            Fact::new("state", entry.state.word()),
            Fact::new("flags", list_or_dash(&entry.flags)),
            Fact::new("mode", or_dash(entry.mode.map(Mode::word))),
            Fact::new("awaited reply", or_dash(self.outstanding)),
            Fact::new("helped", entry.helped.to_string()),
            refused,
            Fact::new("age", &entry.age),
            Fact::new("idle", &entry.idle),
        ];
        let ways = Grid {
            header: vec!["DIRECTION", "SENDER", "SEQUENCE DELTA", "HELD BYTES"],
            rows: self.directions.iter().map(Way::cells).collect(),
        };
        let rewrites = self.directions.iter().flat_map(Way::rewrite_cells);
        let rewrites = Grid {
            header: vec!["DIRECTION", "TEXT", "BYTES", "SEQUENCE DELTA"],
            rows: rewrites.collect(),
        };
        let expectations = self.expectation.as_slice();
        vec![
            Section::Facts(facts),
            Section::Table("DIRECTIONS", ways),
            Section::Table("REWRITES", rewrites),
            Section::Table("AWAITED DATA CONNECTION", Grid::of(expectations, wide)),
        ]
    }
}

impl Way {
    fn cells(&self) -> (Vec<String>, Tone) {
        let cells = vec![
            self.direction.to_owned(),
            self.sender.to_owned(),
            format!("{:+}", self.sequence_delta),
            self.held_bytes.to_string(),
        ];
        (cells, Tone::Plain)
    }

    fn rewrite_cells(&self) -> impl Iterator<Item = (Vec<String>, Tone)> {
        self.rewrites.iter().map(|rewrite| {
            let cells = vec![
                self.direction.to_owned(),
                rewrite.text.clone(),
                format!("{} -> {}", rewrite.original_length, rewrite.length),
                format!("{:+}", rewrite.sequence_delta),
            ];
            (cells, Tone::Plain)
        })
    }
}
