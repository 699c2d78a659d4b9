//! The last control lines of a session and what was decided about them: what
//! `ftp-helper explain` tells, also while no agent runs.
//!
//! Of a line only its verb or reply code is kept, and of announcements the
//! endpoint; nothing else, so that no password can be in a map.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{address::Endpoint, grammar::Role, reason::Reason};

/// Entries that are kept; a power of two.
pub const ENTRIES: usize = 16;

/// Values of [`Entry::origin`].
pub mod origin {
    /// A line of the client.
    pub const CLIENT: u8 = 0;
    /// A line of the server.
    pub const SERVER: u8 = 1;
    /// No line: a data connection, or the end of something.
    pub const OTHER: u8 = 2;
}

/// A line, a decision about it, or both.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct Entry {
    /// When; zero for an entry that was never written.
    pub time: Moment,
    /// Reply code; 0 for a command, and for a decision inside a multi-line reply.
    pub code: u16,
    /// What was announced, or where the data connection leads; zero when there is
    /// nothing of that kind.
    pub inside: Endpoint,
    /// What it became, or where the data connection was awaited.
    pub outside: Endpoint,
    /// First four letters of a command, upper case, the last one in the lowest
    /// byte; 0 for a reply.
    pub verb: u32,
    /// Number of the [`Kind`](crate::grammar::Kind).
    pub kind: u8,
    /// The decision: 0 for none, else the number of the [`Reason`] plus 1.
    pub decision: u8,
    /// One of [`origin`].
    pub origin: u8,
    /// Always zero.
    pub reserved: u8,
}

/// A point in time of `CLOCK_BOOTTIME`, in short: units of 1024 nanoseconds, the lowest 16
/// bits first. It ends after nine years.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct Moment([u16; 3]);

impl Moment {
    const UNIT: u32 = 10;

    /// The moment at which so many nanoseconds have passed, at most one unit earlier.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a part of the number")]
    pub const fn at(nanoseconds: u64) -> Self {
        let units = nanoseconds >> Self::UNIT;
        Self([units as u16, (units >> 16) as u16, (units >> 32) as u16])
    }

    /// Nanoseconds of `CLOCK_BOOTTIME`.
    #[must_use]
    pub fn nanoseconds(self) -> u64 {
        let [low, middle, high] = self.0.map(u64::from);
        (high << 32 | middle << 16 | low) << Self::UNIT
    }
}

/// The newest entries of a session. Both directions write to it without a lock:
/// when two processors do so at once, an entry may be lost or mixed.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct Journal {
    /// Entries written so far (wraps).
    pub written: u32,
    /// The newest of them, from `written` on and around.
    pub entries: [Entry; ENTRIES],
}

const _: () = assert!(ENTRIES.is_power_of_two());
const _: () = assert!(size_of::<Entry>() == 56);
const _: () = assert!(size_of::<Journal>() == 4 + ENTRIES * 56);

/// The origin of this side's lines.
#[inline(always)]
pub const fn origin_of(role: Role) -> u8 {
    match role {
        Role::Client => origin::CLIENT,
        Role::Server => origin::SERVER,
    }
}

impl Entry {
    /// The decision, if there is one that this version knows.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_number(self.decision.checked_sub(1)?)
    }
}

impl Journal {
    /// The entry to be written next; the oldest one is lost.
    #[inline(always)]
    pub fn append(&mut self) -> &mut Entry {
        let index = self.written as usize & (ENTRIES - 1);
        self.written = self.written.wrapping_add(1);
        &mut self.entries[index]
    }

    /// The entry that was written last; an empty one when there is none.
    #[inline(always)]
    pub fn newest(&mut self) -> &mut Entry {
        let index = self.written.wrapping_sub(1) as usize & (ENTRIES - 1);
        &mut self.entries[index]
    }

    /// The entries, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        let oldest = self.written as usize & (ENTRIES - 1);
        let (newer, older) = self.entries.split_at(oldest);
        let written = |entry: &&Entry| entry.time != Moment::default();
        older.iter().chain(newer).filter(written)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn times(journal: &Journal) -> Vec<u64> {
        let numbers = journal.iter().map(|entry| entry.time.nanoseconds() >> 10);
        numbers.collect()
    }

    fn note(journal: &mut Journal, time: u64) {
        journal.append().time = Moment::at(time << 10);
    }

    #[test]
    fn the_newest_entries_are_kept_in_their_order() {
        let mut journal = Journal::default();
        assert!(times(&journal).is_empty());
        for time in 1..=3 {
            note(&mut journal, time);
        }
        assert_eq!(times(&journal), [1, 2, 3]);
        assert_eq!(journal.newest().time, Moment::at(3072));
        for time in 4..=20 {
            note(&mut journal, time);
        }
        assert_eq!(times(&journal), (5..=20).collect::<Vec<_>>());
    }

    #[test]
    fn the_number_of_written_entries_wraps() {
        let mut journal = Journal {
            written: u32::MAX,
            ..Journal::default()
        };
        note(&mut journal, 1);
        note(&mut journal, 2);
        assert_eq!(times(&journal), [1, 2]);
        assert_eq!(journal.newest().time, Moment::at(2048));
    }

    #[test]
    fn a_moment_is_exact_to_a_microsecond_for_nine_years() {
        let nine_years = 9 * 365 * 86_400 * 1_000_000_000;
        for time in [0, 1024, 1 << 26, 1 << 42, 0x1234_5678_9abc_dc00, nine_years] {
            let time = time & (u64::MAX >> 6);
            let kept = Moment::at(time + 1023).nanoseconds();
            assert_eq!(kept, (time + 1023) >> 10 << 10);
        }
    }

    #[test]
    fn a_decision_is_a_reason_plus_one() {
        let mut entry = Entry::default();
        assert_eq!(entry.reason(), None);
        entry.decision = Reason::LowPort as u8 + 1;
        assert_eq!(entry.reason(), Some(Reason::LowPort));
        entry.decision = 255;
        assert_eq!(entry.reason(), None);
    }
}
