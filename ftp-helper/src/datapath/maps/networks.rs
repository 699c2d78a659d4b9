//! A map with a set of networks.

use anyhow::{Context as _, Result};
use aya::maps::{LpmTrie, Map, MapData, lpm_trie::Key};

use super::of_its_type;
use crate::network::Network;

/// A set of networks that the programs look addresses up in.
pub struct Networks {
    name: &'static str,
    map: LpmTrie<MapData, [u8; 16], u8>,
}

impl Networks {
    pub(super) fn new(name: &'static str, map: Map) -> Result<Self> {
        let map = of_its_type(name, map)?;
        Ok(Self { name, map })
    }

    /// Makes the map equal to the list; what is on both is never missing.
    pub fn store(&mut self, networks: &[Network]) -> Result<()> {
        let context = || format!("can not write map {}", self.name);
        let wanted: Vec<Key<[u8; 16]>> = networks
            .iter()
            .map(|network| Key::new(network.bits(), *network.address().as_bytes()))
            .collect();
        for key in &wanted {
            self.map.insert(key, 1, 0).with_context(context)?;
        }
        let present: Vec<Key<[u8; 16]>> = self
            .map
            .keys()
            .collect::<Result<_, _>>()
            .with_context(context)?;
        for key in present {
            let stays = wanted
                .iter()
                .any(|one| one.prefix_len() == key.prefix_len() && one.data() == key.data());
            if !stays {
                self.map.remove(&key).with_context(context)?;
            }
        }
        Ok(())
    }
}
