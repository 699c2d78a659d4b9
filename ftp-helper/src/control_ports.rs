//! Control ports that come and go.

use std::collections::HashSet;

use anyhow::Result;
use ftp_helper_common::{
    interface::{ControlPort, DETECT_MARK, control_port},
    session::{Session, SessionKey, flags},
};

use crate::{
    datapath::{
        Maps,
        maps::{ControlSummary, Cursor, Ports},
    },
    ports::PortSet,
};

/// Sessions that are read at a time.
const PART: usize = 256;

/// Brings the summary that lets other packets pass at once up to date with the
/// ports of every interface. `detect`: sessions are also looked for elsewhere.
pub fn summarise(ports: &Ports, summary: &mut ControlSummary, detect: bool) -> Result<()> {
    let mut set: PortSet = ports.entries()?.iter().map(|(key, _)| key.port).collect();
    if detect {
        set.insert(DETECT_MARK);
    }
    summary.store(&set)
}

/// Removes the ports that are no control ports any more and whose last session is
/// gone.
pub fn release(maps: &mut Maps) -> Result<()> {
    let mut draining = maps.control_ports.entries()?;
    draining.retain(|(_, value)| *value == control_port::DRAINING);
    if draining.is_empty() {
        return Ok(());
    }
    let mut used = HashSet::new();
    let mut next = Some(Cursor::default());
    while let Some(from) = next {
        // All of them at once may be gigabytes.
        let part = maps.sessions.part(&from, PART)?;
        let sessions = part.entries.iter();
        used.extend(sessions.map(|(key, session)| (session.ifindex, server_port(key, session))));
        next = part.next;
    }
    release_unused(maps, &used)
}

/// The same with the interfaces and ports of servers that sessions are known to
/// have.
pub(crate) fn release_unused(maps: &mut Maps, used: &HashSet<(u32, u16)>) -> Result<()> {
    let mut draining = maps.control_ports.entries()?;
    draining.retain(|(_, value)| *value == control_port::DRAINING);
    if draining.is_empty() {
        return Ok(());
    }
    for (key, _) in draining {
        let ControlPort { ifindex, port, .. } = key;
        if !used.contains(&(ifindex, port)) {
            maps.control_ports.remove(&key)?;
        }
    }
    let detect = maps.control_summary.detects()?;
    summarise(&maps.control_ports, &mut maps.control_summary, detect)
}

/// The port of the server as it is seen outside.
pub fn server_port(key: &SessionKey, session: &Session) -> u16 {
    if session.flags & flags::CLIENT_INSIDE == 0 {
        key.outside.port
    } else {
        key.peer.port
    }
}
