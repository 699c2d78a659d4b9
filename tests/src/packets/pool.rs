//! Loaded programs, used by one test after the other.
//!
//! The verifier takes about a second for both programs, a test a few
//! milliseconds.

use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use ftp_helper::{datapath::Datapath, ports::PortSet};

static IDLE: Mutex<Vec<Datapath>> = Mutex::new(Vec::new());

/// Programs that no other test uses, with the state of the last test removed.
pub(super) fn take() -> Result<Datapath> {
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut datapath = match idle {
        Some(datapath) => datapath,
        None => Datapath::load(0)?,
    };
    wipe(&mut datapath)?;
    Ok(datapath)
}

/// Gives back what was taken; what a failed test used is better not given back.
pub(super) fn give_back(datapath: Datapath) {
    IDLE.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(datapath);
}

/// Empties the tables.
pub(super) fn wipe(datapath: &mut Datapath) -> Result<()> {
    let maps = &mut datapath.maps;
    for (key, _) in maps.sessions.entries()? {
        maps.sessions.remove(&key)?;
    }
    for (key, _) in maps.handshakes.entries()? {
        maps.handshakes.remove(&key)?;
    }
    maps.begun.clear()?;
    for (key, _) in maps.expectations.entries()? {
        maps.expectations.remove(&key)?;
    }
    maps.awaited_ports.store(&PortSet::default())?;
    for (key, _) in maps.clients.entries()? {
        maps.clients.remove(&key)?;
    }
    Ok(())
}
