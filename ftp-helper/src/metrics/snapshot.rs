//! Everything that a scrape shows, at one moment.

use std::collections::{BTreeMap, HashSet};

use ftp_helper_common::{
    grammar::Kind,
    interface::Interface,
    reason::Reason,
    session::{Session, flags},
};

use super::{attachments::Attachment, latency::Times, observer::Cleanup};
use crate::kubernetes::{Report, report::State};

/// Everything that a scrape shows.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// How often what happened, since the maps were made.
    pub events: Vec<(Reason, u64)>,
    /// Control connections.
    pub sessions: Sessions,
    /// Awaited data connections.
    pub expectations: Expectations,
    /// How full the tables are.
    pub tables: Vec<Table>,
    /// Ports of FTP servers: their number by interface and state.
    pub control_ports: BTreeMap<(String, &'static str), u64>,
    /// Outside ports for data connections.
    pub pools: Vec<Pool>,
    /// Where programs have to be attached.
    pub attachments: Vec<Attachment>,
    /// How long data connections took to come.
    pub times: Times,
    /// When the agent started; seconds since 1970.
    pub started: u64,
    /// When work was last done; seconds since 1970.
    pub cleanups: Vec<(Cleanup, u64)>,
    /// Services of Kubernetes, where they are watched.
    pub kubernetes: Option<Kubernetes>,
}

/// What is known of Services of Kubernetes, in numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Kubernetes {
    /// Whether there is a connection to the API.
    pub connected: bool,
    /// Services with annotations of ours.
    pub services: u64,
    /// Things that are wrong with them.
    pub faults: u64,
}

impl Kubernetes {
    /// The numbers of a report.
    pub fn new(report: &Report) -> Self {
        Self {
            connected: report.connection.state == State::Connected,
            services: report.services.len() as u64,
            faults: report.faults.len() as u64,
        }
    }
}

/// A table of the programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Entries in it.
    pub entries: u64,
    /// Entries that it takes.
    pub capacity: u64,
}

/// Control connections by what can be done for them. Each is counted once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sessions {
    /// Read and helped.
    pub open: u64,
    /// Encrypted (TLS or GSSAPI): only their numbers are translated.
    pub opaque: u64,
    /// On other ports, and not known to be FTP, or known not to be.
    pub candidate: u64,
    /// Ended, and kept for segments that are repeated.
    pub closed: u64,
}

impl Sessions {
    /// Counts a session.
    pub fn add(&mut self, session: &Session) {
        let has = |bits: u64| session.flags & bits != 0;
        let state = if has(flags::CLOSED) {
            &mut self.closed
        } else if has(flags::CANDIDATE | flags::REJECTED) {
            &mut self.candidate
        } else if has(flags::OPAQUE) {
            &mut self.opaque
        } else {
            &mut self.open
        };
        *state += 1;
    }

    /// With the word for the label.
    pub const fn states(&self) -> [(&'static str, u64); 4] {
        [
            ("open", self.open),
            ("opaque", self.opaque),
            ("candidate", self.candidate),
            ("closed", self.closed),
        ]
    }
}

/// Awaited data connections by what announced them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Expectations([u64; 4]);

impl Expectations {
    const KINDS: [Kind; 4] = [Kind::PORT, Kind::EPRT, Kind::REPLY_227, Kind::REPLY_229];

    /// Counts an expectation.
    pub fn add(&mut self, kind: u8) {
        let kinds = Self::KINDS.iter().zip(&mut self.0);
        for (_, count) in kinds.filter(|(known, _)| known.0 == kind) {
            *count += 1;
        }
    }

    /// With the word for the label.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let words = Self::KINDS.iter().map(|kind| kind.word());
        words.zip(self.0)
    }
}

/// The outside ports of an interface from which data connections are given one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pool {
    /// Name of the interface.
    pub interface: String,
    /// Ports of the range that are not reserved.
    pub size: u64,
    /// Ports among them at which a data connection is awaited.
    pub used: u64,
}

impl Pool {
    /// `reserved` has a bit per port; `awaited` are the ports at which data
    /// connections are awaited on the interface, inside the range or not.
    pub fn new(
        interface: String,
        settings: &Interface,
        reserved: &[u64],
        awaited: &HashSet<u16>,
    ) -> Self {
        let is_free = |port: &u16| {
            let word = reserved.get(usize::from(*port) / 64);
            word.is_some_and(|word| word >> (port % 64) & 1 == 0)
        };
        let range = || (settings.first_port..=settings.last_port).filter(is_free);
        Self {
            interface,
            size: range().count() as u64,
            used: range().filter(|port| awaited.contains(port)).count() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros as _;

    use super::*;

    #[test]
    fn a_session_is_counted_once_however_many_flags_it_has() {
        let mut sessions = Sessions::default();
        for flags in [
            flags::GREETED,
            flags::OPAQUE | flags::GREETED,
            flags::OPAQUE | flags::CLOSED,
            flags::CANDIDATE,
            flags::REJECTED,
        ] {
            let mut session = Session::new_zeroed();
            session.flags = flags;
            sessions.add(&session);
        }
        let expected = [("open", 1), ("opaque", 1), ("candidate", 2), ("closed", 1)];
        assert_eq!(sessions.states(), expected);
    }

    #[test]
    fn expectations_by_kind() {
        let mut expectations = Expectations::default();
        for kind in [Kind::PORT, Kind::REPLY_229, Kind::PORT, Kind::OTHER] {
            expectations.add(kind.0);
        }
        let kinds: Vec<_> = expectations.kinds().collect();
        assert_eq!(kinds, [("PORT", 2), ("EPRT", 0), ("227", 0), ("229", 1)]);
    }

    #[test]
    fn a_pool_is_its_range_without_what_is_reserved() {
        let settings = Interface {
            first_port: 60,
            last_port: 69,
            ..Interface::default()
        };
        // Port 63, and port 64.
        let reserved = [1 << 63, 1];
        let awaited = HashSet::from([10, 62, 63, 69, 70]);
        assert_eq!(
            Pool::new("wan0".to_owned(), &settings, &reserved, &awaited),
            Pool {
                interface: "wan0".to_owned(),
                size: 8,
                used: 2,
            }
        );
    }
}
