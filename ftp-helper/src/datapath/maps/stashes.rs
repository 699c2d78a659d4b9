//! The map of segments that came too early.

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};
use ftp_helper_common::stash::Stash;

use super::of_its_type;

/// A place for each of a few segments, which only the programs write.
///
/// Not pinned, as nobody has to agree on it: what is in it can be sent again, and may be a
/// password, which is nothing for those who may read the pins.
pub struct Stashes {
    name: &'static str,
    map: Array<MapData, Stash>,
}

impl Stashes {
    pub(super) fn new(name: &'static str, map: Map) -> Result<Self> {
        let map = of_its_type(name, map)?;
        Ok(Self { name, map })
    }

    /// The places whose bytes are not all zero.
    pub fn used(&self) -> Result<Vec<Stash>> {
        let mut used = Vec::new();
        for index in 0..self.map.len() {
            let stash = self
                .map
                .get(&index, 0)
                .with_context(|| format!("can not read map {}", self.name))?;
            if stash.bytes.iter().any(|byte| *byte != 0) {
                used.push(stash);
            }
        }
        Ok(used)
    }
}
