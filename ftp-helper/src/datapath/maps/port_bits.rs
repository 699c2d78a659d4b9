//! Maps with a bit per port.

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};

use super::{Access, of_its_type, open};
use crate::{pins::PinDirectory, ports::PortSet};

/// A map with a bit per port.
pub struct PortBits {
    name: &'static str,
    map: Array<MapData, u64>,
}

impl PortBits {
    pub(super) fn new(name: &'static str, map: Map) -> Result<Self> {
        let map = of_its_type(name, map)?;
        Ok(Self { name, map })
    }

    /// Opens the pinned map of this name to read it.
    pub fn open(pins: &PinDirectory, name: &'static str) -> Result<Self> {
        Self::new(name, open(pins, name, Access::Read)?)
    }

    /// Opens the pinned map of this name to change it.
    pub fn open_to_change(pins: &PinDirectory, name: &'static str) -> Result<Self> {
        Self::new(name, open(pins, name, Access::Change)?)
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

    /// Adds the port, and the others of its word with it: the programs add single ports to
    /// the same word at any moment, and none of those may get lost.
    pub fn add_with_neighbours(&mut self, port: u16) -> Result<()> {
        self.map
            .set(u32::from(port) / 64, u64::MAX, 0)
            .with_context(|| format!("can not write map {}", self.name))
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
