//! Many sessions and many expectations: tables are filled through bpf(2), packets of
//! single ones among them go through the programs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper::{
    clock::{now, seconds},
    datapath::{
        Context as PacketContext, Datapath, NewPins,
        maps::{EXPECTATIONS, Expectations, SESSIONS, Sessions},
    },
    pins::PinDirectory,
    ports::PortSet,
};
use ftp_helper_common::{
    address::Address,
    expectation::{Expectation, ExpectationKey},
    interface::{ControlPort, Interface},
    session::{Direction, Session, SessionKey, flags},
};
use serde::{Deserialize, Serialize};

use super::{bpf::memory_of_map, empty::Empty};
use crate::packets::{
    flow::{Flow, IFINDEX, STARTS, endpoint},
    segment::flags::{ACK, SYN},
};

/// Room in the tables, whatever is in them.
pub const ROOM: u32 = 131_072;

/// What is filled.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Where the maps are pinned
    pins: PathBuf,
    /// The interface
    ifindex: u32,
    /// How many there are already
    from: u32,
    /// How many there shall be, of sessions and of expectations
    to: u32,
}

/// What that took.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Filled {
    /// Bytes of a session, by what the kernel counts for the map.
    pub session_bytes: f64,
    /// The same of an expectation.
    pub expectation_bytes: f64,
    /// Bytes that an empty map of sessions takes.
    pub empty_sessions: f64,
    /// Nanoseconds for one session, by bpf(2).
    pub session_insert: f64,
    /// The same of an expectation.
    pub expectation_insert: f64,
}

/// The flow of a number: peers differ, and a flow has an expectation of its own.
fn flow(number: u32) -> Flow {
    let [_, high, middle, low] = number.to_be_bytes();
    let peer = Ipv4Addr::new(198, 18 + (high & 1), middle, low);
    let mut flow = Flow::client_inside(STARTS[0]);
    flow.peer = SocketAddr::new(peer.into(), 21);
    flow.seen_peer = flow.peer;
    flow
}

fn session(number: u32, ifindex: u32, time: u64) -> (SessionKey, Session) {
    let flow = flow(number);
    let mut session = flow.session();
    session.ifindex = ifindex;
    session.created = time;
    session.last_seen = time;
    session.flags |= flags::LOGGED_IN;
    (flow.key(), session)
}

/// Outside port of every expectation: what tells them apart is the peer's address.
const PORT: u16 = 50_000;

fn expectation(number: u32, ifindex: u32, time: u64) -> (ExpectationKey, Expectation) {
    let flow = flow(number);
    let mut outside = flow.outside;
    outside.set_port(PORT);
    let key = ExpectationKey {
        source: endpoint(flow.peer).address,
        destination: endpoint(outside),
    };
    let mut target = flow.inside;
    target.set_port(PORT);
    let expectation = Expectation {
        master: flow.key(),
        target: endpoint(target),
        kind: ftp_helper_common::grammar::Kind::PORT.0,
        ifindex,
        created: time,
        // As long as the agent's setting allows: none shall go while it is looked at.
        expires: time + seconds(600),
        ..Expectation::default()
    };
    (key, expectation)
}

/// Fills the agent's tables.
#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
pub fn fill(arguments: &Arguments) -> Result<Filled> {
    let Arguments {
        pins,
        ifindex,
        from,
        to,
    } = arguments;
    let (ifindex, numbers) = (*ifindex, *from..*to);
    ensure!(!numbers.is_empty(), "nothing to fill");
    let count = numbers.len() as f64;
    let pins = PinDirectory::new(pins);
    let mut sessions = Sessions::open_to_change(&pins, SESSIONS)?;
    let mut expectations = Expectations::open_to_change(&pins, EXPECTATIONS)?;
    let memory = |name| memory_of_map(&pins.map(name)).map(|bytes| bytes as f64);

    let before = memory(SESSIONS)?;
    let begin = Instant::now();
    for number in numbers.clone() {
        let (key, session) = session(number, ifindex, now()?);
        sessions.insert(&key, &session)?;
    }
    let session_insert = begin.elapsed().as_secs_f64() * 1e9 / count;
    let session_bytes = (memory(SESSIONS)? - before) / count;
    let empty_sessions = before - session_bytes * f64::from(*from);

    let before = memory(EXPECTATIONS)?;
    let begin = Instant::now();
    for number in numbers {
        let (key, expectation) = expectation(number, ifindex, now()?);
        expectations.insert(&key, &expectation)?;
    }
    let expectation_insert = begin.elapsed().as_secs_f64() * 1e9 / count;
    let expectation_bytes = (memory(EXPECTATIONS)? - before) / count;
    Ok(Filled {
        session_bytes,
        expectation_bytes,
        empty_sessions,
        session_insert,
        expectation_insert,
    })
}

/// Nanoseconds of single packets, by what they are.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Probes {
    /// Of the same session each time.
    pub same: Vec<f64>,
    /// Of another session each time.
    pub another: Vec<f64>,
    /// The third segment of a handshake, which makes a session.
    pub new: Vec<f64>,
    /// An announcement, of another session each time.
    pub announcement: Vec<f64>,
    /// A first packet at a port where none is awaited.
    pub elsewhere: Vec<f64>,
    /// One that nobody awaits, at the port where all of them are.
    pub stranger: Vec<f64>,
}

/// Levels that are looked at in turns, each with programs and tables of its own.
struct Level {
    datapath: Datapath,
    entries: u32,
    _pins: NewPins,
}

