//! The map of connections whose beginning was seen.

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};

use super::of_its_type;

/// Bytes of an entry.
const PAGE: usize = 1 << 12;

/// A Bloom filter, which only the programs read and write.
pub struct Begun {
    name: &'static str,
    map: Array<MapData, [u8; PAGE]>,
}

impl Begun {
    pub(super) fn new(name: &'static str, map: Map) -> Result<Self> {
        let map = of_its_type(name, map)?;
        Ok(Self { name, map })
    }

    /// Forgets all of them.
    pub fn clear(&mut self) -> Result<()> {
        for index in 0..self.map.len() {
            self.map
                .set(index, [0; PAGE], 0)
                .with_context(|| format!("can not write map {}", self.name))?;
        }
        Ok(())
    }
}
