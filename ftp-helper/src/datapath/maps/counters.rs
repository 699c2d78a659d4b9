//! The counters.

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use ftp_helper_common::reason::{COUNTERS as SLOTS, Reason};

use super::{Access, COUNTERS, of_its_type, open};
use crate::pins::PinDirectory;

/// Slot of the counter map for expectations whose end the agent saw. No reason
/// has this number, so the agent and the programs never write the same one.
const EXPIRED_BY_AGENT: u32 = SLOTS - 1;

/// The same for those that somebody made by hand.
const CREATED_BY_HAND: u32 = SLOTS - 2;

/// And for those that somebody removed.
const REMOVED_BY_HAND: u32 = SLOTS - 3;

/// The further slot of a reason.
const fn further_slot(reason: Reason) -> Option<u32> {
    match reason {
        Reason::ExpectationExpired => Some(EXPIRED_BY_AGENT),
        Reason::ExpectationCreated => Some(CREATED_BY_HAND),
        Reason::ExpectationTornDown => Some(REMOVED_BY_HAND),
        _ => None,
    }
}

/// The counters.
pub struct Counters {
    map: PerCpuArray<MapData, u64>,
}

impl Counters {
    pub(super) fn new(map: Map) -> Result<Self> {
        let map = of_its_type(COUNTERS, map)?;
        Ok(Self { map })
    }

    /// Opens the pinned counters to read them.
    pub fn open(pins: &PinDirectory) -> Result<Self> {
        Self::new(open(pins, COUNTERS, Access::Read)?)
    }

    /// Opens the pinned counters to count.
    pub fn open_to_change(pins: &PinDirectory) -> Result<Self> {
        Self::new(open(pins, COUNTERS, Access::Change)?)
    }

    /// How often something happened, on all processors together.
    pub fn get(&self, reason: Reason) -> Result<u64> {
        let by_programs: u64 = self.slot(u32::from(reason as u8))?.iter().sum();
        let further: u64 = match further_slot(reason) {
            Some(slot) => self.slot(slot)?.iter().sum(),
            None => 0,
        };
        Ok(by_programs + further)
    }

    /// Counts an expectation that the agent removed because its time was over.
    pub fn add_expired(&mut self) -> Result<()> {
        self.add(EXPIRED_BY_AGENT)
    }

    /// Counts an expectation that somebody made by hand.
    pub fn add_created(&mut self) -> Result<()> {
        self.add(CREATED_BY_HAND)
    }

    /// Counts an expectation that somebody removed by hand.
    pub fn add_torn_down(&mut self) -> Result<()> {
        self.add(REMOVED_BY_HAND)
    }

    fn add(&mut self, slot: u32) -> Result<()> {
        let mut values = self.slot(slot)?.to_vec();
        if let Some(first) = values.first_mut() {
            *first += 1;
        }
        let values = PerCpuValues::try_from(values).context("can not count")?;
        self.map
            .set(slot, values, 0)
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
    fn further_slots_are_no_reasons() {
        for slot in [EXPIRED_BY_AGENT, CREATED_BY_HAND, REMOVED_BY_HAND] {
            let mut reasons = Reason::ALL.iter();
            assert!(reasons.all(|reason| u32::from(*reason as u8) != slot));
        }
    }
}
