//! Awaited data connections.

use std::net::IpAddr;

use clap::ValueEnum;
use ftp_helper_common::{
    address::Endpoint,
    expectation::{Expectation, ExpectationKey},
    grammar::Kind,
    session::{Session, SessionKey},
};
use serde::Serialize;

use super::{filter::Subject, mode::Mode, session::is_client_inside};
use crate::{
    clock,
    device::Names,
    output::{Fact, Object, Row, Section, endpoint, known_endpoint, or_dash},
};

/// What becomes of the awaited connection when it comes now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum State {
    /// It is admitted when it comes
    Waiting,
    /// Not before the server says 2xx (--strict)
    Unapproved,
    /// Its time is over: it is admitted no more, and will be removed
    Expired,
}

impl State {
    /// What is to be said at this time.
    pub const fn of(expectation: &Expectation, now: u64) -> Self {
        if expectation.expires <= now {
            Self::Expired
        } else if expectation.unapproved == 1 {
            Self::Unapproved
        } else {
            Self::Waiting
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Unapproved => "unapproved",
            Self::Expired => "expired",
        }
    }
}

/// True for one that somebody made by hand.
pub fn is_static(expectation: &Expectation) -> bool {
    expectation.master == SessionKey::default()
}

/// An awaited data connection as a line of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    state: State,
    mode: Option<Mode>,
    proto: &'static str,
    /// Who opens the connection: `peer` or `inside`.
    opens: &'static str,
    source: Option<IpAddr>,
    destination: String,
    peer: String,
    outside: String,
    inside: String,
    seen_peer: Option<IpAddr>,
    interface: String,
    #[serde(rename = "static")]
    is_static: bool,
    master: Option<Master>,
    age_seconds: f64,
    expires_in_seconds: f64,
    #[serde(skip)]
    age: String,
    #[serde(skip)]
    expires_in: String,
}

/// The control connection that announced it.
#[derive(Clone, Debug, Serialize)]
struct Master {
    outside: String,
    peer: String,
    inside: Option<String>,
    seen_peer: Option<String>,
    client: Option<&'static str>,
}

impl Row for Entry {
    const KIND: &'static str = "expectations";
    const HEADER: &'static [&'static str] = &[
        "STATE",
        "MODE",
        "OPENS",
        "PEER",
        "OUTSIDE",
        "INSIDE",
        "INTERFACE",
        "AGE",
        "EXPIRES IN",
    ];
    const WIDE: &'static [&'static str] = &[
        "PROTO",
        "SOURCE",
        "DESTINATION",
        "SEEN PEER",
        "MASTER INSIDE",
        "MASTER OUTSIDE",
        "MASTER PEER",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.state.word().to_owned(),
            or_dash(self.mode.map(Mode::word)),
            self.opens.to_owned(),
            self.peer.clone(),
            self.outside.clone(),
            self.inside.clone(),
            self.interface.clone(),
            self.age.clone(),
            self.expires_in.clone(),
        ]
    }

    fn wide_cells(&self) -> Vec<String> {
        let master =
            |part: fn(&Master) -> Option<&str>| or_dash(self.master.as_ref().and_then(part));
        vec![
            self.proto.to_owned(),
            self.source(),
            self.destination.clone(),
            self.seen_peer(),
            master(|master| master.inside.as_deref()),
            master(|master| Some(&master.outside)),
            master(|master| Some(&master.peer)),
        ]
    }
}

