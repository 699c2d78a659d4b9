//! Which address stands for which: what was learned of control connections, and
//! what interfaces announce and give to data connections.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use anyhow::Result;
use ftp_helper_common::{
    expectation::{Expectation, ExpectationKey},
    interface::{Interface, flags},
    session::{Session, SessionKey, flags as session_flags},
};
use serde::Serialize;

use crate::{
    clock,
    datapath::maps::{
        Census, EXPECTATIONS, INTERFACES, Interfaces, PortWords, RESERVED_PORTS, SESSIONS,
    },
    device::Device,
    doctor::probe::link,
    metrics::snapshot::Pool,
    output::{Row, endpoint, known_endpoint, or_dash},
    pins::PinDirectory,
};

/// Where the address comes from that an interface announces.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is the one that the packets leave with.
    Packet,
    /// `--advertise`, or `advertise` in the configuration file.
    Configuration,
    /// `ftp-helper nat add`, until the agent's next start or reload.
    Command,
}

impl Origin {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Packet => "packet",
            Self::Configuration => "configuration",
            Self::Command => "command",
        }
    }
}

/// What an interface announces.
#[derive(Clone, Debug, Serialize)]
pub struct Advertised {
    /// The address, unless it is the packets' own.
    pub address: Option<IpAddr>,
    /// Where it comes from.
    pub origin: Origin,
    /// The addresses of the interface itself.
    pub own: Vec<IpAddr>,
}

impl Advertised {
    /// What the settings of an interface say.
    pub fn new(settings: &Interface, own: Vec<IpAddr>) -> Self {
        let address = Some(settings.advertise).filter(|address| !address.is_unspecified());
        Self {
            address: address.map(IpAddr::from),
            origin: match address {
                None => Origin::Packet,
                Some(_) if settings.flags & flags::ADVERTISED_BY_HAND != 0 => Origin::Command,
                Some(_) => Origin::Configuration,
            },
            own,
        }
    }

    /// For a cell: the address, or those that it may be.
    pub fn text(&self) -> String {
        let own: Vec<String> = self.own.iter().map(ToString::to_string).collect();
        match self.address {
            Some(address) => address.to_string(),
            None if own.is_empty() => "-".to_owned(),
            None => own.join(","),
        }
    }
}

/// Outside ports for data connections.
#[derive(Clone, Debug, Serialize)]
pub struct Ports {
    /// The first one.
    pub first: u16,
    /// The last one.
    pub last: u16,
    /// Those of the range that are not reserved.
    pub size: u64,
    /// Those at which a data connection is awaited.
    pub used: u64,
}

/// An outside interface that is helped.
#[derive(Clone, Debug)]
pub struct Outside {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: Interface,
    /// What it announces.
    pub advertised: Advertised,
    /// Outside ports for data connections.
    pub ports: Ports,
}

/// The outside interfaces that are helped, by name.
pub fn outsides(pins: &PinDirectory) -> Result<Vec<Outside>> {
    let mut interfaces = Interfaces::open(pins, INTERFACES)?.entries()?;
    // No outside ports are given on inside interfaces.
    interfaces.retain(|(_, settings)| settings.flags & flags::INSIDE == 0);
    let awaited = awaited(pins)?;
    let reserved = PortWords::open(pins, RESERVED_PORTS)?.read()?;
    let addresses = link::addresses().unwrap_or_default();
    let none = HashSet::new();
    let mut outsides: Vec<Outside> = interfaces
        .into_iter()
        .map(|(index, settings)| {
            let name = Device::name_of(index);
            let awaited = awaited.get(&index).unwrap_or(&none);
            let pool = Pool::new(name.clone(), &settings, &reserved, awaited);
            let own = addresses.iter().filter(|address| address.index == index);
            let own = own.map(|address| address.address);
            Outside {
                index,
                name,
                advertised: Advertised::new(&settings, own.filter(is_of_hosts).collect()),
                ports: Ports {
                    first: settings.first_port,
                    last: settings.last_port,
                    size: pool.size,
                    used: pool.used,
                },
                settings,
            }
        })
        .collect();
    outsides.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(outsides)
}

