//! What there is to tell about Services.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

/// What there is to tell.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Report {
    /// This node.
    pub node: String,
    /// Where the API is asked; empty as long as that is not known.
    pub api: String,
    /// The connection to the API.
    pub connection: Connection,
    /// Whether this agent has seen all Services; until then what an agent before it
    /// has learned counts.
    pub complete: bool,
    /// Services with annotations of ours.
    pub services: Vec<Known>,
    /// What is wrong with annotations.
    pub faults: Vec<Fault>,
}

/// The connection to the API.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Connection {
    /// Whether there is one.
    pub state: State,
    /// Since when; seconds since 1970.
    pub since: u64,
    /// Why there is none.
    pub error: Option<String>,
}

/// Whether Services and this node are watched.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No answer yet.
    #[default]
    Connecting,
    /// Both are.
    Connected,
    /// One of them is not: what was learned last counts.
    Away,
}

impl State {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Away => "away",
        }
    }
}

/// A Service with annotations of ours.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Known {
    /// `namespace/name`.
    pub name: String,
    /// Its ports as clients reach them.
    pub control_ports: Vec<u16>,
    /// Its external addresses on this node.
    pub addresses: BTreeSet<IpAddr>,
    /// What its clients know it by.
    pub advertise: Vec<IpAddr>,
}

/// Something that is wrong with an annotation.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Fault {
    /// `namespace/name`.
    pub service: String,
    /// The annotation.
    pub annotation: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Service {}, annotation {}: {}",
            self.service, self.annotation, self.problem
        )
    }
}
