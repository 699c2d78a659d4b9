//! Sessions that are over.

use std::{collections::HashSet, fs};

use anyhow::Result;
use ftp_helper_common::{
    event::Event,
    reason::Reason,
    session::{Session, SessionKey, flags},
};
use tracing::debug;
use zerocopy::transmute;

use super::{
    REMOVALS, Turn,
    clients::{Correction, Count},
    part,
    queue::Queue,
};
use crate::{
    clock::seconds,
    control_ports::{self, server_port},
    datapath::{Maps, maps::Cursor},
    output::endpoint,
};

/// A closed session is kept for as long as TCP keeps a closed connection
/// (conntrack's `TIME_WAIT`): its last segments may still be repeated.
const CLOSED: u64 = seconds(120);

/// And for so long when closed ones fill half of the table: better that the last segment
/// of some is repeated in vain than that new connections get no help.
const CROWDED: u64 = seconds(10);

/// And for so long when they fill three quarters of it, until it is half of it again.
const FULL: u64 = seconds(1);

/// Between the starts of two walks: what they look for takes minutes.
const PAUSE: u64 = seconds(10);

const ESTABLISHED_SYSCTL: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established";
/// The kernel's default: five days.
const ESTABLISHED_DEFAULT: u64 = 432_000;

/// A key in a form that has an order.
type Bytes = [u8; size_of::<SessionKey>()];

pub(super) struct Sessions {
    closed: Queue<Bytes>,
    /// Sessions that the table takes.
    capacity: usize,
    limits: Limits,
    part: usize,
    step: Step,
    count: Count,
    /// Interfaces and ports of servers that the walk saw; `None` when ports have changed
    /// since it began.
    used: Option<HashSet<(u32, u16)>>,
}

/// Where the walk is.
enum Step {
    /// Done for now; the next one starts at this time.
    Pause(u64),
    /// In the table of sessions; started at this time.
    Walk(Cursor, u64),
    /// In the table of clients.
    Correct(Correction, u64),
}