/// Addresses of a link alone are announced to nobody.
fn is_of_hosts(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    }
}

/// The outside ports at which data connections are awaited, by interface.
fn awaited(pins: &PinDirectory) -> Result<HashMap<u32, HashSet<u16>>> {
    let now = clock::now()?;
    let mut awaited: HashMap<u32, HashSet<u16>> = HashMap::new();
    let expectations: Census<ExpectationKey, Expectation> = Census::open(pins, EXPECTATIONS)?;
    expectations.visit(|key, expectation| {
        if expectation.outgoing == 0 && expectation.expires > now {
            let ports = awaited.entry(expectation.ifindex).or_default();
            ports.insert(key.destination.port);
        }
    })?;
    Ok(awaited)
}

/// A mapping as a line of a list.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entry {
    #[serde(rename = "type")]
    kind: Kind,
    interface: String,
    inside: Option<String>,
    outside: Option<String>,
    peer: Option<String>,
    seen_peer: Option<String>,
    translated: Option<bool>,
    advertised: Option<Advertised>,
    ports: Option<Ports>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// What an interface announces and gives to data connections.
    #[default]
    Interface,
    /// What was learned of a control connection.
    Session,
}

impl Row for Entry {
    const KIND: &'static str = "mappings";
    const HEADER: &'static [&'static str] = &[
        "TYPE",
        "INTERFACE",
        "INSIDE",
        "OUTSIDE",
        "PEER",
        "ORIGIN",
        "PORTS",
        "USED",
    ];
    const WIDE: &'static [&'static str] = &["SEEN PEER", "TRANSLATED", "OWN ADDRESSES"];

    fn cells(&self) -> Vec<String> {
        let advertised = self.advertised.as_ref();
        let outside = self.outside.clone();
        vec![
            match self.kind {
                Kind::Interface => "interface".to_owned(),
                Kind::Session => "session".to_owned(),
            },
            self.interface.clone(),
            or_dash(self.inside.as_deref()),
            or_dash(
                outside
                    .or_else(|| advertised.map(Advertised::text))
                    .as_deref(),
            ),
            or_dash(self.peer.as_deref()),
            match advertised {
                Some(advertised) => advertised.origin.word(),
                None => "learned",
            }
            .to_owned(),
            self.ports
                .as_ref()
                .map_or_else(|| "-".to_owned(), |of| format!("{}-{}", of.first, of.last)),
            self.ports
                .as_ref()
                .map_or_else(|| "-".to_owned(), |of| format!("{}/{}", of.used, of.size)),
        ]
    }

    fn wide_cells(&self) -> Vec<String> {
        let own = self.advertised.as_ref().map(|advertised| {
            let own: Vec<String> = advertised.own.iter().map(ToString::to_string).collect();
            own.join(",")
        });
        vec![
            or_dash(self.seen_peer.as_deref()),
            or_dash(self.translated.map(|is| if is { "yes" } else { "no" })),
            or_dash(own.as_deref().filter(|own| !own.is_empty())),
        ]
    }
}

impl From<Outside> for Entry {
    fn from(outside: Outside) -> Self {
        Self {
            kind: Kind::Interface,
            interface: outside.name,
            advertised: Some(outside.advertised),
            ports: Some(outside.ports),
            ..Self::default()
        }
    }
}

impl Entry {
    /// What was learned of a session; `None` when nothing was, or it is over.
    pub fn learned(key: &SessionKey, session: &Session) -> Option<Self> {
        let is_over = session.flags & session_flags::CLOSED != 0;
        let inside = known_endpoint(&session.inside).filter(|_| !is_over)?;
        Some(Self {
            kind: Kind::Session,
            interface: Device::name_of(session.ifindex),
            inside: Some(inside),
            outside: Some(endpoint(&key.outside)),
            peer: Some(endpoint(&key.peer)),
            seen_peer: known_endpoint(&session.seen_peer),
            translated: Some(session.inside != key.outside || session.seen_peer != key.peer),
            ..Self::default()
        })
    }
}

