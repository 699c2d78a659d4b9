//! `ftp-helper session list`

use anyhow::Result;
use ftp_helper_common::{
    reason::Reason,
    session::{Direction, Session, SessionKey, flags},
    stream::{REWRITES, Stream},
};
use serde::Serialize;

use crate::{
    clock,
    datapath::maps::{SESSIONS, Sessions},
    device::Device,
    output::{self, Format, Row, endpoint, known_endpoint, or_dash},
    pins::{PinDirectory, direction_word},
};

#[derive(Debug, Serialize)]
struct Entry {
    outside: String,
    peer: String,
    inside: Option<String>,
    seen_peer: Option<String>,
    client: &'static str,
    state: Vec<&'static str>,
    interface: String,
    helped: u32,
    refused: u32,
    last_refusal: Option<&'static str>,
    rewrites: Vec<Rewrite>,
    age_seconds: f64,
    idle_seconds: f64,
    #[serde(skip)]
    age: String,
    #[serde(skip)]
    idle: String,
}

/// A text that took the place of an announcement, oldest first.
#[derive(Debug, Eq, PartialEq, Serialize)]
struct Rewrite {
    text: String,
    direction: &'static str,
}

impl Row for Entry {
    const HEADER: &'static [&'static str] = &[
        "OUTSIDE",
        "PEER",
        "INSIDE",
        "CLIENT",
        "STATE",
        "INTERFACE",
        "HELPED",
        "REFUSED",
        "LAST REFUSAL",
        "LAST REWRITE",
        "AGE",
        "IDLE",
    ];

    fn cells(&self) -> Vec<String> {
        let state = Some(self.state.join(",")).filter(|state| !state.is_empty());
        let rewrite = self.rewrites.last().map(|rewrite| rewrite.text.as_str());
        vec![
            self.outside.clone(),
            self.peer.clone(),
            or_dash(self.inside.as_deref()),
            self.client.to_owned(),
            or_dash(state.as_deref()),
            self.interface.clone(),
            self.helped.to_string(),
            self.refused.to_string(),
            or_dash(self.last_refusal),
            or_dash(rewrite),
            self.age.clone(),
            self.idle.clone(),
        ]
    }
}

/// What the flags say, in the order of a session's life. Who the client is has a
/// column of its own.
const STATES: &[(u32, &str)] = &[
    (flags::CANDIDATE, "candidate"),
    (flags::REJECTED, "rejected"),
    (flags::PICKED_UP, "picked_up"),
    (flags::LEARNED, "learned"),
    (flags::GREETED, "greeted"),
    (flags::LOGGED_IN, "logged_in"),
    (flags::EPSV_ALL, "epsv_all"),
    (flags::OPAQUE, "opaque"),
    (flags::EXPECTING, "expecting"),
    (flags::RESTARTING, "restarting"),
    (flags::CLOSED, "closed"),
];

impl Entry {
    fn new(key: &SessionKey, session: &Session, now: u64) -> Self {
        let has = |flag: u32| session.flags & flag != 0;
        let age = now.saturating_sub(session.created);
        let idle = now.saturating_sub(session.last_seen);
        let states = STATES.iter().filter(|(flag, _)| has(*flag));
        let directions = [Direction::Egress, Direction::Ingress];
        Self {
            outside: endpoint(&key.outside),
            peer: endpoint(&key.peer),
            inside: known_endpoint(&session.inside),
            seen_peer: known_endpoint(&session.seen_peer),
            client: if has(flags::CLIENT_INSIDE) {
                "inside"
            } else {
                "outside"
            },
            state: states.map(|(_, word)| *word).collect(),
            interface: Device::name_of(session.ifindex),
            helped: session.helped,
            refused: session.refused,
            last_refusal: session
                .last_refusal
                .checked_sub(1)
                .and_then(Reason::from_number)
                .map(Reason::word),
            rewrites: directions
                .into_iter()
                .flat_map(|direction| rewrites(&session.streams[direction as usize], direction))
                .collect(),
            age_seconds: clock::to_seconds(age),
            idle_seconds: clock::to_seconds(idle),
            age: clock::to_words(age),
            idle: clock::to_words(idle),
        }
    }
}

/// The rewrites that are remembered, oldest first.
fn rewrites(stream: &Stream, direction: Direction) -> Vec<Rewrite> {
    let ages = (0..).take(REWRITES);
    let mut rewrites: Vec<Rewrite> = ages
        .map_while(|age| stream.rewrite(age))
        .map(|rewrite| {
            let text = rewrite.text.get(..usize::from(rewrite.new_len));
            Rewrite {
                text: String::from_utf8_lossy(text.unwrap_or(&rewrite.text)).into_owned(),
                direction: direction_word(direction),
            }
        })
        .collect();
    rewrites.reverse();
    rewrites
}

