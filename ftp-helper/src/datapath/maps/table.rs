//! Hash maps.

use std::{
    collections::HashSet,
    hash::Hash,
    os::fd::{AsFd as _, BorrowedFd},
};

use anyhow::{Context as _, Error, Result, anyhow};
use aya::{
    Pod,
    maps::{HashMap, IterableMap as _, Map, MapData, MapError},
};

use super::{
    super::{
        error::map_os_error,
        sys::{self, Token},
    },
    Access, open,
};
use crate::pins::PinDirectory;

/// `BPF_NOEXIST`
const NO_EXIST: u64 = 1;

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

    /// Opens the pinned table of this name to read it; needs the right to read the
    /// pin, but no capability.
    pub fn open(pins: &PinDirectory, name: &'static str) -> Result<Self> {
        Self::new(name, open(pins, name, Access::Read)?)
    }

    /// Opens the pinned table of this name to change it.
    pub fn open_to_change(pins: &PinDirectory, name: &'static str) -> Result<Self> {
        Self::new(name, open(pins, name, Access::Change)?)
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        match self.map.get(key, 0) {
            Ok(value) => Ok(Some(value)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("can not read map {}", self.name)),
        }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The map itself.
    pub(in crate::datapath) fn descriptor(&self) -> BorrowedFd<'_> {
        self.map.map().fd().as_fd()
    }

    /// How many entries there are. Values are not read.
    pub fn count(&self) -> Result<usize> {
        let mut seen = HashSet::new();
        // As in `entries`.
        for key in self.map.keys().take(self.capacity.saturating_mul(2)) {
            seen.insert(key.with_context(|| format!("can not walk map {}", self.name))?);
        }
        Ok(seen.len())
    }

    /// How many entries it takes.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: &K, value: &V) -> Result<()> {
        self.map
            .insert(key, value, 0)
            .map_err(|error| self.not_written(error))
    }

    /// Sets the value of a key that is not there yet; false when it is.
    pub fn insert_new(&mut self, key: &K, value: &V) -> Result<bool> {
        match self.map.insert(key, value, NO_EXIST) {
            Ok(()) => Ok(true),
            Err(error) if map_os_error(&error) == Some(libc::EEXIST) => Ok(false),
            Err(error) => Err(self.not_written(error)),
        }
    }

    fn not_written(&self, error: MapError) -> Error {
        let Self { name, capacity, .. } = self;
        if map_os_error(&error) == Some(libc::E2BIG) {
            anyhow!("map {name} is full: it takes {capacity} entries")
        } else {
            Error::from(error).context(format!("can not write map {name}"))
        }
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

    /// The next part of a walk through the table, of about this many entries, and
    /// never more unless the kernel has to give more at once. Entries that stay for
    /// the whole walk come once in it, whatever comes and goes meanwhile.
    pub fn part(&self, from: &Cursor, entries: usize) -> Result<Part<K, V>> {
        let mut room = entries.clamp(1, self.capacity.max(1));
        loop {
            let part = sys::lookup_batch(self.descriptor(), from.0.as_ref(), room);
            match part {
                Ok((entries, next)) => {
                    return Ok(Part {
                        entries,
                        next: next.map(|next| Cursor(Some(next))),
                    });
                }
                // Entries with the same hash come together.
                Err(error)
                    if error.raw_os_error() == Some(libc::ENOSPC) && room < self.capacity =>
                {
                    room = room.saturating_mul(2).min(self.capacity);
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("can not walk map {}", self.name));
                }
            }
        }
    }
}

/// A place in a walk through a table; the default is its start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor(Option<Token>);

/// A part of a table.
#[derive(Debug)]
pub struct Part<K, V> {
    /// What is in it.
    pub entries: Vec<(K, V)>,
    /// Where the next part begins, if there is one.
    pub next: Option<Cursor>,
}