/// All mappings: of interfaces by name, then of sessions, the oldest first.
pub fn all(pins: &PinDirectory) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = outsides(pins)?.into_iter().map(Entry::from).collect();
    let mut learned = Vec::new();
    let sessions: Census<SessionKey, Session> = Census::open(pins, SESSIONS)?;
    sessions.visit(|key, session| {
        if let Some(entry) = Entry::learned(key, session) {
            learned.push((session.created, entry));
        }
    })?;
    learned.sort_by_key(|(created, _)| *created);
    entries.extend(learned.into_iter().map(|(_, entry)| entry));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::address::{Address, Endpoint};
    use serde_json::json;
    use zerocopy::FromZeros as _;

    use super::*;
    use crate::output::{Format, render};

    fn at(address: [u8; 4], port: u16) -> Endpoint {
        Endpoint::new(Address::from_v4(address), port)
    }

    fn outside(advertise: Option<[u8; 4]>, flags: u16) -> Outside {
        let settings = Interface {
            advertise: advertise.map_or(Address::UNSPECIFIED, Address::from_v4),
            first_port: 50000,
            last_port: 50009,
            flags,
            ..Interface::default()
        };
        let own = ["203.0.113.1", "2001:db8::1"].map(|text| text.parse().unwrap());
        Outside {
            index: 7,
            name: "wan0".to_owned(),
            advertised: Advertised::new(&settings, own.to_vec()),
            ports: Ports {
                first: 50000,
                last: 50009,
                size: 9,
                used: 1,
            },
            settings,
        }
    }

    fn session() -> (SessionKey, Session) {
        let key = SessionKey {
            outside: at([203, 0, 113, 1], 40000),
            peer: at([203, 0, 113, 2], 21),
        };
        let mut session = Session::new_zeroed();
        session.inside = at([10, 0, 0, 2], 40000);
        session.seen_peer = key.peer;
        session.ifindex = 0x7fff_0000;
        (key, session)
    }

    #[test]
    fn table() {
        let (key, session) = session();
        let entries = [
            outside(None, 0).into(),
            outside(Some([198, 51, 100, 9]), 0).into(),
            Entry::learned(&key, &session).unwrap(),
        ];
        assert_eq!(
            render(&entries, Format::Table).unwrap(),
            "TYPE       INTERFACE     INSIDE          OUTSIDE                  PEER            ORIGIN         PORTS        USED\n\
             interface  wan0          -               203.0.113.1,2001:db8::1  -               packet         50000-50009  1/9\n\
             interface  wan0          -               198.51.100.9             -               configuration  50000-50009  1/9\n\
             session    if2147418112  10.0.0.2:40000  203.0.113.1:40000        203.0.113.2:21  learned        -            -\n"
        );
        assert_eq!(entries[2].wide_cells(), ["203.0.113.2:21", "yes", "-"]);
    }

    #[test]
    fn items() {
        let entry: Entry = outside(
            Some([198, 51, 100, 9]),
            flags::ADVERTISED_BY_HAND | flags::STRICT,
        )
        .into();
        assert_eq!(
            serde_json::to_value(entry).unwrap(),
            json!({
                "type": "interface",
                "interface": "wan0",
                "inside": null,
                "outside": null,
                "peer": null,
                "seen_peer": null,
                "translated": null,
                "advertised": {
                    "address": "198.51.100.9",
                    "origin": "command",
                    "own": ["203.0.113.1", "2001:db8::1"],
                },
                "ports": {"first": 50000, "last": 50009, "size": 9, "used": 1},
            })
        );
        let (key, session) = session();
        let entry = serde_json::to_value(Entry::learned(&key, &session)).unwrap();
        assert_eq!(entry["type"], "session");
        assert_eq!(entry["inside"], "10.0.0.2:40000");
        assert_eq!(entry["translated"], true);
    }

    #[test]
    fn nothing_is_learned_of_some_sessions() {
        let (key, mut session) = session();
        session.flags = session_flags::CLOSED;
        assert!(Entry::learned(&key, &session).is_none());
        session.flags = 0;
        session.inside = Endpoint::default();
        assert!(Entry::learned(&key, &session).is_none());
    }
}
