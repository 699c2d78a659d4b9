//! What a service manager is told (`sd_notify(3)`): when the agent is ready, what
//! it does, and that it is alive.
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is told. The signs of life
//! come from the loop that does the work, so one that stands still is noticed.

use std::{fmt, future};

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::warn;

/// A service manager, or nobody.
#[derive(Debug)]
pub struct Supervisor {
    /// When the next sign of life is due.
    watchdog: Option<Interval>,
}

impl Supervisor {
    /// The one that the environment names; needs an event loop around it.
    pub fn from_environment() -> Self {
        let watchdog = sd_notify::watchdog_enabled()
            .map(|limit| limit / 2)
            .filter(|half| !half.is_zero());
        Self {
            watchdog: watchdog.map(|half| {
                let mut watchdog = interval(half);
                watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
                watchdog
            }),
        }
    }

    /// Programs are attached.
    pub fn ready(&self, status: &impl fmt::Display) {
        let status = status.to_string();
        tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// What the agent does, for `systemctl status`.
    pub fn status(&self, status: &impl fmt::Display) {
        tell(&[NotifyState::Status(&status.to_string())]);
    }

    /// Settings are read again; [`ready`](Self::ready) comes behind it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(time) => tell(&[
                NotifyState::Reloading,
                time,
                NotifyState::Status("reading the settings again"),
            ]),
            Err(error) => warn!("can not read CLOCK_MONOTONIC: {error}"),
        }
    }

    /// The agent ends, in an orderly way.
    pub fn stopping(&self) {
        tell(&[
            NotifyState::Stopping,
            NotifyState::Status("stopped; the programs go on"),
        ]);
    }

    /// Ends when a sign of life is due.
    pub async fn due(&mut self) {
        match &mut self.watchdog {
            Some(watchdog) => {
                watchdog.tick().await;
            }
            None => future::pending().await,
        }
    }

    /// The loop is alive.
    pub fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("can not tell the service manager: {error}");
    }
}
