//! `ftp-helper detach`

use anyhow::{Result, bail};
use clap::Args;
use tracing::info;

use crate::{
    agent,
    pins::{PinDirectory, remove_map},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also while an agent runs, which then reports on nothing any more
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments, pins: &PinDirectory) -> Result<()> {
    if !pins.path().exists() {
        info!("nothing is loaded under {}", pins.path().display());
        return Ok(());
    }
    // Before the lock, which has a place in the directory.
    let foreign = pins.read()?.foreign;
    if !foreign.is_empty() {
        bail!(
            "{} holds what is not ftp-helper's ({}): move it away, or check --pin-dir",
            pins.path().display(),
            foreign.join(", ")
        );
    }
    // Held to the end, so that no agent starts in between.
    let lock = pins.lock()?;
    if lock.is_none() && !arguments.force {
        bail!(
            "an ftp-helper is at work on {}: stop it first, or use `ftp-helper detach --force`",
            pins.path().display()
        );
    }
    let found = pins.read()?;
    for pin in &found.attachments {
        agent::detach_and_tell(pin)?;
    }
    for path in found
        .maps
        .iter()
        .map(|map| &map.path)
        .chain(&found.leftovers)
    {
        remove_map(path)?;
    }
    pins.remove()?;
    info!("nothing is loaded under {} any more", pins.path().display());
    Ok(())
}
