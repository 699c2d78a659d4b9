//! The counters.

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use ftp_helper_common::reason::{COUNTERS as SLOTS, Reason};

use super::{COUNTERS, open};
use crate::pins::PinDirectory;

/// Slot of the counter map for expectations whose end the agent saw. No reason
/// has this number, so the agent and the programs never write the same one.
const EXPIRED_BY_AGENT: u32 = SLOTS - 1;

/// The counters.
pub struct Counters {
    map: PerCpuArray<MapData, u64>,
}

impl Counters {
    pub(super) fn new(map: Map) -> Result<Self> {
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
        let by_programs = self.slot(u32::from(reason as u8))?.iter().sum();
        Ok(if reason == Reason::ExpectationExpired {
            let by_agent: u64 = self.slot(EXPIRED_BY_AGENT)?.iter().sum();
            by_agent + by_programs
        } else {
            by_programs
        })
    }

    /// Counts an expectation that the agent removed because its time was over.
    pub fn add_expired(&mut self) -> Result<()> {
        let mut values = self.slot(EXPIRED_BY_AGENT)?.to_vec();
        if let Some(first) = values.first_mut() {
            *first += 1;
        }
        let values = PerCpuValues::try_from(values).context("can not count")?;
        self.map
            .set(EXPIRED_BY_AGENT, values, 0)
            .context("can not write map COUNTERS")
    }

    fn slot(&self, slot: u32) -> Result<PerCpuValues<u64>> {
        self.map.get(&slot, 0).context("can not read map COUNTERS")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_slot_is_no_reason() {
        assert!(
            Reason::ALL
                .iter()
                .all(|reason| u32::from(*reason as u8) != EXPIRED_BY_AGENT)
        );
    }
}
