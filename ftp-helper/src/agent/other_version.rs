//! What a version of ftp-helper with other types of maps has left in the kernel.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::ValueEnum;
use ftp_helper_common::SCHEMA_VERSION;
use tracing::warn;

use crate::pins::{PinDirectory, remove_map};

/// What to do when there is such a thing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum OnOtherVersion {
    /// Leave it as it is, and do not start.
    #[default]
    Refuse,
    /// Put the new programs in the place of the old ones, and remove the old maps.
    Replace,
}

impl OnOtherVersion {
    /// An error where the start must not go on.
    pub(super) fn check(self, pins: &PinDirectory) -> Result<()> {
        match self {
            Self::Refuse => PinDirectory::check_version(&pins.read()?),
            Self::Replace => Ok(()),
        }
    }
}

/// Removes the maps of other versions; for when no attached program uses them any more.
pub(super) fn remove_maps(pins: &PinDirectory) -> Result<()> {
    let mut maps = pins.read()?.maps;
    maps.retain(|map| map.version != SCHEMA_VERSION);
    for map in &maps {
        remove_map(&map.path)?;
    }
    let versions: BTreeSet<u32> = maps.iter().map(|map| map.version).collect();
    for version in versions {
        warn!(
            "took the place of programs with maps of schema version {version}: what they knew of \
             open control connections is lost"
        );
    }
    Ok(())
}
