//! Hash maps.

use std::{collections::HashSet, hash::Hash};

use anyhow::{Context as _, Result};
use aya::{
    Pod,
    maps::{HashMap, IterableMap as _, Map, MapData, MapError},
};

use super::{super::error::map_os_error, open};
use crate::pins::PinDirectory;

/// A hash map.
pub struct Table<K, V> {
    name: &'static str,
    capacity: usize,
    map: HashMap<MapData, K, V>,
}

impl<K: Pod + Eq + Hash, V: Pod> Table<K, V> {
    pub(super) fn new(name: &'static str, map: Map) -> Result<Self> {
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
