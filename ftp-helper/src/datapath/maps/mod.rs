//! The maps, with the types of the common crate.

mod begun;
mod census;
mod control_summary;
mod counters;
mod networks;
mod port_bits;
mod stashes;
mod table;

use std::{io, path::Path};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf,
    maps::{Map, MapData, MapError, MapInfo},
};
use ftp_helper_common::{
    address::{Address, Endpoint},
    expectation::{Expectation, ExpectationKey},
    interface::{ControlPort, Interface, flags},
    session::{Handshake, Session, SessionKey},
};

pub use self::{
    begun::Begun,
    census::{Census, PortWords},
    control_summary::ControlSummary,
    counters::Counters,
    networks::Networks,
    port_bits::PortBits,
    stashes::Stashes,
    table::{Cursor, Part, Table},
};
use super::{error::map_os_error, events::EventRing, sys};
use crate::{failure::Failure, pins::PinDirectory, readers};

/// Control connections.
pub const SESSIONS: &str = "SESSIONS";
/// Handshakes of control connections.
pub const HANDSHAKES: &str = "HANDSHAKES";
/// Connections whose beginning was seen.
const BEGUN: &str = "BEGUN";
/// Segments that came too early.
const STASHES: &str = "STASHES";
/// Awaited data connections.
pub const EXPECTATIONS: &str = "EXPECTATIONS";
/// Settings by interface index.
pub const INTERFACES: &str = "INTERFACES";
/// Ports of FTP servers by interface index.
pub const CONTROL_PORTS: &str = "CONTROL_PORTS";
/// Addresses that are announced for outside endpoints.
pub const ADVERTISED: &str = "ADVERTISED";
/// The same ports, of all interfaces together.
const CONTROL_BITMAP: &str = "CONTROL_BITMAP";
/// The same once more, if they are few.
const CONTROL_WORD: &str = "CONTROL_WORD";
/// Ports at which data connections were ever awaited.
pub const AWAITED_PORTS: &str = "AWAITED_PORTS";
/// Ports that are never given to a data connection.
pub const RESERVED_PORTS: &str = "RESERVED_PORTS";
/// Ports that nobody may announce.
pub const DENIED_PORTS: &str = "DENIED_PORTS";
/// Third parties that may take part in transfers.
pub const FXP_NETWORKS: &str = "FXP_NETWORKS";
/// Sessions by client.
pub const CLIENTS: &str = "CLIENTS";
/// Counters by reason.
pub const COUNTERS: &str = "COUNTERS";
/// What the programs report.
pub const EVENTS: &str = "EVENTS";

/// The maps that are pinned: those that programs of two starts have to agree on
/// while one takes the place of the other.
pub(super) const PINNED: [&str; 16] = [
    SESSIONS,
    HANDSHAKES,
    BEGUN,
    EXPECTATIONS,
    INTERFACES,
    CONTROL_PORTS,
    ADVERTISED,
    CONTROL_BITMAP,
    CONTROL_WORD,
    AWAITED_PORTS,
    RESERVED_PORTS,
    DENIED_PORTS,
    FXP_NETWORKS,
    CLIENTS,
    COUNTERS,
    EVENTS,
];

/// The maps whose entries come from sessions: each of those has one entry at most, but
/// for the expectations that are made by hand.
///
/// Handshakes under way are not among them: they last for moments, and a table
/// of least recently used ones has all its memory from the start.
pub(super) const PER_SESSION: [&str; 3] = [SESSIONS, EXPECTATIONS, CLIENTS];

/// Places of a map for each session.
///
/// A hash map has as many buckets as places. With more of them than entries, a SYN that
/// nobody awaits seldom meets the entry of another one, however many there are.
fn places(name: &str) -> u32 {
    if name == EXPECTATIONS { 4 } else { 1 }
}

/// How many entries a map takes when there may be so many sessions.
pub(super) fn room(name: &str, sessions: u32) -> u32 {
    sessions.saturating_mul(places(name))
}

/// For how many sessions a map has to be made that takes so many entries.
pub(super) fn sessions_for(name: &str, entries: usize) -> usize {
    entries.div_ceil(places(name) as usize)
}

