//! Removal of what has expired.
//!
//! The programs never trust an entry because it is there: they look at its times
//! and flags. So this only keeps the tables from filling up, and nothing goes
//! wrong while no agent runs.

use std::{collections::HashMap, fs};

use anyhow::Result;
use ftp_helper_common::{
    grammar::Kind,
    reason::Reason,
    session::{Session, SessionKey, flags},
};
use tracing::{debug, info};
use zerocopy::transmute;

use crate::{
    clock::seconds,
    control_ports,
    datapath::{Maps, maps::Clients},
    device::Device,
    output::endpoint,
};

/// A closed session is kept for as long as TCP keeps a closed connection
/// (conntrack's `TIME_WAIT`): its last segments may still be repeated.
const CLOSED: u64 = seconds(120);

const ESTABLISHED_SYSCTL: &str = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established";
/// The kernel's default: five days.
const ESTABLISHED_DEFAULT: u64 = 432_000;

/// Removes and counts the expectations whose time is over.
pub(super) fn expectations(maps: &mut Maps, now: u64) -> Result<()> {
    let table = &mut maps.expectations;
    for (key, expectation) in table.entries()? {
        // The programs put a new one in the place of one that expired; look again,
        // so as not to remove that.
        let expired = expectation.expires <= now;
        if expired && table.get(&key)? == Some(expectation) && table.remove(&key)? {
            maps.counters.add_expired()?;
            info!(
                kind = Kind(expectation.kind).word(),
                interface = Device::name_of(expectation.ifindex),
                inside = %endpoint(&expectation.inside(&key)),
                outside = %endpoint(&key.destination),
                "{}",
                Reason::ExpectationExpired.word()
            );
        }
    }
    Ok(())
}

/// Removes the sessions that are over, and puts the numbers of sessions per
/// client right.
pub(super) fn sessions(maps: &mut Maps, limits: Limits, now: u64) -> Result<()> {
    let mut clients = HashMap::new();
    for (key, session) in maps.sessions.entries()? {
        if limits.is_over(&session, now) {
            if maps.sessions.remove(&key)? {
                debug!(
                    outside = %endpoint(&key.outside),
                    peer = %endpoint(&key.peer),
                    "session removed"
                );
            }
        } else if session.flags & flags::CLOSED == 0 {
            *clients.entry(client(&key, &session)).or_insert(0) += 1;
        }
    }
    recount(&mut maps.clients, clients)?;
    control_ports::release(maps)
}

/// Address of the client, as the programs count it.
fn client(key: &SessionKey, session: &Session) -> [u8; 16] {
    transmute!(if session.flags & flags::CLIENT_INSIDE == 0 {
        key.peer.address
    } else {
        session.inside.address
    })
}

/// The programs count without atomic operations, and do not see sessions that
/// end without a word, so their numbers drift. A session that starts while we
/// look may be missed until the next time.
fn recount(table: &mut Clients, mut counted: HashMap<[u8; 16], u32>) -> Result<()> {
    for (client, number) in table.entries()? {
        match counted.remove(&client) {
            Some(right) if right == number => {}
            Some(right) => table.insert(&client, &right)?,
            None => {
                table.remove(&client)?;
            }
        }
    }
    for (client, number) in counted {
        table.insert(&client, &number)?;
    }
    Ok(())
}

/// How long sessions are kept without a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Open ones; nanoseconds.
    established: u64,
}

impl Limits {
    /// Open sessions live as long without a packet as their connections do in
    /// conntrack: without that entry the connection has no translation either.
    pub(super) fn following_conntrack() -> Self {
        let configured = fs::read_to_string(ESTABLISHED_SYSCTL).ok();
        let configured = configured.and_then(|text| text.trim().parse().ok());
        Self {
            established: seconds(configured.unwrap_or(ESTABLISHED_DEFAULT)),
        }
    }

    fn is_over(self, session: &Session, now: u64) -> bool {
        // A packet may come while we look: then last_seen is ahead of us.
        let idle = now.saturating_sub(session.last_seen);
        let limit = if session.flags & flags::CLOSED != 0 {
            CLOSED
        } else {
            self.established
        };
        idle > limit
    }
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::{
        address::{Address, Endpoint},
        expectation::{Expectation, ExpectationKey},
    };
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
        assert!(!LIMITS.is_over(&session(true, 100), seconds(220)));
        assert!(LIMITS.is_over(&session(true, 100), seconds(221)));
    }

    #[test]
    fn open_sessions_live_as_long_as_in_conntrack() {
        assert!(!LIMITS.is_over(&session(false, 100), seconds(1100)));
        assert!(LIMITS.is_over(&session(false, 100), seconds(1101)));
    }

    #[test]
    fn a_packet_from_the_future_keeps_a_session() {
        assert!(!LIMITS.is_over(&session(true, 500), seconds(100)));
    }

    fn at(last: u8, port: u16) -> Endpoint {
        Endpoint::new(Address::from_v4([203, 0, 113, last]), port)
    }

    #[test]
    fn expired_expectations_are_removed_and_counted_and_others_stay() {
        with_maps(|maps| {
            let key = |port| ExpectationKey {
                source: at(9, 0).address,
                destination: at(1, port),
            };
            for (port, expires) in [(5001, 9), (5002, 10), (5003, 11)] {
                let expectation = Expectation {
                    expires: seconds(expires),
                    ..Expectation::default()
                };
                maps.expectations.insert(&key(port), &expectation).unwrap();
            }
            let before = maps.counters.get(Reason::ExpectationExpired).unwrap();
            expectations(maps, seconds(10)).unwrap();
            let counted = maps.counters.get(Reason::ExpectationExpired).unwrap();
            assert_eq!(counted - before, 2);
            assert_eq!(maps.expectations.get(&key(5001)).unwrap(), None);
            assert_eq!(maps.expectations.get(&key(5002)).unwrap(), None);
            assert!(maps.expectations.remove(&key(5003)).unwrap());
        });
    }

    #[test]
    fn sessions_that_are_over_go_and_clients_are_counted_anew() {
        with_maps(|maps| {
            let key = |client: u8, port| SessionKey {
                outside: at(1, 21),
                peer: at(client, port),
            };
            let address = |client| transmute!(at(client, 0).address);
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

            sessions(maps, LIMITS, seconds(1900)).unwrap();

            let mut left: Vec<u16> = maps
                .sessions
                .entries()
                .unwrap()
                .iter()
                .map(|(key, _)| key.peer.port)
                .collect();
            left.sort_unstable();
            assert_eq!(left, [1, 2, 3]);
            assert_eq!(maps.clients.get(&address(7)).unwrap(), Some(2));
            assert_eq!(maps.clients.get(&address(8)).unwrap(), None);

            for port in left {
                maps.sessions.remove(&key(7, port)).unwrap();
            }
            sessions(maps, LIMITS, seconds(1900)).unwrap();
            assert!(maps.clients.entries().unwrap().is_empty());
        });
    }

    #[test]
    fn the_client_is_where_the_flag_says() {
        let key = SessionKey {
            outside: at(1, 21),
            peer: at(2, 4000),
        };
        let mut session = session(false, 0);
        session.inside = at(3, 21);
        let bytes: [u8; 16] = transmute!(at(2, 0).address);
        assert_eq!(client(&key, &session), bytes);
        session.flags |= flags::CLIENT_INSIDE;
        let bytes: [u8; 16] = transmute!(at(3, 0).address);
        assert_eq!(client(&key, &session), bytes);
    }
}
