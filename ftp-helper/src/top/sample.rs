//! What the maps say at one moment.

use std::collections::HashMap;

use anyhow::Result;
use ftp_helper_common::{
    expectation::{Expectation, ExpectationKey},
    reason::Reason,
    session::{Session, SessionKey},
};

use crate::{
    at_work::{AtWork, at_work},
    clock,
    datapath::maps::{CLIENTS, Census, Counters, EXPECTATIONS, HANDSHAKES, SESSIONS},
    device::Device,
    inspect::session::{State, is_client_inside},
    output::{endpoint, known_endpoint},
    pins::PinDirectory,
};

/// What the maps say at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// `CLOCK_BOOTTIME`.
    pub time: u64,
    /// An agent runs; `None` where that can not be seen.
    pub agent: Option<bool>,
    /// Control connections.
    pub sessions: Vec<Row>,
    /// How often what happened, by the reason's number.
    pub counts: HashMap<u8, u64>,
    /// Entries and capacity of the tables.
    pub tables: Vec<Table>,
}

/// A table of the programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Entries in it.
    pub entries: u64,
    /// Entries that it takes.
    pub capacity: u64,
}

/// A control connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// The client, as it is seen on its own side.
    pub client: String,
    /// The server, as it is seen on its own side.
    pub server: String,
    /// Name of the interface.
    pub interface: String,
    /// How far it is.
    pub state: State,
    /// Announcements that were helped.
    pub helped: u32,
    /// Announcements that were refused.
    pub refused: u32,
    /// Nanoseconds since it was taken on.
    pub age: u64,
    /// Nanoseconds without a packet.
    pub idle: u64,
}

impl Row {
    fn new(key: &SessionKey, session: &Session, interface: &str, now: u64) -> Self {
        let inside = known_endpoint(&session.inside).unwrap_or_else(|| endpoint(&key.outside));
        let peer = endpoint(&key.peer);
        let (client, server) = if is_client_inside(session) {
            (inside, peer)
        } else {
            (peer, inside)
        };
        Self {
            client,
            server,
            interface: interface.to_owned(),
            state: State::of(session),
            helped: session.helped,
            refused: session.refused,
            age: now.saturating_sub(session.created),
            idle: now.saturating_sub(session.last_seen),
        }
    }
}

impl Sample {
    /// How often this happened.
    pub fn count(&self, reason: Reason) -> u64 {
        let count = self.counts.get(&(reason as u8));
        count.copied().unwrap_or_default()
    }
}

/// The maps, opened once.
pub struct Source {
    pins: PinDirectory,
    counters: Counters,
    sessions: Census<SessionKey, Session>,
    expectations: Census<ExpectationKey, Expectation>,
    handshakes: Census<SessionKey, ftp_helper_common::session::Handshake>,
    clients: Census<[u8; 16], u32>,
}

impl Source {
    /// Opens the pinned maps.
    pub fn open(pins: &PinDirectory) -> Result<Self> {
        Ok(Self {
            counters: Counters::open(pins)?,
            sessions: Census::open(pins, SESSIONS)?,
            expectations: Census::open(pins, EXPECTATIONS)?,
            handshakes: Census::open(pins, HANDSHAKES)?,
            clients: Census::open(pins, CLIENTS)?,
            pins: pins.clone(),
        })
    }

    /// Looks at all of them.
    pub fn read(&self) -> Result<Sample> {
        let now = clock::now()?;
        let mut sessions = Vec::new();
        let mut names = HashMap::new();
        let entries = self.sessions.visit(|key, session| {
            let name = names
                .entry(session.ifindex)
                .or_insert_with(|| Device::name_of(session.ifindex));
            sessions.push(Row::new(key, session, name, now));
        })?;
        let table = |name, entries, capacity: u32| Table {
            name,
            entries,
            capacity: capacity.into(),
        };
        let expectations = &self.expectations;
        let (handshakes, clients) = (&self.handshakes, &self.clients);
        let tables = vec![
            table("sessions", entries, self.sessions.capacity()),
            table(
                "expectations",
                expectations.count()?,
                expectations.capacity(),
            ),
            table("handshakes", handshakes.count()?, handshakes.capacity()),
            table("clients", clients.count()?, clients.capacity()),
        ];
        let counts = Reason::ALL.iter();
        let counts = counts.map(|reason| Ok((*reason as u8, self.counters.get(*reason)?)));
        Ok(Sample {
            time: now,
            agent: at_work(&self.pins)
                .ok()
                .map(|found| found != AtWork::Nobody),
            counts: counts.collect::<Result<_>>()?,
            sessions,
            tables,
        })
    }
}