impl Sessions {
    pub(super) fn new(capacity: usize, limits: Limits) -> Self {
        Self {
            closed: Queue::new(capacity.saturating_mul(2)),
            capacity,
            limits,
            part: part(capacity),
            step: Step::Pause(0),
            count: Count::default(),
            used: None,
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        if Reason::from_number(event.reason) == Some(Reason::SessionClosed) {
            let due = event.time.saturating_add(CLOSED + 1);
            self.closed.set(bytes(&event.session), due);
        }
        self.count.event(event);
    }

    /// What the walk saw so far says nothing about the ports that are there now: the next
    /// one follows at once. This one goes on, so that frequent changes keep no session from
    /// its end.
    pub(super) fn ports_changed(&mut self) {
        self.used = None;
        if let Step::Pause(until) = &mut self.step {
            *until = 0;
        }
    }

    pub(super) fn turn(&mut self, maps: &mut Maps, now: u64) -> Result<Turn> {
        let mut turn = Turn::default();
        let is_full = self.closed.len() > self.capacity / 4 * 3;
        while turn.looked < REMOVALS {
            let kept = self.kept(is_full);
            let Some(key) = self.closed.take_due(now.saturating_add(CLOSED - kept)) else {
                break;
            };
            turn.looked += 1;
            self.remove_closed(maps, key, kept, now)?;
        }
        let mut left = self.part;
        while left > 0 {
            let Some(looked) = self.walk(maps, now, left)? else {
                break;
            };
            turn.looked += looked;
            // A step that finds nothing is work, too.
            left = left.saturating_sub(looked.max(1));
        }
        Ok(turn)
    }

    /// How long closed sessions are kept now, in nanoseconds; `is_full`: they filled three
    /// quarters of the table when the turn began.
    fn kept(&self, is_full: bool) -> u64 {
        if self.closed.len() <= self.capacity / 2 {
            CLOSED
        } else if is_full {
            FULL
        } else {
            CROWDED
        }
    }

    /// Looks at what is due: the same endpoints may be in use again.
    fn remove_closed(&mut self, maps: &mut Maps, bytes: Bytes, kept: u64, now: u64) -> Result<()> {
        let key: SessionKey = transmute!(bytes);
        let Some(session) = maps.sessions.get(&key)? else {
            return Ok(());
        };
        if self.limits.is_over(&session, kept, now) {
            remove(maps, &key)?;
        } else if session.flags & flags::CLOSED != 0 {
            self.closed
                .set(bytes, session.last_seen.saturating_add(CLOSED + 1));
        }
        Ok(())
    }

    /// A step of the walk, through no more than `most` entries; returns how many
    /// it looked at, `None` in a pause.
    fn walk(&mut self, maps: &mut Maps, now: u64, most: usize) -> Result<Option<usize>> {
        match &mut self.step {
            Step::Pause(until) if now < *until => Ok(None),
            Step::Pause(_) => {
                self.count = Count::default();
                self.used = Some(HashSet::new());
                self.step = Step::Walk(Cursor::default(), now);
                Ok(Some(0))
            }
            Step::Walk(cursor, started) => {
                let started = *started;
                let walked = maps.sessions.part(cursor, most)?;
                let looked = walked.entries.len();
                for (key, session) in walked.entries {
                    if self.limits.is_over(&session, CLOSED, now) {
                        remove(maps, &key)?;
                    } else {
                        self.count.add(&key, &session);
                        if let Some(used) = &mut self.used {
                            used.insert((session.ifindex, server_port(&key, &session)));
                        }
                    }
                }
                self.step = if let Some(next) = walked.next {
                    Step::Walk(next, started)
                } else {
                    if let Some(used) = &self.used {
                        control_ports::release_unused(maps, used)?;
                    }
                    Step::Correct(self.count.finish(), started)
                };
                Ok(Some(looked))
            }
            Step::Correct(correction, started) => {
                let (looked, more) = correction.step(&mut maps.clients, most)?;
                if !more {
                    self.step = Step::Pause(match self.used {
                        Some(_) => started.saturating_add(PAUSE),
                        None => 0,
                    });
                }
                Ok(Some(looked))
            }
        }
    }
}

fn remove(maps: &mut Maps, key: &SessionKey) -> Result<()> {
    if maps.sessions.remove(key)? {
        debug!(
            outside = %endpoint(&key.outside),
            peer = %endpoint(&key.peer),
            "session removed"
        );
    }
    Ok(())
}

fn bytes(key: &SessionKey) -> Bytes {
    transmute!(*key)
}

/// How long sessions are kept without a packet.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct Limits {
    /// Open ones; nanoseconds.
    established: u64,
}

impl Limits {
    /// Open sessions live as long without a packet as their connections do in
    /// conntrack: without that entry the connection has no translation either.
    pub(in crate::agent) fn following_conntrack() -> Self {
        let configured = fs::read_to_string(ESTABLISHED_SYSCTL).ok();
        let configured = configured.and_then(|text| text.trim().parse().ok());
        Self {
            established: seconds(configured.unwrap_or(ESTABLISHED_DEFAULT)),
        }
    }

    /// Closed ones are kept for `closed` nanoseconds.
    fn is_over(self, session: &Session, closed: u64, now: u64) -> bool {
        // A packet may come while we look: then last_seen is ahead of us.
        let idle = now.saturating_sub(session.last_seen);
        let limit = if session.flags & flags::CLOSED != 0 {
            closed
        } else {
            self.established
        };
        idle > limit
    }
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::address::{Address, Endpoint};
    use zerocopy::FromZeros as _;

    use super::*;
    use crate::datapath::tests::with_maps;

    const LIMITS: Limits = Limits {
        established: seconds(1000),
    };

    fn session(closed: bool, last_seen: u64) -> Session {
        let mut session = Session::new_zeroed();
        session.flags = if closed { flags::CLOSED } else { 0 };
        session.last_seen = seconds(last_seen);
        session
    }