/// A session table.
pub type Sessions = Table<SessionKey, Session>;
/// An expectation table.
pub type Expectations = Table<ExpectationKey, Expectation>;
/// Settings by interface index.
pub type Interfaces = Table<u32, Interface>;
/// Ports of FTP servers by interface index.
pub type Ports = Table<ControlPort, u8>;
/// Addresses that are announced for outside endpoints.
pub type Advertised = Table<Endpoint, Address>;
/// Numbers of sessions, by the bytes of the client's
/// [`Address`](ftp_helper_common::address::Address).
pub type Clients = Table<[u8; 16], u32>;

/// All maps of a loaded object.
pub struct Maps {
    /// Control connections.
    pub sessions: Sessions,
    /// Handshakes of control connections.
    pub handshakes: Table<SessionKey, Handshake>,
    /// Connections whose beginning was seen.
    pub begun: Begun,
    /// Segments that came too early.
    pub stashes: Stashes,
    /// Awaited data connections.
    pub expectations: Expectations,
    /// Settings by interface index.
    pub interfaces: Interfaces,
    /// Ports of FTP servers.
    pub control_ports: Ports,
    /// Addresses that are announced for outside endpoints.
    pub advertised: Advertised,
    /// The same ports, of all interfaces together.
    pub control_summary: ControlSummary,
    /// Ports at which data connections were ever awaited.
    pub awaited_ports: PortBits,
    /// Ports that are never given to a data connection.
    pub reserved_ports: PortBits,
    /// Ports that nobody may announce.
    pub denied_ports: PortBits,
    /// Third parties that may take part in transfers.
    pub fxp_networks: Networks,
    /// Sessions by client.
    pub clients: Clients,
    /// Counters by reason.
    pub counters: Counters,
    /// What the programs report; taken by whoever reads it.
    pub events: Option<EventRing>,
}

impl Maps {
    pub(super) fn take(object: &mut Ebpf) -> Result<Self> {
        let mut take = |name: &str| {
            object
                .take_map(name)
                .with_context(|| format!("the programs have no map {name}"))
        };
        Ok(Self {
            sessions: Table::new(SESSIONS, take(SESSIONS)?)?,
            handshakes: Table::new(HANDSHAKES, take(HANDSHAKES)?)?,
            begun: Begun::new(BEGUN, take(BEGUN)?)?,
            stashes: Stashes::new(STASHES, take(STASHES)?)?,
            expectations: Table::new(EXPECTATIONS, take(EXPECTATIONS)?)?,
            interfaces: Table::new(INTERFACES, take(INTERFACES)?)?,
            control_ports: Table::new(CONTROL_PORTS, take(CONTROL_PORTS)?)?,
            advertised: Table::new(ADVERTISED, take(ADVERTISED)?)?,
            control_summary: ControlSummary::new(
                take(CONTROL_WORD)?,
                PortBits::new(CONTROL_BITMAP, take(CONTROL_BITMAP)?)?,
            )?,
            awaited_ports: PortBits::new(AWAITED_PORTS, take(AWAITED_PORTS)?)?,
            reserved_ports: PortBits::new(RESERVED_PORTS, take(RESERVED_PORTS)?)?,
            denied_ports: PortBits::new(DENIED_PORTS, take(DENIED_PORTS)?)?,
            fxp_networks: Networks::new(FXP_NETWORKS, take(FXP_NETWORKS)?)?,
            clients: Table::new(CLIENTS, take(CLIENTS)?)?,
            counters: Counters::new(take(COUNTERS)?)?,
            events: Some(EventRing::new(take(EVENTS)?)?),
        })
    }
}

/// The settings of an interface as they count for connections with this outside
/// endpoint, which may be announced under an address of its own.
pub fn settings_of(
    mut interface: Interface,
    outside: &Endpoint,
    advertised: impl FnOnce(&Endpoint) -> Result<Option<Address>>,
) -> Result<Interface> {
    if interface.flags & flags::PER_ENDPOINT != 0
        && let Some(address) = advertised(outside)?
    {
        interface.advertise = address;
    }
    Ok(interface)
}

