//! The maps, with the types of the common crate.

use std::{collections::HashSet, hash::Hash, io, path::Path};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf, Pod,
    maps::{Array, HashMap, IterableMap as _, Map, MapData, MapError, MapInfo, PerCpuArray},
};
use ftp_helper_common::{
    expectation::{Expectation, ExpectationKey},
    interface::{ControlPort, Interface},
    reason::Reason,
    session::{Handshake, Session, SessionKey},
};

use super::{error::map_os_error, events::EventRing};
use crate::{pins::PinDirectory, ports::PortSet};

/// Control connections.
pub const SESSIONS: &str = "SESSIONS";
/// Handshakes of control connections.
pub const HANDSHAKES: &str = "HANDSHAKES";
/// Awaited data connections.
pub const EXPECTATIONS: &str = "EXPECTATIONS";
/// Settings by interface index.
pub const INTERFACES: &str = "INTERFACES";
/// Ports of FTP servers by interface index.
pub const CONTROL_PORTS: &str = "CONTROL_PORTS";
/// The same ports, of all interfaces together.
pub const CONTROL_BITMAP: &str = "CONTROL_BITMAP";
/// Ports that are never given to a data connection.
pub const RESERVED_PORTS: &str = "RESERVED_PORTS";
/// Counters by reason.
pub const COUNTERS: &str = "COUNTERS";
/// What the programs report.
pub const EVENTS: &str = "EVENTS";

/// The maps that are pinned. Others hold nothing that a successor needs.
pub(super) const PINNED: [&str; 9] = [
    SESSIONS,
    HANDSHAKES,
    EXPECTATIONS,
    INTERFACES,
    CONTROL_PORTS,
    CONTROL_BITMAP,
    RESERVED_PORTS,
    COUNTERS,
    EVENTS,
];

/// A hash map.
pub struct Table<K, V> {
    name: &'static str,
    capacity: usize,
    map: HashMap<MapData, K, V>,
}

/// A session table.
pub type Sessions = Table<SessionKey, Session>;
/// An expectation table.
pub type Expectations = Table<ExpectationKey, Expectation>;

impl<K: Pod + Eq + Hash, V: Pod> Table<K, V> {
    fn new(name: &'static str, map: Map) -> Result<Self> {
        let wrong = || format!("map {name} is not what it should be");
        let map: HashMap<MapData, K, V> = map.try_into().with_context(wrong)?;
        let capacity = map.map().info().with_context(wrong)?.max_entries() as usize;
        Ok(Self {
            name,
            capacity,
            map,
        })
    }

    /// Opens the pinned table of this name; needs the right to read the pin, but
    /// no capability.
    pub fn open(pins: &PinDirectory, name: &'static str) -> Result<Self> {
        Self::new(name, open(pins, name)?)
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        match self.map.get(key, 0) {
            Ok(value) => Ok(Some(value)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("can not read map {}", self.name)),
        }
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: &K, value: &V) -> Result<()> {
        self.map
            .insert(key, value, 0)
            .with_context(|| format!("can not write map {}", self.name))
    }