    #[test]
    fn closed_sessions_go_after_two_minutes() {
        assert!(!LIMITS.is_over(&session(true, 100), CLOSED, seconds(220)));
        assert!(LIMITS.is_over(&session(true, 100), CLOSED, seconds(221)));
    }

    #[test]
    fn open_sessions_live_as_long_as_in_conntrack() {
        assert!(!LIMITS.is_over(&session(false, 100), CLOSED, seconds(1100)));
        assert!(LIMITS.is_over(&session(false, 100), CLOSED, seconds(1101)));
    }

    #[test]
    fn a_packet_from_the_future_keeps_a_session() {
        assert!(!LIMITS.is_over(&session(true, 500), CLOSED, seconds(100)));
    }

    fn at(last: u8, port: u16) -> Endpoint {
        Endpoint::new(Address::from_v4([203, 0, 113, last]), port)
    }

    fn key(client: u8, port: u16) -> SessionKey {
        SessionKey {
            outside: at(1, 21),
            peer: at(client, port),
        }
    }

    /// A session that is closed, and was reported, at this second.
    fn close(sessions: &mut Sessions, maps: &mut Maps, port: u16, at: u64) {
        let key = key(7, port);
        maps.sessions.insert(&key, &session(true, at)).unwrap();
        sessions.event(&Event {
            time: seconds(at),
            session: key,
            reason: Reason::SessionClosed as u8,
            ..Event::default()
        });
    }

    fn left(maps: &Maps) -> Vec<u16> {
        let entries = maps.sessions.entries().unwrap();
        let mut ports: Vec<u16> = entries.iter().map(|(key, _)| key.peer.port).collect();
        ports.sort_unstable();
        ports
    }

    fn address(client: u8) -> [u8; 16] {
        transmute!(at(client, 0).address)
    }

    #[test]
    fn sessions_that_are_over_go_and_clients_are_counted_anew() {
        with_maps(|maps| {
            // Open, open, closed a moment ago, closed long ago, silent for too long.
            for (client, port, closed, last_seen) in [
                (7, 1, false, 900),
                (7, 2, false, 1900),
                (7, 3, true, 1900),
                (8, 4, true, 1000),
                (8, 5, false, 899),
            ] {
                let session = session(closed, last_seen);
                maps.sessions.insert(&key(client, port), &session).unwrap();
            }
            maps.clients.insert(&address(7), &9).unwrap();
            maps.clients.insert(&address(8), &9).unwrap();

            let mut sessions = Sessions::new(16, LIMITS);
            sessions.turn(maps, seconds(1900)).unwrap();

            assert_eq!(left(maps), [1, 2, 3]);
            assert_eq!(maps.clients.get(&address(7)).unwrap(), Some(2));
            assert_eq!(maps.clients.get(&address(8)).unwrap(), None);

            for port in left(maps) {
                maps.sessions.remove(&key(7, port)).unwrap();
            }
            sessions.turn(maps, seconds(1909)).unwrap();
            assert!(!maps.clients.entries().unwrap().is_empty());
            sessions.turn(maps, seconds(1910)).unwrap();
            assert!(maps.clients.entries().unwrap().is_empty());
        });
    }

    #[test]
    fn changes_of_ports_keep_no_session_from_its_end() {
        with_maps(|maps| {
            for port in 1..=8 {
                maps.sessions
                    .insert(&key(7, port), &session(false, 1))
                    .unwrap();
            }
            let mut sessions = Sessions::new(16, LIMITS);
            sessions.part = 1;
            for _ in 0..100 {
                sessions.ports_changed();
                sessions.turn(maps, seconds(1900)).unwrap();
            }
            assert!(left(maps).is_empty());
        });
    }

