//! Control connections.

mod details;

use clap::ValueEnum;
use ftp_helper_common::{
    address::Endpoint,
    grammar::Kind,
    reason::Reason,
    rewrite::{self, REWRITES, Rewrites},
    session::{Direction, Session, SessionKey, flags},
};
use serde::Serialize;

pub use self::details::Details;
use super::{filter::Subject, mode::Mode};
use crate::{
    clock,
    device::Names,
    output::{Row, endpoint, known_endpoint, list_or_dash, or_dash},
    pins::direction_word,
};

/// How far a control connection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum State {
    /// The server has not greeted yet
    New,
    /// The server said 220
    Greeted,
    /// The server said 230
    LoggedIn,
    /// TLS or GSSAPI: nothing is read any more
    Encrypted,
    /// On another port, and not known to be FTP yet
    Candidate,
    /// On another port, and not FTP after all: it is not helped
    Rejected,
    /// Over; kept for segments that are repeated
    Closed,
}

impl State {
    /// What the flags of a session say, the end before all else.
    pub const fn of(session: &Session) -> Self {
        let bits = session.flags;
        if bits & flags::CLOSED != 0 {
            Self::Closed
        } else if bits & flags::REJECTED != 0 {
            Self::Rejected
        } else if bits & flags::CANDIDATE != 0 {
            Self::Candidate
        } else if bits & flags::OPAQUE != 0 {
            Self::Encrypted
        } else if bits & flags::LOGGED_IN != 0 {
            Self::LoggedIn
        } else if bits & flags::GREETED != 0 {
            Self::Greeted
        } else {
            Self::New
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Greeted => "greeted",
            Self::LoggedIn => "logged_in",
            Self::Encrypted => "encrypted",
            Self::Candidate => "candidate",
            Self::Rejected => "rejected",
            Self::Closed => "closed",
        }
    }
}

/// What else is known of a session, in the order of its life.
const FLAGS: &[(u64, &str)] = &[
    (flags::PICKED_UP, "picked_up"),
    (flags::LEARNED, "learned"),
    (flags::EPSV_ALL, "epsv_all"),
    (flags::CLEARED, "cleared"),
    (flags::EXPECTING, "expecting"),
    (flags::RESTARTING, "restarting"),
];

/// A control connection as a line of a list.
#[derive(Debug, Serialize)]
pub struct Entry {
    outside: String,
    peer: String,
    inside: Option<String>,
    seen_peer: Option<String>,
    client: &'static str,
    state: State,
    flags: Vec<&'static str>,
    mode: Option<Mode>,
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
    const KIND: &'static str = "sessions";
    const HEADER: &'static [&'static str] = &[
        "OUTSIDE",
        "PEER",
        "INSIDE",
        "CLIENT",
        "STATE",
        "MODE",
        "INTERFACE",
        "HELPED",
        "REFUSED",
        "LAST REFUSAL",
        "AGE",
        "IDLE",
    ];
    const WIDE: &'static [&'static str] = &["SEEN PEER", "FLAGS", "LAST REWRITE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.outside.clone(),
            self.peer.clone(),
            or_dash(self.inside.as_deref()),
            self.client.to_owned(),
            self.state.word().to_owned(),
            or_dash(self.mode.map(Mode::word)),
            self.interface.clone(),
            self.helped.to_string(),
            self.refused.to_string(),
            or_dash(self.last_refusal),
            self.age.clone(),
            self.idle.clone(),
        ]
    }

    fn wide_cells(&self) -> Vec<String> {
        let rewrite = self.rewrites.last().map(|rewrite| rewrite.text.as_str());
        vec![
            or_dash(self.seen_peer.as_deref()),
            list_or_dash(&self.flags),
            or_dash(rewrite),
        ]
    }
}

impl Entry {
    /// What is shown of a session.
    pub fn new(key: &SessionKey, session: &Session, names: &mut Names, now: u64) -> Self {
        let age = now.saturating_sub(session.created);
        let idle = now.saturating_sub(session.last_seen);
        let flags = FLAGS.iter().filter(|(flag, _)| session.flags & flag != 0);
        Self {
            outside: endpoint(&key.outside),
            peer: endpoint(&key.peer),
            inside: known_endpoint(&session.inside),
            seen_peer: known_endpoint(&session.seen_peer),
            client: if is_client_inside(session) {
                "inside"
            } else {
                "outside"
            },
            state: State::of(session),
            flags: flags.map(|(_, word)| *word).collect(),
            mode: mode(session),
            interface: names.of(session.ifindex).to_owned(),
            helped: session.helped,
            refused: session.refused,
            last_refusal: session
                .last_refusal
                .checked_sub(1)
                .and_then(Reason::from_number)
                .map(Reason::word),
            rewrites: rewrites(&session.rewrites)
                .into_iter()
                .map(|rewrite| Rewrite {
                    text: text(rewrite),
                    direction: direction_word(Direction::Egress),
                })
                .collect(),
            age_seconds: clock::to_seconds(age),
            idle_seconds: clock::to_seconds(idle),
            age: clock::to_words(age),
            idle: clock::to_words(idle),
        }
    }
}

/// True when the client is the inside host.
pub const fn is_client_inside(session: &Session) -> bool {
    session.flags & flags::CLIENT_INSIDE != 0
}

/// How the last data connection was announced.
fn mode(session: &Session) -> Option<Mode> {
    let modes = session
        .journal
        .iter()
        .map(|entry| Mode::of(Kind(entry.kind)));
    modes.flatten().last()
}

/// What a filter looks at: the client is the source.
pub fn subject<'a>(key: &SessionKey, session: &Session, interface: &'a str) -> Subject<'a> {
    let inside = vec![session.inside, key.outside];
    let peer = vec![key.peer, session.seen_peer];
    let (source, destination) = if is_client_inside(session) {
        (inside, peer)
    } else {
        (peer, inside)
    };
    Subject {
        source,
        destination,
        interface,
        mode: mode(session),
    }
}

/// True when one of its ends goes by this name, inside or outside.
pub fn has_end(key: &SessionKey, session: &Session, end: &Endpoint) -> bool {
    [key.outside, key.peer, session.inside, session.seen_peer].contains(end)
}

/// The rewrites that are remembered, oldest first. Lines that were held and then
/// let go as they were are none.
fn rewrites(all: &Rewrites) -> Vec<&rewrite::Rewrite> {
    let ages = (0..).take(REWRITES);
    let mut rewrites: Vec<_> = ages
        .map_while(|age| all.rewrite(age))
        .filter(|rewrite| rewrite.digest_len > 0)
        .collect();
    rewrites.reverse();
    rewrites
}

/// The announced numbers. What follows them on the line (it was held with them)
/// is nobody's business.
fn text(rewrite: &rewrite::Rewrite) -> String {
    let text = rewrite.text.get(..usize::from(rewrite.new_len));
    let text = text.unwrap_or(&rewrite.text);
    let numbers: Vec<u8> = text
        .iter()
        .copied()
        .take_while(u8::is_ascii_graphic)
        .collect();
    String::from_utf8_lossy(&numbers).into_owned()
}

#[cfg(test)]
mod tests;
