//! The control ports of all interfaces together, as the gate asks for them.

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};
use ftp_helper_common::{
    few_ports::{self, UNKNOWN},
    interface::DETECT_MARK,
};

use super::{Access, CONTROL_BITMAP, CONTROL_WORD, PortBits, of_its_type, open};
use crate::{pins::PinDirectory, ports::PortSet};

/// A bitmap of the ports, and a word in front of it that names them when they are few.
pub struct ControlSummary {
    word: Array<MapData, u64>,
    bitmap: PortBits,
}

impl ControlSummary {
    pub(super) fn new(word: Map, bitmap: PortBits) -> Result<Self> {
        let word = of_its_type(CONTROL_WORD, word)?;
        Ok(Self { word, bitmap })
    }

    /// Opens the pinned maps to change them.
    pub fn open_to_change(pins: &PinDirectory) -> Result<Self> {
        let word = open(pins, CONTROL_WORD, Access::Change)?;
        Self::new(word, PortBits::open_to_change(pins, CONTROL_BITMAP)?)
    }

    /// Makes it equal to the set.
    pub fn store(&mut self, set: &PortSet) -> Result<()> {
        let word = few_ports::pack(set.iter());
        if self.word()? != word {
            // While the bitmap changes, and if nobody gets any further, it is asked.
            self.set_word(UNKNOWN)?;
        }
        self.bitmap.store(set)?;
        self.set_word(word)
    }

    /// True when the port is in it.
    pub fn contains(&self, port: u16) -> Result<bool> {
        self.bitmap.contains(port)
    }

    /// True when sessions are looked for on all ports.
    pub fn detects(&self) -> Result<bool> {
        self.contains(DETECT_MARK)
    }

    /// The word of [`few_ports`].
    pub fn word(&self) -> Result<u64> {
        self.word
            .get(&0, 0)
            .with_context(|| format!("can not read map {CONTROL_WORD}"))
    }

    fn set_word(&mut self, word: u64) -> Result<()> {
        self.word
            .set(0, word, 0)
            .with_context(|| format!("can not write map {CONTROL_WORD}"))
    }
}