pub(super) fn list(pins: &PinDirectory, format: Format) -> Result<()> {
    let table = Sessions::open(pins, SESSIONS)?;
    let now = clock::now()?;
    output::print(&entries(table.entries()?, now), format)
}

/// Oldest first.
fn entries(mut table: Vec<(SessionKey, Session)>, now: u64) -> Vec<Entry> {
    table.sort_by_key(|(_, session)| session.created);
    let entries = table.iter();
    entries
        .map(|(key, session)| Entry::new(key, session, now))
        .collect()
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::{
        address::{Address, Endpoint},
        stream,
    };
    use zerocopy::FromZeros as _;

    use super::*;

    fn at(address: [u8; 4], port: u16) -> Endpoint {
        Endpoint::new(Address::from_v4(address), port)
    }

    fn sample() -> (SessionKey, Session) {
        let key = SessionKey {
            outside: at([203, 0, 113, 1], 40000),
            peer: at([203, 0, 113, 2], 21),
        };
        let mut session = Session::new_zeroed();
        session.inside = at([10, 0, 0, 2], 40000);
        session.seen_peer = key.peer;
        session.flags = flags::CLIENT_INSIDE | flags::LEARNED | flags::GREETED;
        session.ifindex = 0x7fff_0000;
        session.helped = 2;
        session.refused = 1;
        session.last_refusal = Reason::LowPort as u8 + 1;
        session.created = clock::seconds(100);
        session.last_seen = clock::seconds(190);
        for text in ["203,0,113,1,178,110", "203,0,113,1,178,111"] {
            let mut rewrite = stream::Rewrite::default();
            rewrite.text[..text.len()].copy_from_slice(text.as_bytes());
            rewrite.new_len = u16::try_from(text.len()).unwrap();
            session.streams[Direction::Egress as usize].push(&rewrite);
        }
        (key, session)
    }

    #[test]
    fn table() {
        let rows = entries(vec![sample()], clock::seconds(200));
        let text = output::render(&rows, Format::Table).unwrap();
        let cells: Vec<Vec<&str>> = text
            .lines()
            .map(|line| {
                line.split("  ")
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .collect()
            })
            .collect();
        assert_eq!(cells[0], Entry::HEADER);
        assert_eq!(
            cells[1],
            [
                "203.0.113.1:40000",
                "203.0.113.2:21",
                "10.0.0.2:40000",
                "inside",
                "learned,greeted",
                "if2147418112",
                "2",
                "1",
                "low_port",
                "203,0,113,1,178,111",
                "1m40s",
                "10s",
            ]
        );
    }

    #[test]
    fn json() {
        let rows = entries(vec![sample()], clock::seconds(200));
        let text = output::render(&rows, Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!([{
                "outside": "203.0.113.1:40000",
                "peer": "203.0.113.2:21",
                "inside": "10.0.0.2:40000",
                "seen_peer": "203.0.113.2:21",
                "client": "inside",
                "state": ["learned", "greeted"],
                "interface": "if2147418112",
                "helped": 2,
                "refused": 1,
                "last_refusal": "low_port",
                "rewrites": [
                    {"text": "203,0,113,1,178,110", "direction": "egress"},
                    {"text": "203,0,113,1,178,111", "direction": "egress"},
                ],
                "age_seconds": 100.0,
                "idle_seconds": 10.0,
            }])
        );
    }

    #[test]
    fn what_is_not_known_is_null_or_a_dash() {
        let (key, mut session) = sample();
        session.inside = Endpoint::default();
        session.seen_peer = Endpoint::default();
        session.last_refusal = 0;
        session.flags = 0;
        session.streams = Session::new_zeroed().streams;
        let entry = Entry::new(&key, &session, clock::seconds(200));
        assert_eq!(entry.inside, None);
        assert_eq!(entry.seen_peer, None);
        assert_eq!(entry.last_refusal, None);
        assert_eq!(entry.client, "outside");
        assert_eq!(entry.rewrites, []);
        let cells = entry.cells();
        assert_eq!([&cells[2], &cells[4], &cells[8], &cells[9]], ["-"; 4]);
    }

    #[test]
    fn a_text_longer_than_its_room_does_no_harm() {
        let (key, mut session) = sample();
        let rewrite = stream::Rewrite {
            new_len: u16::MAX,
            ..stream::Rewrite::default()
        };
        session.streams[Direction::Ingress as usize].push(&rewrite);
        assert_eq!(Entry::new(&key, &session, 0).rewrites.len(), 3);
    }
}
