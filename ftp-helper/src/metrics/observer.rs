//! What the agent's loop tells about its work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ftp_helper_common::{event::Event, session::Direction};
use tokio::sync::watch;

use super::latency::{Latency, Times};
use crate::{device::Device, kubernetes::Reports};

/// A direction of an interface that a program has to be attached to. One that is
/// named and not there has the index 0.
pub type Selected = (Device, Direction);

/// Work that the loop does now and then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cleanup {
    /// Removal of expired expectations.
    Expectations,
    /// Removal of sessions that are over.
    Sessions,
}

impl Cleanup {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Expectations, Self::Sessions];

    /// The word for the label.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expectations => "expectations",
            Self::Sessions => "sessions",
        }
    }
}

/// What the loop has told, for those who ask.
#[derive(Debug)]
pub struct Observed {
    /// How long data connections took to come.
    pub times: Times,
    /// When the agent started; seconds since 1970.
    pub started: u64,
    /// Directions of interfaces that have to have a program.
    pub selected: watch::Receiver<Vec<Selected>>,
    /// What is known of Services of Kubernetes.
    pub reports: Reports,
    cleanups: [AtomicU64; Cleanup::ALL.len()],
    epoch: Instant,
    /// Milliseconds from the epoch to the loop's last turn.
    turned: AtomicU64,
}

impl Observed {
    /// How long ago the loop turned last.
    pub fn since_turn(&self) -> Duration {
        let turned = Duration::from_millis(self.turned.load(Ordering::Relaxed));
        self.epoch.elapsed().saturating_sub(turned)
    }

    /// When this work was last done; seconds since 1970, `None` for not yet.
    pub fn cleaned(&self, cleanup: Cleanup) -> Option<u64> {
        let time = self.cleanups[cleanup as usize].load(Ordering::Relaxed);
        (time > 0).then_some(time)
    }
}

/// The loop's side; does nothing when metrics are off.
#[derive(Debug, Default)]
pub struct Observer(Option<Told>);

#[derive(Debug)]
struct Told {
    latency: Latency,
    selected: watch::Sender<Vec<Selected>>,
    observed: Arc<Observed>,
}

impl Observer {
    /// One that keeps what it is told, and where that is read.
    pub fn new(reports: Reports) -> (Self, Arc<Observed>) {
        let (sender, selected) = watch::channel(Vec::new());
        let times = Times::default();
        let observed = Arc::new(Observed {
            times: times.clone(),
            started: unix_time(),
            selected,
            reports,
            cleanups: Default::default(),
            epoch: Instant::now(),
            turned: AtomicU64::new(0),
        });
        let told = Told {
            latency: Latency::new(times),
            selected: sender,
            observed: Arc::clone(&observed),
        };
        (Self(Some(told)), observed)
    }

    /// The directions of interfaces that are to have a program, from now on.
    pub fn select(&self, selected: Vec<Selected>) {
        if let Some(told) = &self.0 {
            told.selected.send_replace(selected);
        }
    }

    /// An event was read.
    pub fn event(&mut self, event: &Event) {
        if let Some(told) = &mut self.0 {
            told.latency.event(event);
        }
    }

    /// The loop is alive.
    pub fn turn(&self) {
        if let Some(Told { observed, .. }) = &self.0 {
            let elapsed = observed.epoch.elapsed().as_millis();
            let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
            observed.turned.store(elapsed, Ordering::Relaxed);
        }
    }

    /// Work was done, with success or without.
    pub fn cleaned(&self, cleanup: Cleanup, success: bool) {
        if let (Some(Told { observed, .. }), true) = (&self.0, success) {
            observed.cleanups[cleanup as usize].store(unix_time(), Ordering::Relaxed);
        }
    }
}

/// Seconds since 1970.
fn unix_time() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::Discovery;

    #[test]
    fn what_is_told_is_seen() {
        let (observer, told) = Observer::new(Discovery::default().reports());
        assert!(told.started > 1_700_000_000);
        assert_eq!(told.cleaned(Cleanup::Sessions), None);
        observer.cleaned(Cleanup::Sessions, false);
        assert_eq!(told.cleaned(Cleanup::Sessions), None);
        observer.cleaned(Cleanup::Sessions, true);
        assert!(told.cleaned(Cleanup::Sessions) >= Some(told.started));
        assert_eq!(told.cleaned(Cleanup::Expectations), None);

        assert!(told.selected.borrow().is_empty());
        let device = Device {
            name: "wan0".to_owned(),
            index: 7,
        };
        observer.select(vec![(device.clone(), Direction::Egress)]);
        assert_eq!(*told.selected.borrow(), [(device, Direction::Egress)]);
    }

    #[test]
    fn a_loop_that_stands_still_gets_older() {
        let (observer, told) = Observer::new(Discovery::default().reports());
        std::thread::sleep(Duration::from_millis(30));
        let still = told.since_turn();
        assert!(still >= Duration::from_millis(30), "{still:?}");
        observer.turn();
        assert!(told.since_turn() < still);
    }

    #[test]
    fn without_metrics_nothing_is_kept() {
        let mut observer = Observer::default();
        observer.turn();
        observer.event(&Event::default());
        observer.cleaned(Cleanup::Expectations, true);
        assert!(observer.0.is_none());
    }
}
