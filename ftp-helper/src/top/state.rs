//! The last samples, and what the user chose.

use ftp_helper_common::reason::{Class, Reason};

use super::sample::{Row, Sample};

/// What the sessions are sorted by; the largest come first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Order {
    /// The one that had a packet last.
    #[default]
    Activity,
    /// The one that was taken on last.
    Age,
    /// The one with most announcements that were helped.
    Helped,
    /// The one with most announcements that were refused.
    Refused,
    /// The client's address, as a text.
    Client,
}

impl Order {
    /// All of them, with their keys.
    pub const KEYS: [(char, Self, &'static str); 5] = [
        ('i', Self::Activity, "idle"),
        ('a', Self::Age, "age"),
        ('h', Self::Helped, "helped"),
        ('r', Self::Refused, "refused"),
        ('c', Self::Client, "client"),
    ];
}

/// What the user wants after a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// The end.
    Quit,
    /// To see what has changed.
    Redraw,
    /// Nothing.
    Nothing,
}

/// A key, as far as it matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Key {
    /// A letter.
    Letter(char),
    /// Escape or Ctrl-C.
    End,
    /// One line up.
    Up,
    /// One line down.
    Down,
    /// Any other.
    Other,
}

/// A reason, how often it came up, and how often a second lately.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The reason.
    pub reason: Reason,
    /// Since the maps were made.
    pub total: u64,
    /// Between the last two samples.
    pub per_second: f64,
}

/// Everything that the screen shows.
#[derive(Debug, Default)]
pub struct State {
    current: Sample,
    previous: Option<Sample>,
    order: Order,
    /// First session that is shown.
    first: usize,
    /// Why the last look failed.
    pub fault: Option<String>,
}

impl State {
    /// A new look, or why there is none.
    pub fn update(&mut self, sample: Result<Sample, String>) {
        match sample {
            Ok(sample) => {
                let before = std::mem::replace(&mut self.current, sample);
                // The first one is compared with nothing.
                self.previous = Some(before).filter(|before| before.time > 0);
                self.fault = None;
                self.sort();
            }
            Err(fault) => self.fault = Some(fault),
        }
    }

    /// The last look.
    pub const fn current(&self) -> &Sample {
        &self.current
    }

    /// What the sessions are sorted by.
    pub const fn order(&self) -> Order {
        self.order
    }

    /// The sessions from the first that is shown on.
    pub fn sessions(&self) -> &[Row] {
        self.current.sessions.get(self.first..).unwrap_or_default()
    }

    /// Does what the key means.
    pub fn key(&mut self, key: Key) -> Wish {
        match key {
            Key::End | Key::Letter('q') => return Wish::Quit,
            Key::Up | Key::Letter('k') => self.first = self.first.saturating_sub(1),
            Key::Down | Key::Letter('j') => self.first += 1,
            Key::Letter(letter) => {
                let mut keys = Order::KEYS.iter();
                let Some((_, order, _)) = keys.find(|(key, ..)| *key == letter) else {
                    return Wish::Nothing;
                };
                self.order = *order;
                self.first = 0;
                self.sort();
            }
            Key::Other => return Wish::Nothing,
        }
        self.limit();
        Wish::Redraw
    }

    /// How often it comes up in a second.
    pub fn rate(&self, reason: Reason) -> Rate {
        let total = self.current.count(reason);
        let per_second = self.previous.as_ref().map_or(0.0, |previous| {
            let more = total.saturating_sub(previous.count(reason));
            let time = self.current.time.saturating_sub(previous.time);
            per_second(more, time)
        });
        Rate {
            reason,
            total,
            per_second,
        }
    }

    /// What came up, but for normal work: the busiest first.
    pub fn troubles(&self) -> Vec<Rate> {
        let reasons = Reason::ALL.iter();
        let mut rates: Vec<Rate> = reasons
            .filter(|reason| reason.class() != Class::Work)
            .map(|reason| self.rate(*reason))
            .filter(|rate| rate.total > 0)
            .collect();
        rates.sort_by(|one, other| {
            let by_rate = other.per_second.total_cmp(&one.per_second);
            by_rate.then(other.total.cmp(&one.total))
        });
        rates
    }

