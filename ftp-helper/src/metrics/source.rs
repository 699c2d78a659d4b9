//! Reads the maps for a scrape.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use ftp_helper_common::{
    expectation::{Expectation, ExpectationKey},
    interface::{ControlPort, Interface, control_port, flags},
    reason::Reason,
    session::{Handshake, Session, SessionKey},
};

use super::{
    attachments,
    observer::{Cleanup, Observed},
    snapshot::{Expectations, Kubernetes, Pool, Sessions, Snapshot, Table},
};
use crate::{
    clock,
    datapath::maps::{
        CLIENTS, CONTROL_PORTS, Census, Counters, EXPECTATIONS, HANDSHAKES, INTERFACES, PortWords,
        RESERVED_PORTS, SESSIONS,
    },
    device::Device,
    pins::PinDirectory,
};

/// The maps, opened once more: reading them needs nothing of the agent's loop.
pub struct Source {
    pins: PinDirectory,
    counters: Counters,
    sessions: Census<SessionKey, Session>,
    handshakes: Census<SessionKey, Handshake>,
    expectations: Census<ExpectationKey, Expectation>,
    clients: Census<[u8; 16], u32>,
    interfaces: Census<u32, Interface>,
    control_ports: Census<ControlPort, u8>,
    reserved_ports: PortWords,
}

impl Source {
    /// Opens the pinned maps.
    pub fn open(pins: &PinDirectory) -> Result<Self> {
        Ok(Self {
            counters: Counters::open(pins)?,
            sessions: Census::open(pins, SESSIONS)?,
            handshakes: Census::open(pins, HANDSHAKES)?,
            expectations: Census::open(pins, EXPECTATIONS)?,
            clients: Census::open(pins, CLIENTS)?,
            interfaces: Census::open(pins, INTERFACES)?,
            control_ports: Census::open(pins, CONTROL_PORTS)?,
            reserved_ports: PortWords::open(pins, RESERVED_PORTS)?,
            pins: pins.clone(),
        })
    }

    /// Walks every map once, which takes its time when they are full.
    pub fn read(&self, observed: &Observed) -> Result<Snapshot> {
        let events = Reason::ALL.iter();
        let events = events.map(|reason| Ok((*reason, self.counters.get(*reason)?)));
        // A copy: whoever selects must not wait for us.
        let selected = observed.selected.borrow().clone();
        let mut snapshot = Snapshot {
            events: events.collect::<Result<_>>()?,
            attachments: attachments::look(&self.pins, &selected)?,
            times: observed.times.clone(),
            started: observed.started,
            kubernetes: observed.reports.borrow().as_deref().map(Kubernetes::new),
            ..Snapshot::default()
        };
        for cleanup in Cleanup::ALL {
            if let Some(time) = observed.cleaned(cleanup) {
                snapshot.cleanups.push((cleanup, time));
            }
        }
        self.sessions(&mut snapshot)?;
        let awaited = self.expectations(&mut snapshot)?;
        let interfaces = self.interfaces(&mut snapshot)?;
        self.pools(&mut snapshot, &interfaces, &awaited)?;
        self.control_ports(&mut snapshot)?;
        snapshot.tables.extend([
            table(
                "handshakes",
                self.handshakes.count()?,
                self.handshakes.capacity(),
            ),
            table("clients", self.clients.count()?, self.clients.capacity()),
        ]);
        Ok(snapshot)
    }

    fn sessions(&self, snapshot: &mut Snapshot) -> Result<()> {
        let mut sessions = Sessions::default();
        let entries = self.sessions.visit(|_, session| sessions.add(session))?;
        snapshot.sessions = sessions;
        let table = table("sessions", entries, self.sessions.capacity());
        snapshot.tables.push(table);
        Ok(())
    }

    /// Also the outside ports at which data connections are awaited, by interface.
    fn expectations(&self, snapshot: &mut Snapshot) -> Result<HashMap<u32, HashSet<u16>>> {
        let now = clock::now()?;
        let mut expectations = Expectations::default();
        let mut awaited: HashMap<u32, HashSet<u16>> = HashMap::new();
        let entries = self.expectations.visit(|key, expectation| {
            expectations.add(expectation.kind);
            if expectation.outgoing == 0 && expectation.expires > now {
                let ports = awaited.entry(expectation.ifindex).or_default();
                ports.insert(key.destination.port);
            }
        })?;
        snapshot.expectations = expectations;
        let table = table("expectations", entries, self.expectations.capacity());
        snapshot.tables.push(table);
        Ok(awaited)
    }

    fn interfaces(&self, snapshot: &mut Snapshot) -> Result<Vec<(u32, Interface)>> {
        let mut interfaces = Vec::new();
        let entries = self
            .interfaces
            .visit(|index, interface| interfaces.push((*index, *interface)))?;
        let table = table("interfaces", entries, self.interfaces.capacity());
        snapshot.tables.push(table);
        Ok(interfaces)
    }

    fn pools(
        &self,
        snapshot: &mut Snapshot,
        interfaces: &[(u32, Interface)],
        awaited: &HashMap<u32, HashSet<u16>>,
    ) -> Result<()> {
        let reserved = self.reserved_ports.read()?;
        let none = HashSet::new();
        // No outside ports are given on inside interfaces.
        let outsides = interfaces
            .iter()
            .filter(|(_, interface)| interface.flags & flags::INSIDE == 0);
        for (index, interface) in outsides {
            let awaited = awaited.get(index).unwrap_or(&none);
            let name = Device::name_of(*index);
            let pool = Pool::new(name, interface, &reserved, awaited);
            snapshot.pools.push(pool);
        }
        snapshot
            .pools
            .sort_by(|one, other| one.interface.cmp(&other.interface));
        Ok(())
    }

    fn control_ports(&self, snapshot: &mut Snapshot) -> Result<()> {
        let mut counts = HashMap::new();
        let entries = self.control_ports.visit(|key, value| {
            let (open, draining) = counts.entry(key.ifindex).or_insert((0, 0));
            if control_port::is_open(*value) {
                *open += 1;
            } else {
                *draining += 1;
            }
        })?;
        for (index, (open, draining)) in counts {
            let name = Device::name_of(index);
            let ports = &mut snapshot.control_ports;
            ports.insert((name.clone(), "open"), open);
            ports.insert((name, "draining"), draining);
        }
        let table = table("control_ports", entries, self.control_ports.capacity());
        snapshot.tables.push(table);
        Ok(())
    }
}

fn table(name: &'static str, entries: u64, capacity: u32) -> Table {
    Table {
        name,
        entries,
        capacity: capacity.into(),
    }
}