    #[test]
    fn a_session_that_was_reported_closed_is_looked_at_when_it_is_due() {
        with_maps(|maps| {
            let mut sessions = Sessions::new(16, LIMITS);
            // Nothing is found by the walk.
            sessions.step = Step::Pause(u64::MAX);
            for (port, closed, last_seen) in [(1, true, 100), (2, true, 150), (3, false, 150)] {
                let session = session(closed, last_seen);
                maps.sessions.insert(&key(7, port), &session).unwrap();
                sessions.event(&Event {
                    time: seconds(100),
                    session: key(7, port),
                    reason: Reason::SessionClosed as u8,
                    ..Event::default()
                });
            }
            assert_eq!(sessions.turn(maps, seconds(220)).unwrap().looked, 0);
            assert_eq!(sessions.turn(maps, seconds(221)).unwrap().looked, 3);
            assert_eq!(left(maps), [2, 3]);
            // A segment came later; and those endpoints are in use again.
            assert_eq!(sessions.turn(maps, seconds(271)).unwrap().looked, 1);
            assert_eq!(left(maps), [3]);
            maps.sessions.remove(&key(7, 3)).unwrap();
        });
    }

    #[test]
    fn closed_sessions_that_fill_half_of_the_table_go_early() {
        with_maps(|maps| {
            let mut sessions = Sessions::new(8, LIMITS);
            sessions.step = Step::Pause(u64::MAX);
            for port in 1..=6 {
                close(&mut sessions, maps, port, 100 + u64::from(port));
            }
            sessions.turn(maps, seconds(111)).unwrap();
            assert_eq!(left(maps), [1, 2, 3, 4, 5, 6]);
            sessions.turn(maps, seconds(112)).unwrap();
            assert_eq!(left(maps), [2, 3, 4, 5, 6]);
            // Four are no crowd, and have their time.
            sessions.turn(maps, seconds(200)).unwrap();
            assert_eq!(left(maps), [3, 4, 5, 6]);
            sessions.turn(maps, seconds(300)).unwrap();
            assert!(left(maps).is_empty());
        });
    }

    /// Many short connections, as in a benchmark or an attack.
    #[test]
    fn closed_sessions_that_fill_nearly_all_of_the_table_go_at_once() {
        with_maps(|maps| {
            let mut sessions = Sessions::new(8, LIMITS);
            sessions.step = Step::Pause(u64::MAX);
            for port in 1..=7 {
                close(&mut sessions, maps, port, 100 + u64::from(port));
            }
            // Their last segments are on their way.
            sessions.turn(maps, seconds(101)).unwrap();
            assert_eq!(left(maps), [1, 2, 3, 4, 5, 6, 7]);
            sessions.turn(maps, seconds(103)).unwrap();
            assert_eq!(left(maps), [2, 3, 4, 5, 6, 7]);
            // Six of eight are a crowd only.
            sessions.turn(maps, seconds(109)).unwrap();
            assert_eq!(left(maps), [2, 3, 4, 5, 6, 7]);
            close(&mut sessions, maps, 8, 109);
            sessions.turn(maps, seconds(110)).unwrap();
            assert_eq!(left(maps), [5, 6, 7, 8]);
        });
    }

    #[test]
    fn a_turn_has_an_end_however_much_there_is() {
        with_maps(|maps| {
            let mut sessions = Sessions::new(16, LIMITS);
            sessions.part = 50;
            let total = 400_u16;
            for port in 1..=total {
                let last_seen = if port <= 100 { 100 } else { 1900 };
                let session = session(false, last_seen);
                maps.sessions.insert(&key(7, port), &session).unwrap();
            }
            maps.clients.insert(&address(7), &1).unwrap();
            let mut turns = 0;
            while maps.clients.get(&address(7)).unwrap() != Some(300) {
                let turn = sessions.turn(maps, seconds(1900)).unwrap();
                // The kernel gives entries with the same hash together.
                assert!(turn.looked < 50 + 16, "{}", turn.looked);
                turns += 1;
                assert!(turns <= 20, "{} left", left(maps).len());
            }
            assert!(turns >= 8, "{turns}");
            assert_eq!(left(maps).len(), 300);
            for port in left(maps) {
                maps.sessions.remove(&key(7, port)).unwrap();
            }
            maps.clients.remove(&address(7)).unwrap();
        });
    }
}