/// A map as one of its type, with keys and values of these types.
fn of_its_type<T: TryFrom<Map, Error = MapError>>(name: &str, map: Map) -> Result<T> {
    map.try_into()
        .with_context(|| format!("map {name} is not what it should be"))
}

/// What a pinned map is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    /// Takes the right to read the pin, and no capability.
    Read,
    /// Takes the right to write it too.
    Change,
}

fn open(pins: &PinDirectory, name: &str, access: Access) -> Result<Map> {
    let path = pins.map(name);
    let descriptor = match access {
        Access::Read => sys::open_pin_to_read(&path),
        Access::Change => sys::open_pin(&path),
    };
    match descriptor {
        Ok(descriptor) => MapData::from_fd(descriptor)
            .map_err(reason_of)
            .and_then(|data| Ok(Map::from_map_data(data)?))
            .with_context(|| format!("can not use the pinned map {}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            PinDirectory::check_version(&pins.read()?)?;
            Err(Failure::not_running(format!(
                "nothing is loaded under {}: start it with `ftp-helper run -i IFACE`",
                pins.path().display()
            ))
            .into())
        }
        Err(error) => {
            let advice = readers::advice(&error, pins.path(), access == Access::Change);
            Err(error)
                .with_context(|| format!("can not open the pinned map {}{advice}", path.display()))
        }
    }
}

/// What a start makes of the maps that are pinned.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    /// There are none, so they are made anew.
    pub(super) absent: Vec<&'static str>,
    /// They have another size, and are replaced.
    pub(super) resized: Vec<&'static str>,
}

/// How many entries the pinned maps whose size may change take now.
pub(super) fn pinned_capacity(pins: &PinDirectory, name: &str) -> Result<u32> {
    let path = pins.map(name);
    let info = MapInfo::from_pin(&path).map_err(reason_of);
    let info = info.with_context(|| format!("can not open the pinned map {}", path.display()))?;
    Ok(info.max_entries())
}

/// Looks at the pinned maps. Apart from their sizes they have to be as the object
/// defines them: aya takes whatever is pinned under a name.
pub(super) fn check_pinned(object: &aya_obj::Object, pins: &PinDirectory) -> Result<Pinned> {
    let mut pinned = Pinned::default();
    for name in PINNED {
        let definition = object
            .maps
            .get(name)
            .with_context(|| format!("the programs have no map {name}"))?;
        let path = pins.map(name);
        match MapInfo::from_pin(&path) {
            Ok(info) => {
                let resizes = PER_SESSION.contains(&name);
                check_definition(&path, &info, definition, !resizes)?;
                if info.max_entries() != definition.max_entries() {
                    pinned.resized.push(name);
                }
            }
            Err(error) if map_os_error(&error) == Some(libc::ENOENT) => pinned.absent.push(name),
            Err(error) => {
                return Err(reason_of(error))
                    .with_context(|| format!("can not open the pinned map {}", path.display()));
            }
        }
    }
    Ok(pinned)
}

fn check_definition(
    path: &Path,
    info: &MapInfo,
    definition: &aya_obj::Map,
    with_capacity: bool,
) -> Result<()> {
    let kind = info
        .map_type()
        .with_context(|| format!("{} is a map of an unknown type", path.display()))?;
    // A ring has no keys and values, and its size is rounded up to pages.
    let checks = [
        ("type", kind as u32, definition.map_type()),
        ("key size", info.key_size(), definition.key_size()),
        ("value size", info.value_size(), definition.value_size()),
        ("capacity", info.max_entries(), definition.max_entries()),
    ];
    let checks = &checks[..checks.len() - usize::from(!with_capacity)];
    for &(what, found, needed) in checks {
        if found != needed {
            bail!(
                "the pinned map {} has {what} {found}, this ftp-helper needs {needed}: run \
                 `ftp-helper detach`, then start again (live sessions lose their help)",
                path.display()
            );
        }
    }
    Ok(())
}

/// What the kernel said, without the name of the system call around it.
fn reason_of(error: MapError) -> anyhow::Error {
    match map_os_error(&error) {
        Some(code) => io::Error::from_raw_os_error(code).into(),
        None => error.into(),
    }
}
