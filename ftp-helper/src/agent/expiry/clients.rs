//! Numbers of sessions per client.
//!
//! The programs count without atomic operations, and do not see sessions that
//! end without a word, so their numbers drift.

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
};

use anyhow::Result;
use ftp_helper_common::{
    event::Event,
    reason::Reason,
    session::{Session, SessionKey, flags},
};
use zerocopy::transmute;

use crate::datapath::maps::{Clients, Cursor};

/// An address, as the programs count it.
type Client = [u8; 16];

/// The sessions of a walk, counted by client.
///
/// A walk through a large table takes a while. Sessions that came or went
/// meanwhile may be counted or not, so a number is only put right when it is
/// further from what was counted than such sessions account for.
#[derive(Debug, Default)]
pub(super) struct Count {
    sessions: HashMap<Client, u32>,
    changes: HashMap<Client, u32>,
}

impl Count {
    /// A session was found.
    pub(super) fn add(&mut self, key: &SessionKey, session: &Session) {
        if session.flags & flags::CLOSED == 0 {
            *self.sessions.entry(client(key, session)).or_default() += 1;
        }
    }

    /// A session may have come or gone. The event does not say which side the
    /// client is on.
    pub(super) fn event(&mut self, event: &Event) {
        let changes = matches!(
            Reason::from_number(event.reason),
            Some(Reason::SessionOpened | Reason::SessionPickedUp | Reason::SessionClosed)
        );
        if changes {
            for address in [event.session.peer.address, event.inside.address] {
                *self.changes.entry(transmute!(address)).or_default() += 1;
            }
        }
    }

    /// The walk is over: what it says about the table.
    pub(super) fn finish(&mut self) -> Correction {
        Correction {
            sessions: mem::take(&mut self.sessions),
            changes: mem::take(&mut self.changes),
            walk: Some(Cursor::default()),
        }
    }
}

/// Puts the table right, part by part.
#[derive(Debug)]
pub(super) struct Correction {
    sessions: HashMap<Client, u32>,
    changes: HashMap<Client, u32>,
    walk: Option<Cursor>,
}

impl Correction {
    /// Looks at about `part` clients; returns how many that were, and whether
    /// there are more.
    pub(super) fn step(&mut self, table: &mut Clients, part: usize) -> Result<(usize, bool)> {
        let Some(walk) = &self.walk else {
            return self.add_missing(table, part);
        };
        let walked = table.part(walk, part)?;
        let looked = walked.entries.len();
        for (client, number) in walked.entries {
            let right = match self.sessions.entry(client) {
                Entry::Occupied(counted) => counted.remove(),
                Entry::Vacant(_) => 0,
            };
            let changes = self.changes.get(&client).copied().unwrap_or_default();
            if right.abs_diff(number) <= changes && right != 0 {
                continue;
            }
            if right != 0 {
                table.insert(&client, &right)?;
            } else if changes == 0 {
                table.remove(&client)?;
            }
        }
        self.walk = walked.next;
        Ok((looked, true))
    }

    /// Clients that the programs could not count.
    fn add_missing(&mut self, table: &mut Clients, part: usize) -> Result<(usize, bool)> {
        let missing: Vec<Client> = self.sessions.keys().take(part).copied().collect();
        for client in &missing {
            if let Some(number) = self.sessions.remove(client)
                && !self.changes.contains_key(client)
            {
                table.insert(client, &number)?;
            }
        }
        Ok((missing.len(), !self.sessions.is_empty()))
    }
}

/// Address of the client.
fn client(key: &SessionKey, session: &Session) -> Client {
    transmute!(if session.flags & flags::CLIENT_INSIDE == 0 {
        key.peer.address
    } else {
        session.inside.address
    })
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::address::{Address, Endpoint};
    use zerocopy::FromZeros as _;

    use super::*;
    use crate::datapath::tests::with_maps;

    fn at(last: u8) -> Endpoint {
        Endpoint::new(Address::from_v4([203, 0, 113, last]), 21)
    }

    fn number(last: u8) -> Client {
        transmute!(at(last).address)
    }

    fn correct(count: &mut Count, table: &mut Clients) {
        let mut correction = count.finish();
        let mut looked = 0;
        while let (step, true) = correction.step(table, 2).unwrap() {
            looked += step;
            assert!(looked < 50);
        }
    }

    #[test]
    fn the_client_is_where_the_flag_says() {
        let key = SessionKey {
            outside: at(1),
            peer: at(2),
        };
        let mut session = Session::new_zeroed();
        session.inside = at(3);
        assert_eq!(client(&key, &session), number(2));
        session.flags |= flags::CLIENT_INSIDE;
        assert_eq!(client(&key, &session), number(3));
    }

    #[test]
    fn numbers_are_put_right_as_far_as_they_are_certain() {
        with_maps(|maps| {
            let mut count = Count::default();
            let session = Session::new_zeroed();
            // Three, four and five have two sessions each, six has one.
            for (peer, sessions) in [(3, 2), (4, 2), (5, 2), (6, 1)] {
                for _ in 0..sessions {
                    let key = SessionKey {
                        outside: at(1),
                        peer: at(peer),
                    };
                    count.add(&key, &session);
                }
            }
            for (last, wrong) in [(3, 9), (4, 3), (5, 9), (7, 1), (8, 1)] {
                maps.clients.insert(&number(last), &wrong).unwrap();
            }
            // One session of four, five and eight came or went in the meantime.
            for last in [4, 5, 8] {
                count.event(&Event {
                    session: SessionKey {
                        outside: at(1),
                        peer: at(last),
                    },
                    reason: Reason::SessionOpened as u8,
                    ..Event::default()
                });
            }
            correct(&mut count, &mut maps.clients);
            let table = &mut maps.clients;
            let numbers: Vec<Option<u32>> = (3..=8)
                .map(|last| table.get(&number(last)).unwrap())
                .collect();
            assert_eq!(numbers, [Some(2), Some(3), Some(2), Some(1), None, Some(1)]);
            correct(&mut count, table);
            assert!(table.entries().unwrap().is_empty());
        });
    }
}