    /// Removes a key; false when it was not there.
    pub fn remove(&mut self, key: &K) -> Result<bool> {
        match self.map.remove(key) {
            Ok(()) => Ok(true),
            Err(error) if map_os_error(&error) == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("can not change map {}", self.name)),
        }
    }

    /// Everything in the table, each key once. The programs go on while it is
    /// read: what comes or goes meanwhile may or may not be in it.
    pub fn entries(&self) -> Result<Vec<(K, V)>> {
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        // When the key at hand vanishes, the kernel starts over. The bound makes
        // sure of an end under any amount of change.
        for key in self.map.keys().take(self.capacity.saturating_mul(2)) {
            let key = key.with_context(|| format!("can not walk map {}", self.name))?;
            if seen.insert(key)
                && let Some(value) = self.get(&key)?
            {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }
}

/// A map with a bit per port.
pub struct PortBits {
    name: &'static str,
    map: Array<MapData, u64>,
}

impl PortBits {
    fn new(name: &'static str, map: Map) -> Result<Self> {
        let map = map
            .try_into()
            .with_context(|| format!("map {name} is not what it should be"))?;
        Ok(Self { name, map })
    }

    /// Makes the map equal to the set. Each word changes at once, and only those
    /// that differ are written.
    pub fn store(&mut self, set: &PortSet) -> Result<()> {
        let context = || format!("can not write map {}", self.name);
        for (index, word) in (0..).zip(set.words()) {
            if self.map.get(&index, 0).with_context(context)? != *word {
                self.map.set(index, word, 0).with_context(context)?;
            }
        }
        Ok(())
    }

    /// True when the port is in the map.
    pub fn contains(&self, port: u16) -> Result<bool> {
        let word = self
            .map
            .get(&(u32::from(port) / 64), 0)
            .with_context(|| format!("can not read map {}", self.name))?;
        Ok(word & (1 << (port % 64)) != 0)
    }
}

/// The counters.
pub struct Counters {
    map: PerCpuArray<MapData, u64>,
}

impl Counters {
    fn new(map: Map) -> Result<Self> {
        let map = map
            .try_into()
            .context("map COUNTERS is not what it should be")?;
        Ok(Self { map })
    }

    /// Opens the pinned counters.
    pub fn open(pins: &PinDirectory) -> Result<Self> {
        Self::new(open(pins, COUNTERS)?)
    }

    /// How often something happened, on all processors together.
    pub fn get(&self, reason: Reason) -> Result<u64> {
        let values = self
            .map
            .get(&u32::from(reason as u8), 0)
            .context("can not read map COUNTERS")?;
        Ok(values.iter().sum())
    }
}

/// All maps of a loaded object.
pub struct Maps {
    /// Control connections.
    pub sessions: Sessions,
    /// Handshakes of control connections.
    pub handshakes: Table<SessionKey, Handshake>,
    /// Awaited data connections.
    pub expectations: Expectations,
    /// Settings by interface index.
    pub interfaces: Table<u32, Interface>,
    /// Ports of FTP servers.
    pub control_ports: Table<ControlPort, u8>,
    /// The same ports, of all interfaces together.
    pub control_bitmap: PortBits,
    /// Ports that are never given to a data connection.
    pub reserved_ports: PortBits,
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
            expectations: Table::new(EXPECTATIONS, take(EXPECTATIONS)?)?,
            interfaces: Table::new(INTERFACES, take(INTERFACES)?)?,
            control_ports: Table::new(CONTROL_PORTS, take(CONTROL_PORTS)?)?,
            control_bitmap: PortBits::new(CONTROL_BITMAP, take(CONTROL_BITMAP)?)?,
            reserved_ports: PortBits::new(RESERVED_PORTS, take(RESERVED_PORTS)?)?,
            counters: Counters::new(take(COUNTERS)?)?,
            events: Some(EventRing::new(take(EVENTS)?)?),
        })
    }
}

fn open(pins: &PinDirectory, name: &str) -> Result<Map> {
    let path = pins.map(name);
    match MapData::from_pin(&path) {
        Ok(data) => Map::from_map_data(data)
            .with_context(|| format!("can not use the pinned map {}", path.display())),
        Err(error) if map_os_error(&error) == Some(libc::ENOENT) => {
            PinDirectory::check_version(&pins.read()?)?;
            bail!(
                "nothing is loaded under {}: start it with `ftp-helper run -i IFACE`",
                pins.path().display()
            )
        }
        Err(error) => Err(reason_of(error))
            .with_context(|| format!("can not open the pinned map {}", path.display())),
    }
}

/// The pinned maps that a start would make anew. The others have to be as the
/// object defines them: aya takes whatever is pinned under a name.
pub(super) fn check_pinned(
    object: &aya_obj::Object,
    pins: &PinDirectory,
) -> Result<Vec<&'static str>> {
    PinDirectory::check_version(&pins.read()?)?;
    let mut absent = Vec::new();
    for name in PINNED {
        let definition = object
            .maps
            .get(name)
            .with_context(|| format!("the programs have no map {name}"))?;
        let path = pins.map(name);
        match MapInfo::from_pin(&path) {
            Ok(info) => check_definition(&path, &info, definition)?,
            Err(error) if map_os_error(&error) == Some(libc::ENOENT) => absent.push(name),
            Err(error) => {
                return Err(reason_of(error))
                    .with_context(|| format!("can not open the pinned map {}", path.display()));
            }
        }
    }
    Ok(absent)
}

fn check_definition(path: &Path, info: &MapInfo, definition: &aya_obj::Map) -> Result<()> {
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
    for (what, found, needed) in checks {
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
