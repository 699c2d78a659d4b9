//! Looking at a hash map without keeping what is in it.

use std::{collections::HashSet, hash::Hash};

use anyhow::{Context as _, Result};
use aya::{
    Pod,
    maps::{Array, HashMap, IterableMap as _, MapData, MapError},
};

use super::{Access, of_its_type, open};
use crate::{pins::PinDirectory, ports::WORDS};

/// A pinned hash map that is only counted. Values of sessions are large: a copy
/// of all of them at once would be tens of megabytes.
pub struct Census<K, V> {
    name: &'static str,
    capacity: u32,
    map: HashMap<MapData, K, V>,
}

impl<K: Pod + Eq + Hash, V: Pod> Census<K, V> {
    /// Opens the pinned map of this name.
    pub fn open(pins: &PinDirectory, name: &'static str) -> Result<Self> {
        let wrong = || format!("map {name} is not what it should be");
        let map: HashMap<MapData, K, V> = open(pins, name, Access::Read)?
            .try_into()
            .with_context(wrong)?;
        let capacity = map.map().info().with_context(wrong)?.max_entries();
        Ok(Self {
            name,
            capacity,
            map,
        })
    }

    /// How many entries the map takes.
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Shows `look` each entry once, and tells how many there were. The programs
    /// go on: what comes or goes meanwhile may or may not be among them.
    pub fn visit(&self, mut look: impl FnMut(&K, &V)) -> Result<u64> {
        self.keys(|key| match self.map.get(key, 0) {
            Ok(value) => {
                look(key, &value);
                Ok(true)
            }
            Err(MapError::KeyNotFound) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("can not read map {}", self.name)),
        })
    }

    /// How many entries there are. Values are not read.
    pub fn count(&self) -> Result<u64> {
        self.keys(|_| Ok(true))
    }

    /// Counts the keys that are wanted.
    fn keys(&self, mut wanted: impl FnMut(&K) -> Result<bool>) -> Result<u64> {
        let mut seen = HashSet::new();
        let mut count = 0;
        // When the key at hand vanishes, the kernel starts over. The bound makes
        // sure of an end under any amount of change.
        let bound = (self.capacity as usize).saturating_mul(2);
        for key in self.map.keys().take(bound) {
            let key = key.with_context(|| format!("can not walk map {}", self.name))?;
            if seen.insert(key) && wanted(&key)? {
                count += 1;
            }
        }
        Ok(count)
    }
}

/// A pinned map with a bit per port, as a whole.
pub struct PortWords {
    name: &'static str,
    map: Array<MapData, u64>,
}

impl PortWords {
    /// Opens the pinned map of this name.
    pub fn open(pins: &PinDirectory, name: &'static str) -> Result<Self> {
        let map = of_its_type(name, open(pins, name, Access::Read)?)?;
        Ok(Self { name, map })
    }

    /// Every word, port 0 in the lowest bit of the first.
    pub fn read(&self) -> Result<Vec<u64>> {
        (0..)
            .take(WORDS)
            .map(|index| {
                self.map
                    .get(&index, 0)
                    .with_context(|| format!("can not read map {}", self.name))
            })
            .collect()
    }
}
