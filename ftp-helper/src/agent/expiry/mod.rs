//! Removal of what has expired.
//!
//! The programs never trust an entry because it is there: they look at its times
//! and flags. So this only keeps the tables from filling up, and nothing goes
//! wrong while no agent runs.
//!
//! The work is that of what expires, not of what there is: events tell what will
//! expire when ([`queue`]). What they did not tell (they may be lost, and an
//! agent that starts finds tables that are filled) is found by a walk through the
//! tables, of which each turn does a bounded part.

mod clients;
mod expectations;
mod queue;
mod sessions;

use anyhow::Result;
use ftp_helper_common::event::Event;

pub(super) use self::sessions::Limits;
use self::{expectations::Expectations, sessions::Sessions};
use crate::datapath::Maps;

/// Most entries that are removed in one turn.
const REMOVALS: usize = 8192;

/// Fewest and most entries that one turn of a walk looks at.
const PARTS: (usize, usize) = (256, 8192);

/// A full table is walked through in so many turns, unless that is less than a
/// turn looks at anyway.
const TURNS: usize = 128;

/// How many entries of a table of this size a turn looks at.
fn part(capacity: usize) -> usize {
    (capacity / TURNS).clamp(PARTS.0, PARTS.1)
}

/// What has to be removed when.
pub(super) struct Expiry {
    expectations: Expectations,
    sessions: Sessions,
}

/// What a turn did.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Entries that were looked at.
    pub(super) looked: usize,
    /// An event for each expectation that was removed, as the programs would have
    /// reported it.
    pub(super) expired: Vec<Event>,
}

impl Expiry {
    /// Knows nothing yet about what is in these maps.
    pub(super) fn new(maps: &Maps, limits: Limits) -> Self {
        Self {
            expectations: Expectations::new(maps.expectations.capacity()),
            sessions: Sessions::new(maps.sessions.capacity(), limits),
        }
    }

    /// The programs reported this; new expectations live for `timeout`
    /// nanoseconds.
    pub(super) fn event(&mut self, event: &Event, timeout: u64) {
        self.expectations.event(event, timeout);
        self.sessions.event(event);
    }

    /// Other ports may be control ports now.
    pub(super) fn settings_changed(&mut self) {
        self.sessions.ports_changed();
    }

    /// Removes and counts expectations whose time is over.
    pub(super) fn expectations(&mut self, maps: &mut Maps, now: u64) -> Result<Turn> {
        self.expectations.turn(maps, now)
    }

    /// Removes sessions that are over, and puts the numbers of sessions per client
    /// right.
    pub(super) fn sessions(&mut self, maps: &mut Maps, now: u64) -> Result<Turn> {
        self.sessions.turn(maps, now)
    }
}
