//! Tables of another size in the place of pinned ones, with everything that is in
//! them.
//!
//! A map can not grow. So new maps are made, programs loaded that use them, and
//! while the old programs let nothing of control connections pass (their TCP
//! repeats it), the entries are copied and the programs replaced. Frozen are the
//! settings of interfaces, which both use: whichever of the two a packet meets, it
//! waits.
//!
//! An end in the middle of it loses nothing: until the new pins have taken the
//! place of the old ones the old maps count, and nothing changes either of them.
//! The next start goes on from there, and thaws.

use std::{
    fs,
    hash::Hash,
    os::unix::fs::MetadataExt as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aya::Pod;
use ftp_helper_common::interface::flags::FROZEN;
use nix::unistd::{Gid, chown};
use tracing::info;

use super::{
    maps::{
        CLIENTS, Clients, Cursor, EXPECTATIONS, Expectations, Interfaces, Maps, SESSIONS, Sessions,
        Table, sessions_for,
    },
    sys,
};
use crate::pins::PinDirectory;

/// Entries that are copied at a time.
const PART: usize = 256;

/// Longer than any packet is worked on.
const GRACE: Duration = Duration::from_millis(100);

/// The old tables, those of another size than the new ones.
pub(super) struct Resize {
    pins: PinDirectory,
    sessions: Option<Sessions>,
    expectations: Option<Expectations>,
    clients: Option<Clients>,
}

impl Resize {
    /// Opens the pinned tables of these names, which are to be replaced; `None`
    /// without any.
    pub(super) fn new(names: &[&str], pins: &PinDirectory) -> Result<Option<Self>> {
        if names.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            sessions: open(SESSIONS, names, pins)?,
            expectations: open(EXPECTATIONS, names, pins)?,
            clients: open(CLIENTS, names, pins)?,
            pins: pins.clone(),
        }))
    }

    /// Pins the new maps beside the old ones, freezes, and copies what is there.
    pub(super) fn copy(&self, maps: &mut Maps) -> Result<()> {
        // Before anything is changed.
        fits(self.sessions.as_ref(), &maps.sessions)?;
        fits(self.expectations.as_ref(), &maps.expectations)?;
        prepare(self.sessions.as_ref(), &maps.sessions, &self.pins)?;
        prepare(self.expectations.as_ref(), &maps.expectations, &self.pins)?;
        prepare(self.clients.as_ref(), &maps.clients, &self.pins)?;

        let begin = Instant::now();
        set_frozen(&mut maps.interfaces, true)?;
        wait_for_packets();
        let mut moved = 0;
        if let Some(old) = &self.sessions {
            moved += copy(old, &mut maps.sessions, |_| true)?;
        }
        if let Some(old) = &self.expectations {
            moved += copy(old, &mut maps.expectations, |_| true)?;
        }
        if let Some(old) = &self.clients {
            // Those without a session left need not fit.
            moved += copy(old, &mut maps.clients, |sessions| *sessions > 0)?;
        }
        info!(
            "there is room for {} sessions now: {moved} entries moved in {} ms",
            maps.sessions.capacity(),
            begin.elapsed().as_millis()
        );
        Ok(())
    }

    /// Lets the new maps take the place of the old ones; for when all programs use
    /// them.
    pub(super) fn keep(&self) -> Result<()> {
        for name in self.names() {
            let (from, to) = (self.pins.next_map(name), self.pins.map(name));
            fs::rename(&from, &to).with_context(|| {
                format!(
                    "can not put {} in the place of {}",
                    from.display(),
                    to.display()
                )
            })?;
        }
        Ok(())
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        [
            self.sessions.is_some().then_some(SESSIONS),
            self.expectations.is_some().then_some(EXPECTATIONS),
            self.clients.is_some().then_some(CLIENTS),
        ]
        .into_iter()
        .flatten()
    }
}

impl Drop for Resize {
    fn drop(&mut self) {
        // There is none any more when the maps were kept. An error has nowhere to
        // go from here; what is left is removed by the next start.
        for name in self.names() {
            let _ = fs::remove_file(self.pins.next_map(name));
        }
    }
}

/// Removes what an earlier attempt has left.
pub(super) fn remove_leftovers(pins: &PinDirectory) -> Result<()> {
    for path in pins.read()?.leftovers {
        fs::remove_file(&path).with_context(|| format!("can not remove {}", path.display()))?;
    }
    Ok(())
}

fn open<K: Pod + Eq + Hash, V: Pod>(
    name: &'static str,
    names: &[&str],
    pins: &PinDirectory,
) -> Result<Option<Table<K, V>>> {
    let wanted = names.contains(&name);
    wanted.then(|| Table::open(pins, name)).transpose()
}

fn fits<K: Pod + Eq + Hash, V: Pod>(old: Option<&Table<K, V>>, new: &Table<K, V>) -> Result<()> {
    let Some(old) = old else { return Ok(()) };
    let entries = old.count()?;
    ensure!(
        entries <= new.capacity(),
        "there is no room in a table of {} for the {entries} entries of {}: choose a \
         --session-limit of at least {}, or start when fewer are there; everything stays as \
         it was",
        new.capacity(),
        old.name(),
        sessions_for(old.name(), entries)
    );
    Ok(())
}

fn prepare<K: Pod + Eq + Hash, V: Pod>(
    old: Option<&Table<K, V>>,
    new: &Table<K, V>,
    pins: &PinDirectory,
) -> Result<()> {
    let Some(old) = old else { return Ok(()) };
    let path = pins.next_map(old.name());
    sys::pin(new.descriptor(), &path)
        .with_context(|| format!("can not pin the map {}", path.display()))?;
    // Who may read the old one may read this one.
    same_readers(&pins.map(old.name()), &path)
        .with_context(|| format!("can not let the same users read {}", path.display()))
}

fn same_readers(old: &Path, new: &Path) -> Result<()> {
    let (old, fresh) = (fs::metadata(old)?, fs::metadata(new)?);
    // Where no group may, there may be no right to hand anything to it either.
    if old.mode() & 0o070 != 0 && old.gid() != fresh.gid() {
        chown(new, None, Some(Gid::from_raw(old.gid())))?;
    }
    Ok(fs::set_permissions(new, old.permissions())?)
}

fn copy<K: Pod + Eq + Hash, V: Pod>(
    old: &Table<K, V>,
    new: &mut Table<K, V>,
    wanted: impl Fn(&V) -> bool,
) -> Result<usize> {
    let mut moved = 0;
    let mut next = Some(Cursor::default());
    while let Some(from) = next {
        let part = old.part(&from, PART)?;
        for (key, value) in &part.entries {
            if wanted(value) {
                new.insert(key, value)?;
                moved += 1;
            }
        }
        next = part.next;
    }
    Ok(moved)
}

/// Freezes all interfaces, or lets things go on.
pub(super) fn set_frozen(interfaces: &mut Interfaces, frozen: bool) -> Result<()> {
    for (index, mut interface) in interfaces.entries()? {
        if frozen {
            interface.flags |= FROZEN;
        } else {
            interface.flags &= !FROZEN;
        }
        interfaces.insert(&index, &interface)?;
    }
    Ok(())
}

/// Returns when no program works any more on a packet that came before.
fn wait_for_packets() {
    // Programs run within read-side critical sections of RCU, and the call waits
    // for those to end. Where the kernel does not offer it, time does as well.
    if let Err(error) = sys::synchronize() {
        tracing::debug!("no membarrier(2), waiting instead: {error}");
        thread::sleep(GRACE);
    }
}
