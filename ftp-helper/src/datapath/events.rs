//! The ring of events.

use std::os::fd::{AsRawFd, RawFd};

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, RingBuf};
use ftp_helper_common::event::Event;
use tokio::io::{Interest, unix::AsyncFd};
use zerocopy::FromBytes as _;

/// Reads what the programs report. Readable, in the sense of poll(2), when there is so
/// much that it should not wait for the next look: being woken costs the datapath more
/// than the report.
pub struct EventRing {
    ring: RingBuf<MapData>,
}

impl EventRing {
    pub(super) fn new(map: Map) -> Result<Self> {
        let ring = map
            .try_into()
            .context("map EVENTS is not what it should be")?;
        Ok(Self { ring })
    }

    /// The next event, if there is one.
    pub fn read(&mut self) -> Option<Event> {
        // An entry of another size is none of ours: the map's name carries the
        // version of the layout. It is passed over.
        while let Some(entry) = self.ring.next() {
            if let Ok(event) = Event::read_from_bytes(&entry) {
                return Some(event);
            }
        }
        None
    }

    /// Makes it possible to wait for events; needs an event loop around it.
    pub fn watch(self) -> Result<AsyncFd<Self>> {
        // SAFETY: the descriptor is that of the map, which this value owns, and
        // neither changes while it lives.
        let watched = unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) };
        watched.context("can not wait for events")
    }
}

impl AsRawFd for EventRing {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}
