//! Expectations whose time is over.

use anyhow::Result;
use ftp_helper_common::{
    event::Event,
    expectation::{Expectation, ExpectationKey},
    reason::Reason,
};
use zerocopy::transmute;

use super::{REMOVALS, Turn, part, queue::Queue};
use crate::datapath::{Maps, maps::Cursor};

/// A key in a form that has an order.
type Bytes = [u8; size_of::<ExpectationKey>()];

pub(super) struct Expectations {
    due: Queue<Bytes>,
    walk: Cursor,
    part: usize,
}

impl Expectations {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            due: Queue::new(capacity.saturating_mul(2)),
            walk: Cursor::default(),
            part: part(capacity),
        }
    }

    pub(super) fn event(&mut self, event: &Event, timeout: u64) {
        let key = bytes(&ExpectationKey {
            source: event.source,
            destination: event.outside,
        });
        match Reason::from_number(event.reason) {
            Some(Reason::AnnouncementRewritten | Reason::AnnouncementAccepted) => {
                self.due.set(key, event.time.saturating_add(timeout));
            }
            Some(
                Reason::ExpectationMatched
                | Reason::ExpectationExpired
                | Reason::ExpectationReplaced
                | Reason::ExpectationTornDown,
            ) => self.due.remove(&key),
            _ => {}
        }
    }

    pub(super) fn turn(&mut self, maps: &mut Maps, now: u64) -> Result<Turn> {
        let mut turn = Turn::default();
        while turn.looked < REMOVALS
            && let Some(key) = self.due.take_due(now)
        {
            turn.looked += 1;
            self.remove_expired(maps, key, now, &mut turn)?;
        }
        let walked = maps.expectations.part(&self.walk, self.part)?;
        self.walk = walked.next.unwrap_or_default();
        for (key, expectation) in walked.entries {
            turn.looked += 1;
            // What is due already has its turn like everything else.
            self.due.set(bytes(&key), expectation.expires);
        }
        Ok(turn)
    }

    /// Looks at what is due: something else may be there by now.
    fn remove_expired(
        &mut self,
        maps: &mut Maps,
        bytes: Bytes,
        now: u64,
        turn: &mut Turn,
    ) -> Result<()> {
        let key: ExpectationKey = transmute!(bytes);
        let Some(expectation) = maps.expectations.get(&key)? else {
            return Ok(());
        };
        if expectation.expires > now {
            self.due.set(bytes, expectation.expires);
        } else if maps.expectations.remove(&key)? {
            maps.counters.add_expired()?;
            turn.expired.push(report(&key, &expectation, now));
        }
        Ok(())
    }
}

fn bytes(key: &ExpectationKey) -> Bytes {
    transmute!(*key)
}

/// What the programs report of one that they find expired.
fn report(key: &ExpectationKey, expectation: &Expectation, now: u64) -> Event {
    Event {
        time: now,
        session: expectation.master,
        inside: expectation.inside(key),
        outside: key.destination,
        source: key.source,
        reason: Reason::ExpectationExpired as u8,
        kind: expectation.kind,
        ifindex: expectation.ifindex,
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::{
        address::{Address, Endpoint},
        grammar::Kind,
    };

    use super::*;
    use crate::{clock::seconds, datapath::tests::with_maps};

    fn key(number: u16) -> ExpectationKey {
        ExpectationKey {
            source: Address::from_v4([203, 0, 113, 9]),
            destination: Endpoint::new(Address::from_v4([203, 0, 113, 1]), number),
        }
    }

    fn until(expires: u64) -> Expectation {
        Expectation {
            expires: seconds(expires),
            kind: Kind::PORT.0,
            ..Expectation::default()
        }
    }

    fn announced(number: u16, time: u64) -> Event {
        Event {
            time: seconds(time),
            source: key(number).source,
            outside: key(number).destination,
            reason: Reason::AnnouncementRewritten as u8,
            ..Event::default()
        }
    }

    fn left(maps: &Maps) -> Vec<u16> {
        let entries = maps.expectations.entries().unwrap();
        let mut ports: Vec<u16> = entries
            .iter()
            .map(|(key, _)| key.destination.port)
            .collect();
        ports.sort_unstable();
        ports
    }

    #[test]
    fn what_events_told_goes_when_it_is_due_and_is_counted() {
        with_maps(|maps| {
            let mut expectations = Expectations::new(16);
            for (port, expires) in [(5001, 9), (5002, 10), (5003, 11)] {
                maps.expectations
                    .insert(&key(port), &until(expires))
                    .unwrap();
                expectations.event(&announced(port, expires - 5), seconds(5));
            }
            let before = maps.counters.get(Reason::ExpectationExpired).unwrap();
            let turn = expectations.turn(maps, seconds(10)).unwrap();
            let counted = maps.counters.get(Reason::ExpectationExpired).unwrap();
            assert_eq!(counted - before, 2);
            assert_eq!(left(maps), [5003]);
            let [first, second] = &turn.expired[..] else {
                panic!("{turn:?}");
            };
            assert_eq!(first.outside, key(5001).destination);
            assert_eq!(second.reason, Reason::ExpectationExpired as u8);
            assert_eq!(second.kind, Kind::PORT.0);
            expectations.turn(maps, seconds(11)).unwrap();
            assert!(left(maps).is_empty());
        });
    }

    #[test]
    fn what_no_event_told_is_found() {
        with_maps(|maps| {
            let mut expectations = Expectations::new(16);
            maps.expectations.insert(&key(5001), &until(9)).unwrap();
            maps.expectations.insert(&key(5002), &until(20)).unwrap();
            let mut turns = 0;
            while left(maps) != [5002] {
                expectations.turn(maps, seconds(10)).unwrap();
                turns += 1;
                assert!(turns < 3);
            }
            // Used up and awaited again in the meantime: not due yet.
            maps.expectations.insert(&key(5002), &until(30)).unwrap();
            expectations.turn(maps, seconds(25)).unwrap();
            assert_eq!(left(maps), [5002]);
            expectations.turn(maps, seconds(30)).unwrap();
            assert!(left(maps).is_empty());
        });
    }

    #[test]
    fn what_was_matched_is_not_looked_for() {
        let mut expectations = Expectations::new(16);
        expectations.event(&announced(5001, 1), seconds(5));
        let matched = Event {
            reason: Reason::ExpectationMatched as u8,
            ..announced(5001, 2)
        };
        expectations.event(&matched, seconds(5));
        assert_eq!(expectations.due.take_due(u64::MAX), None);
    }

    #[test]
    fn a_turn_has_an_end_however_much_there_is() {
        with_maps(|maps| {
            let mut expectations = Expectations::new(16);
            expectations.part = 50;
            let total = 400_u16;
            for port in 0..total {
                let expires = if port < 100 { 5 } else { 1000 };
                maps.expectations
                    .insert(&key(port), &until(expires))
                    .unwrap();
            }
            expectations.due = Queue::new(1000);
            let mut turns = 0;
            while left(maps).len() > 300 {
                let turn = expectations.turn(maps, seconds(10)).unwrap();
                // What the walk found in the turn before, and a part of the walk; the
                // kernel gives entries with the same hash together.
                assert!(turn.looked < 100 + 32, "{}", turn.looked);
                turns += 1;
                assert!(turns <= 20, "{} left", left(maps).len());
            }
            assert!(turns >= 4, "{turns}");
            for port in 100..total {
                assert!(maps.expectations.remove(&key(port)).unwrap());
            }
        });
    }
}
