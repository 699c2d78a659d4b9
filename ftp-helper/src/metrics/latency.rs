//! How long announced data connections take to come.
//!
//! The programs report an announcement and the match of its expectation as two
//! events, each with its time. They belong together by the session, which has one
//! expectation at a time, and the endpoint where the connection is awaited.
//!
//! A match goes untimed when its announcement was not seen: the event was lost,
//! an earlier agent read it, or more announcements came in between than are kept.
//! A lost event of the match itself leaves no trace here. All of these show as the
//! difference between this histogram's count and the counter of matches.

use std::{collections::HashMap, mem};

use ftp_helper_common::{address::Endpoint, event::Event, reason::Reason, session::SessionKey};
use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

/// Upper bounds in seconds: from a local network to the longest usual time-out.
const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// Announcements of one generation.
const GENERATION: usize = 8192;

/// The times that were measured; cheap to clone, all of the same values.
#[derive(Clone, Debug)]
pub struct Times {
    /// From announcement to SYN, in seconds.
    pub matched: Histogram,
    /// Matches whose announcement was not seen.
    pub untimed: Counter,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            matched: Histogram::new(BUCKETS),
            untimed: Counter::default(),
        }
    }
}

/// An announcement whose data connection has not come.
#[derive(Clone, Copy, Debug)]
struct Open {
    at: Endpoint,
    time: u64,
}

/// Pairs announcements with matches.
///
/// What is open is kept in two generations: when the younger one is full it
/// becomes the older one, and what was older is forgotten. So memory and work are
/// bounded, and the oldest go first.
#[derive(Debug)]
pub struct Latency {
    young: HashMap<SessionKey, Open>,
    old: HashMap<SessionKey, Open>,
    generation: usize,
    times: Times,
}

impl Latency {
    /// Measures into `times`.
    pub fn new(times: Times) -> Self {
        Self::with_generation(times, GENERATION)
    }

    fn with_generation(times: Times, generation: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation,
            times,
        }
    }

    /// Takes note of an event, in the order in which they happened.
    pub fn event(&mut self, event: &Event) {
        let session = &event.session;
        match Reason::from_number(event.reason) {
            Some(Reason::AnnouncementRewritten | Reason::AnnouncementAccepted) => {
                self.take(session);
                // Only noted: its data connection needs no help, so none is awaited.
                if event.outside != session.outside {
                    self.open(event);
                }
            }
            Some(Reason::ExpectationMatched) => match self.take(session) {
                Some(open) if open.at == event.outside => {
                    self.times
                        .matched
                        .observe(seconds(event.time.saturating_sub(open.time)));
                }
                _ => {
                    self.times.untimed.inc();
                }
            },
            Some(
                Reason::ExpectationExpired
                | Reason::ExpectationReplaced
                | Reason::ExpectationTornDown
                | Reason::SessionClosed,
            ) => {
                self.take(session);
            }
            _ => {}
        }
    }

    fn open(&mut self, event: &Event) {
        if self.young.len() >= self.generation {
            self.old = mem::take(&mut self.young);
        }
        let open = Open {
            at: event.outside,
            time: event.time,
        };
        self.young.insert(event.session, open);
    }

    fn take(&mut self, session: &SessionKey) -> Option<Open> {
        // In both at once it never is: `open` comes after `take`.
        self.young
            .remove(session)
            .or_else(|| self.old.remove(session))
    }
}

/// Nanoseconds as seconds.
fn seconds(nanoseconds: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "nanoseconds are exact for three months, which is longer than anything is awaited"
    )]
    let nanoseconds = nanoseconds as f64;
    nanoseconds / 1e9
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::address::Address;

    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    fn at(port: u16) -> Endpoint {
        Endpoint::new(Address::from_v4([203, 0, 113, 1]), port)
    }

    fn event(reason: Reason, session: u16, outside: u16, milliseconds: u64) -> Event {
        Event {
            time: milliseconds * MILLISECOND,
            session: SessionKey {
                outside: at(session),
                peer: at(21),
            },
            outside: at(outside),
            reason: reason as u8,
            ..Event::default()
        }
    }

    /// Count, sum in milliseconds, and matches without a time.
    fn measured(generation: usize, events: &[Event]) -> (u64, u64, u64) {
        let times = Times::default();
        let mut latency = Latency::with_generation(times.clone(), generation);
        for event in events {
            latency.event(event);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small and positive"
        )]
        let sum = (times.matched.sum() * 1e3).round() as u64;
        (times.matched.count(), sum, times.untimed.get())
    }

    #[test]
    fn from_the_announcement_to_the_match_of_the_same_session() {
        use Reason::{AnnouncementAccepted, AnnouncementRewritten, ExpectationMatched};
        let events = [
            event(AnnouncementRewritten, 1, 5000, 100),
            event(AnnouncementAccepted, 2, 5001, 110),
            event(ExpectationMatched, 2, 5001, 117),
            event(ExpectationMatched, 1, 5000, 130),
        ];
        assert_eq!(measured(8, &events), (2, 37, 0));
    }

    #[test]
    fn one_announcement_times_one_match() {
        use Reason::{AnnouncementRewritten, ExpectationMatched};
        let events = [
            event(AnnouncementRewritten, 1, 5000, 100),
            event(ExpectationMatched, 1, 5000, 103),
            event(ExpectationMatched, 1, 5000, 900),
        ];
        assert_eq!(measured(8, &events), (1, 3, 1));
    }

    #[test]
    fn the_latest_announcement_counts_and_another_endpoint_does_not() {
        use Reason::{AnnouncementRewritten, ExpectationMatched};
        let events = [
            event(AnnouncementRewritten, 1, 5000, 100),
            event(AnnouncementRewritten, 1, 5001, 200),
            event(ExpectationMatched, 1, 5001, 204),
            event(AnnouncementRewritten, 1, 5002, 300),
            event(ExpectationMatched, 1, 6000, 301),
        ];
        assert_eq!(measured(8, &events), (1, 4, 1));
    }

    #[test]
    fn what_ends_an_expectation_ends_its_time() {
        for reason in [
            Reason::ExpectationExpired,
            Reason::ExpectationReplaced,
            Reason::ExpectationTornDown,
            Reason::SessionClosed,
        ] {
            let events = [
                event(Reason::AnnouncementRewritten, 1, 5000, 100),
                event(reason, 1, 5000, 150),
                event(Reason::ExpectationMatched, 1, 5000, 200),
            ];
            assert_eq!(measured(8, &events), (0, 0, 1), "{}", reason.word());
        }
    }

    /// An announcement that needs no expectation names the session's own endpoint.
    #[test]
    fn announcements_without_an_expectation_are_not_awaited() {
        let times = Times::default();
        let mut latency = Latency::new(times);
        latency.event(&event(Reason::AnnouncementAccepted, 1, 1, 100));
        assert!(latency.young.is_empty());
    }

    #[test]
    fn the_oldest_are_forgotten_and_no_more_than_two_generations_kept() {
        let times = Times::default();
        let mut latency = Latency::with_generation(times.clone(), 4);
        for session in 1..=100 {
            latency.event(&event(Reason::AnnouncementRewritten, session, 5000, 0));
            assert!(latency.young.len() + latency.old.len() <= 8);
        }
        latency.event(&event(Reason::ExpectationMatched, 1, 5000, 1));
        assert_eq!((times.matched.count(), times.untimed.get()), (0, 1));
        for session in 97..=100 {
            latency.event(&event(Reason::ExpectationMatched, session, 5000, 1));
        }
        assert_eq!((times.matched.count(), times.untimed.get()), (4, 1));
    }
}