impl Entry {
    /// What is shown of an expectation, with the session that announced it if
    /// that is there.
    pub fn new(
        key: &ExpectationKey,
        value: &Expectation,
        session: Option<&Session>,
        names: &mut Names,
        now: u64,
    ) -> Self {
        let age = now.saturating_sub(value.created);
        let expires_in = value.expires.saturating_sub(now);
        let renamed = Some(value.new_source).filter(|address| !address.is_unspecified());
        let source = Some(key.source).filter(|address| !address.is_unspecified());
        let inside = value.inside(key);
        let (opens, peer, outside, seen_peer) = if value.outgoing == 1 {
            let seen = Some(key.destination.address);
            (
                "inside",
                value.target,
                Endpoint::new(renamed.unwrap_or(inside.address), 0),
                seen.filter(|address| *address != value.target.address),
            )
        } else {
            let peer = Endpoint::new(key.source, 0);
            ("peer", peer, key.destination, renamed)
        };
        let master = &value.master;
        Self {
            state: State::of(value, now),
            mode: Mode::of(Kind(value.kind)),
            proto: "tcp",
            opens,
            source: source.map(IpAddr::from),
            destination: endpoint(&key.destination),
            peer: known_endpoint(&peer).unwrap_or_else(|| ANYBODY.to_owned()),
            outside: endpoint(&outside),
            inside: endpoint(&inside),
            seen_peer: seen_peer.map(IpAddr::from),
            interface: names.of(value.ifindex).to_owned(),
            is_static: is_static(value),
            master: (!is_static(value)).then(|| Master {
                outside: endpoint(&master.outside),
                peer: endpoint(&master.peer),
                inside: session.and_then(|session| known_endpoint(&session.inside)),
                seen_peer: session.and_then(|session| known_endpoint(&session.seen_peer)),
                client: session.map(|session| {
                    if is_client_inside(session) {
                        "inside"
                    } else {
                        "outside"
                    }
                }),
            }),
            age_seconds: clock::to_seconds(age),
            expires_in_seconds: clock::to_seconds(expires_in),
            age: clock::to_words(age),
            expires_in: clock::to_words(expires_in),
        }
    }

    fn source(&self) -> String {
        let source = self.source.map(|address| address.to_string());
        source.unwrap_or_else(|| ANYBODY.to_owned())
    }

    fn seen_peer(&self) -> String {
        let seen = self.seen_peer.map(|address| address.to_string());
        or_dash(seen.as_deref())
    }
}

/// In the place of the address of an end that may be any third party (FXP).
pub const ANYBODY: &str = "any";

impl Object for Entry {
    const KIND: &'static str = "expectation";

    fn sections(&self, _: bool) -> Vec<Section> {
        let mut facts = vec![
            Fact::new("state", self.state.word()),
            Fact::new("mode", or_dash(self.mode.map(Mode::word))),
            Fact::new("interface", &self.interface),
            Fact::new("opened by", self.opens),
            Fact::new(
                "awaited",
                format!("{} {} -> {}", self.proto, self.source(), self.destination),
            ),
            Fact::new("peer", &self.peer),
            Fact::new("outside", &self.outside),
            Fact::new("inside", &self.inside),
            Fact::new("seen peer", self.seen_peer()),
        ];
        if let Some(master) = &self.master {
            facts.extend([
                Fact::new("master inside", or_dash(master.inside.as_deref())),
                Fact::new("master outside", &master.outside),
                Fact::new("master peer", &master.peer),
                Fact::new("master's client", or_dash(master.client)),
            ]);
        } else {
            facts.push(Fact::new("master", "none: it was made with `expect add`"));
        }
        facts.extend([
            Fact::new("age", &self.age),
            Fact::new("expires in", &self.expires_in),
        ]);
        vec![Section::Facts(facts)]
    }
}

/// What a filter looks at: whoever opens the connection is its source.
pub fn subject<'a>(key: &ExpectationKey, value: &Expectation, interface: &'a str) -> Subject<'a> {
    Subject {
        source: vec![
            Endpoint::new(key.source, 0),
            Endpoint::new(value.new_source, 0),
        ],
        destination: vec![key.destination, value.target],
        interface,
        mode: Mode::of(Kind(value.kind)),
    }
}

/// True when it leads to this endpoint, as seen inside or outside.
pub fn leads_to(key: &ExpectationKey, value: &Expectation, end: &Endpoint) -> bool {
    key.destination == *end || value.target == *end
}

#[cfg(test)]
pub(super) mod tests;
