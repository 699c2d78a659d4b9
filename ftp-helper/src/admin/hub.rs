//! From the agent's loop to everybody who listens.

use std::{collections::HashMap, sync::Arc};

use anyhow::Result;
use ftp_helper_common::{event::Event, interface::Interface, reason::Reason};
use tokio::sync::{broadcast, watch};

use super::{
    notice::{Notice, Surroundings},
    protocol::Message,
    word::Word,
};
use crate::datapath::{
    Maps,
    maps::{Counters, settings_of},
};

/// Messages that are kept for those who read slowly.
const KEPT: usize = 1024;

/// What counts for the connection of an event.
fn settings(event: &Event, maps: &Maps) -> Result<Option<Interface>> {
    let interface = maps.interfaces.get(&event.ifindex)?;
    let outside = &event.session.outside;
    interface
        .map(|interface| settings_of(interface, outside, |it| maps.advertised.get(it)))
        .transpose()
}

/// A message as a line, made once for everybody.
pub(super) type Line = Arc<str>;

/// Where listeners come from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Messages; they end with the hub.
    pub(super) lines: broadcast::WeakSender<Line>,
    /// Events so far that the ring had no room for. It is no message, or whoever reads
    /// too slowly would lose it among them.
    pub(super) lost: watch::Receiver<u64>,
}

/// The loop's side; does next to nothing while nobody listens.
#[derive(Debug)]
pub struct Hub {
    sender: broadcast::Sender<Line>,
    /// See [`Source::lost`].
    lost: watch::Sender<u64>,
    /// Counters when they were last looked at, by the reason's number.
    seen: HashMap<u8, u64>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(KEPT),
            lost: watch::Sender::new(0),
            seen: HashMap::new(),
        }
    }
}

impl Hub {
    /// Where listeners are made, for as long as this value lives.
    pub(super) fn source(&self) -> Source {
        Source {
            lines: self.sender.downgrade(),
            lost: self.lost.subscribe(),
        }
    }

    /// True when somebody listens.
    pub fn is_heard(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Something happened.
    pub fn event(&self, event: &Event, maps: &Maps) {
        if !self.is_heard() {
            return;
        }
        // Without them less is shown.
        let surroundings = Surroundings {
            interface: settings(event, maps).ok().flatten(),
            session: maps.sessions.get(&event.session).ok().flatten(),
        };
        for notice in Notice::of(event, &surroundings) {
            self.send(&Message::Event(notice));
        }
    }

    /// Looks at what is counted, and no event is made of.
    pub fn look(&mut self, counters: &Counters) {
        // Also while nobody listens: whoever comes is told what is new from then on.
        for reason in Word::COUNTED.iter().chain(&[Reason::EventLost]) {
            // What can not be read now can be the next time.
            if let Ok(total) = counters.get(*reason) {
                self.counted(*reason, total);
            }
        }
    }

    /// This was counted so often since the maps were made.
    pub(super) fn counted(&mut self, reason: Reason, total: u64) {
        let before = self.seen.insert(reason as u8, total);
        let count = before.map_or(0, |before| total.saturating_sub(before));
        if count == 0 {
            return;
        }
        if reason == Reason::EventLost {
            self.lost.send_modify(|lost| *lost += count);
            return;
        }
        self.send(&Message::Counted {
            event: Word::of(reason),
            reason: reason.word().to_owned(),
            count,
        });
    }

    fn send(&self, message: &Message) {
        // An error means that nobody listens.
        let _ = self.sender.send(message.line().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told_once() {
        let mut hub = Hub::default();
        let mut listener = hub.sender.subscribe();
        // What was lost before anybody listened is no news.
        for total in [5, 5, 7] {
            hub.counted(Reason::EventLost, total);
        }
        assert_eq!(*hub.source().lost.borrow(), 2);
        assert!(listener.try_recv().is_err());
        hub.counted(Reason::ClientLimit, 0);
        hub.counted(Reason::ClientLimit, 3);
        let line = listener.try_recv().unwrap();
        assert_eq!(
            &*line,
            "{\"message\":\"counted\",\"event\":\"REJECTED\",\"reason\":\"client_limit\",\"count\":3}\n"
        );
        assert!(listener.try_recv().is_err());
    }
}