/// Times single packets at several levels in turns.
pub fn probe(pins: &Path, levels: &[u32], probes: usize) -> Result<Vec<Probes>> {
    let empty = Empty::load()?;
    let mut filled = Vec::new();
    for (number, entries) in levels.iter().enumerate() {
        filled.push(Level::new(&pins.join(number.to_string()), *entries)?);
    }
    let mut found = vec![Probes::default(); levels.len()];
    for round in 0..probes {
        for (level, found) in filled.iter_mut().zip(&mut found) {
            level.probe(u32::try_from(round)?, &empty, found)?;
        }
    }
    Ok(found)
}

/// Spreads the numbers of sessions: the next one is far away in every table.
const STRIDE: u32 = 7919;

/// Runs of other programs' packets before each single one.
const WARM_UP: u32 = 3;

impl Level {
    fn new(path: &Path, entries: u32) -> Result<Self> {
        let directory = PinDirectory::new(path);
        let mut pins = NewPins::default();
        directory.create()?;
        pins.directory(&directory);
        let mut datapath = Datapath::load_pinned(0, ROOM, &directory, &mut pins)?;
        let maps = &mut datapath.maps;
        maps.interfaces.insert(
            &IFINDEX,
            &Interface {
                advertise: Address::UNSPECIFIED,
                first_port: 1024,
                last_port: u16::MAX,
                link_header: 14,
                expectation_timeout: 60,
                ..Interface::default()
            },
        )?;
        let port = ControlPort {
            ifindex: IFINDEX,
            port: 21,
            reserved: 0,
        };
        maps.control_ports.insert(&port, &1)?;
        maps.control_summary.store(&PortSet::from_iter([21]))?;
        maps.awaited_ports.add_with_neighbours(PORT)?;
        let time = now()?;
        for number in 0..entries {
            let (key, session) = session(number, IFINDEX, time);
            maps.sessions.insert(&key, &session)?;
            let (key, expectation) = expectation(number, IFINDEX, time);
            maps.expectations.insert(&key, &expectation)?;
        }
        Ok(Self {
            datapath,
            entries,
            _pins: pins,
        })
    }

    fn run(&self, direction: Direction, packet: &[u8], repeat: u32) -> Result<f64> {
        let context = PacketContext {
            ifindex: IFINDEX,
            ingress_ifindex: match direction {
                Direction::Ingress => IFINDEX,
                Direction::Egress => 0,
            },
            ..PacketContext::default()
        };
        let outcome = self
            .datapath
            .test_run(direction, packet, &context, repeat)?;
        Ok(outcome.nanoseconds.into())
    }

    fn probe(&mut self, round: u32, empty: &Empty, found: &mut Probes) -> Result<()> {
        // Nobody else reads them, and a ring that fills up costs an interrupt an event.
        let events = self.datapath.maps.events.as_mut();
        let events = events.context("nobody else reads the events")?;
        while events.read().is_some() {}
        let first = flow(0);
        let quiet = first.inside_acknowledges(0, 0).bytes();
        let single = |level: &Self, direction, packet: &[u8], times: &mut Vec<f64>| {
            empty.run(packet, WARM_UP)?;
            let nothing = f64::from(empty.run(packet, 1)?);
            level.run(Direction::Egress, &quiet, WARM_UP)?;
            times.push(level.run(direction, packet, 1)? - nothing);
            anyhow::Ok(())
        };
        single(self, Direction::Egress, &quiet, &mut found.same)?;

        let number = round.wrapping_mul(STRIDE) % self.entries;
        let other = flow(number);
        let packet = other.inside_acknowledges(0, 0).bytes();
        single(self, Direction::Egress, &packet, &mut found.another)?;

        // Its expectation takes the place of the one that was put there.
        let packet = other.egress(0, "PORT 10,0,0,2,195,149\r\n").bytes();
        single(self, Direction::Egress, &packet, &mut found.announcement)?;
        let time = now()?;
        let (key, session) = session(number, IFINDEX, time);
        let made = self.datapath.maps.sessions.get(&key)?;
        let made = made.context("a session is gone")?;
        ensure!(made.helped == 1, "an announcement was not helped");
        self.datapath.maps.expectations.remove(&made.expectation)?;
        self.datapath.maps.sessions.insert(&key, &session)?;

        // Peers behind the last one.
        let new = flow(self.entries + 1 + round % 1000);
        let mut open = new.egress(0, "").flags(SYN).acknowledgment(0);
        open.sequence = new.egress_start.wrapping_sub(1);
        self.run(Direction::Egress, &open.bytes(), 1)?;
        let mut answer = new.ingress(0, "").flags(SYN | ACK);
        answer.sequence = new.ingress_start.wrapping_sub(1);
        self.run(Direction::Ingress, &answer.bytes(), 1)?;
        let third = new.inside_acknowledges(0, 0).bytes();
        single(self, Direction::Egress, &third, &mut found.new)?;
        let is_there = self.datapath.maps.sessions.remove(&new.key())?;
        ensure!(is_there, "a handshake made no session");
        for (client, _) in self.datapath.maps.clients.entries()? {
            self.datapath.maps.clients.remove(&client)?;
        }

        let mut stranger = new.ingress(0, "").flags(SYN).acknowledgment(0);
        stranger.source.set_port(20);
        stranger.destination.set_port(443);
        single(
            self,
            Direction::Ingress,
            &stranger.bytes(),
            &mut found.elsewhere,
        )?;
        stranger.destination.set_port(PORT);
        single(
            self,
            Direction::Ingress,
            &stranger.bytes(),
            &mut found.stranger,
        )?;
        self.datapath.maps.handshakes.remove(&new.key())?;
        Ok(())
    }
}