    fn sort(&mut self) {
        let sessions = &mut self.current.sessions;
        // Equal ones keep a place of their own.
        sessions
            .sort_by(|one, other| (&one.client, &one.server).cmp(&(&other.client, &other.server)));
        match self.order {
            Order::Activity => sessions.sort_by_key(|row| row.idle),
            Order::Age => sessions.sort_by_key(|row| row.age),
            Order::Helped => sessions.sort_by_key(|row| std::cmp::Reverse(row.helped)),
            Order::Refused => sessions.sort_by_key(|row| std::cmp::Reverse(row.refused)),
            Order::Client => {}
        }
        self.limit();
    }

    fn limit(&mut self) {
        let last = self.current.sessions.len().saturating_sub(1);
        self.first = self.first.min(last);
    }
}

fn per_second(count: u64, nanoseconds: u64) -> f64 {
    if nanoseconds == 0 {
        return 0.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with one place")]
    let (count, seconds) = (count as f64, nanoseconds as f64 / 1e9);
    count / seconds
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use super::{super::sample::Table, *};
    use crate::{clock::seconds, inspect::session::State as Progress};

    fn row(number: u32) -> Row {
        Row {
            client: format!("10.0.0.{number}:40000"),
            server: "203.0.113.2:21".to_owned(),
            interface: "wan0".to_owned(),
            state: Progress::LoggedIn,
            helped: 3 * number % 4,
            refused: number,
            age: seconds(u64::from(100 * number)),
            idle: seconds(u64::from(4 - number)),
        }
    }

    pub(in crate::top) fn sample(time: u64, matched: u64) -> Sample {
        let counts = [
            (Reason::AnnouncementRewritten, 5),
            (Reason::ExpectationCreated, 10),
            (Reason::ExpectationMatched, matched),
            (Reason::ExpectationExpired, 1),
            (Reason::LowPort, 7),
            (Reason::ThirdParty, matched),
        ];
        Sample {
            time: seconds(time),
            agent: Some(true),
            sessions: (1..=3).map(row).collect(),
            counts: HashMap::from(counts.map(|(reason, count)| (reason as u8, count))),
            tables: vec![
                Table {
                    name: "sessions",
                    entries: 3,
                    capacity: 16384,
                },
                Table {
                    name: "expectations",
                    entries: 900,
                    capacity: 1000,
                },
            ],
        }
    }

    pub(in crate::top) fn state() -> State {
        let mut state = State::default();
        state.update(Ok(sample(100, 2)));
        state.update(Ok(sample(102, 8)));
        state
    }

    #[test]
    fn rates_are_those_between_two_looks() {
        let mut state = State::default();
        state.update(Ok(sample(100, 2)));
        let rate = |state: &State| state.rate(Reason::ExpectationMatched).per_second;
        assert!(rate(&state).abs() < f64::EPSILON);
        state.update(Ok(sample(102, 8)));
        assert!((rate(&state) - 3.0).abs() < f64::EPSILON);
        // A look that failed changes nothing but the message.
        state.update(Err("gone".to_owned()));
        assert!((rate(&state) - 3.0).abs() < f64::EPSILON);
        assert_eq!(state.fault.as_deref(), Some("gone"));
    }

    #[test]
    fn troubles_are_what_is_no_work_and_the_busiest_come_first() {
        let reasons: Vec<Reason> = state().troubles().iter().map(|rate| rate.reason).collect();
        assert_eq!(reasons, [Reason::ThirdParty, Reason::LowPort]);
    }

    #[test]
    fn keys_sort_and_scroll() {
        let mut state = state();
        let clients = |state: &State| -> String {
            let sessions = state.sessions().iter();
            sessions.map(|row| row.client[7..8].to_owned()).collect()
        };
        for (key, wanted) in [
            ('a', "123"),
            ('r', "321"),
            ('h', "123"),
            ('c', "123"),
            ('i', "321"),
        ] {
            assert_eq!(state.key(Key::Letter(key)), Wish::Redraw);
            assert_eq!(clients(&state), wanted, "{key}");
        }
        state.key(Key::Down);
        assert_eq!(clients(&state), "21");
        for _ in 0..9 {
            state.key(Key::Letter('j'));
        }
        assert_eq!(clients(&state), "1");
        state.key(Key::Up);
        assert_eq!(clients(&state), "21");
        // Sessions that end do not leave the list empty.
        state.key(Key::Down);
        let mut fewer = sample(103, 8);
        fewer.sessions.truncate(1);
        state.update(Ok(fewer));
        assert_eq!(clients(&state), "1");
        assert_eq!(state.key(Key::Letter('x')), Wish::Nothing);
        assert_eq!(state.key(Key::Letter('q')), Wish::Quit);
        assert_eq!(state.key(Key::End), Wish::Quit);
    }
}
