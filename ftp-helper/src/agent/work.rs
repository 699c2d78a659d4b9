//! The loop: what the agent does while nothing changes.

use std::{future, iter, time::Duration};

use anyhow::{Context as _, Result};
use ftp_helper_common::event::Event;
use tokio::{
    io::unix::AsyncFd,
    task::yield_now,
    time::{Interval, MissedTickBehavior, interval},
};
use tracing::warn;

use super::{
    Agent, events,
    expiry::{Expiry, Turn},
    interfaces::follow,
    links::Changes,
};
use crate::{
    admin::Hub,
    clock::{self, seconds},
    datapath::{EventRing, KernelLog, Maps},
    device::Names,
    failure::one_line,
    kubernetes::Discovered,
    logging,
    metrics::{Cleanup, Observer},
};

/// Most events that are passed on before everything else has its turn: who makes
/// the programs report without end must not bring the agent to a stand.
const EVENTS: usize = 256;
/// How often it is looked for events. The programs wake nobody while there are few.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is looked for what has expired.
const TICK: Duration = Duration::from_secs(1);
/// How often it is looked at interfaces without a reason, to try again what failed.
const RETRY: Duration = Duration::from_secs(10);

/// What is counted, and no event is made of. It is told behind the events that are
/// there: of a long row of them, slow listeners miss the first ones.
#[derive(Clone, Copy, Eq, PartialEq)]
enum News {
    /// It was told since the last turn.
    Told,
    /// It is told as soon as there are no events.
    Due,
    /// There were events for a whole turn: it is told with the next one.
    Overdue,
}

impl Agent {
    /// Reports and cleans up; ends only with an error.
    pub(super) async fn work(&mut self) -> Result<()> {
        let Self {
            settings,
            at_start: _,
            pins,
            datapath,
            events,
            log,
            links,
            expiry,
            observer,
            hub,
            supervisor,
            discovery,
        } = self;
        let mut look = interval(LOOK);
        let mut tick = interval(TICK);
        let mut retry = interval(RETRY);
        // What is new from here on can be told.
        hub.look(&datapath.maps.counters);
        let mut news = News::Told;
        // After a suspended machine wakes up, once is enough.
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let changes = tokio::select! {
                result = due(events, &mut look) => {
                    result?;
                    let timeout = seconds(settings.expectation_timeout.into());
                    let mut audience = Audience {
                        observer,
                        hub,
                        maps: &datapath.maps,
                    };
                    if !report(events.get_mut(), expiry, timeout, &mut audience) {
                        look.reset_immediately();
                        yield_now().await;
                    } else if news != News::Told {
                        hub.look(&datapath.maps.counters);
                        news = News::Told;
                    }
                    continue;
                }
                result = kernel_lines(log.as_mut()) => {
                    result?;
                    continue;
                }
                _ = tick.tick() => {
                    clean_up(expiry, &mut datapath.maps, observer, hub, clock::now()?);
                    news = match news {
                        News::Told => News::Due,
                        News::Due => News::Overdue,
                        News::Overdue => {
                            hub.look(&datapath.maps.counters);
                            News::Due
                        }
                    };
                    observer.turn();
                    continue;
                }
                () = supervisor.due() => {
                    supervisor.alive();
                    continue;
                }
                wanted = discovery.wanted() => {
                    settings.discovered = Discovered::Known(wanted);
                    match settings.rediscover(&mut datapath.maps) {
                        Ok(()) => expiry.settings_changed(),
                        Err(error) => warn!(
                            "can not follow the changes of Services: {}",
                            one_line(&error)
                        ),
                    }
                    continue;
                }
                changes = links.changes() => changes?,
                _ = retry.tick() => Changes::default(),
            };
            match follow(settings, datapath, pins, observer, &changes) {
                Ok(false) => {}
                Ok(true) => {
                    expiry.settings_changed();
                    supervisor.status(&format!("helping FTP on {}", settings.present));
                }
                Err(error) => warn!(
                    "can not follow the changes of interfaces: {}",
                    one_line(&error)
                ),
            }
        }
    }
}

fn clean_up(expiry: &mut Expiry, maps: &mut Maps, observer: &mut Observer, hub: &Hub, now: u64) {
    let turn = tell(expiry.expectations(maps, now));
    observer.cleaned(Cleanup::Expectations, turn.is_some());
    let mut audience = Audience {
        observer,
        hub,
        maps,
    };
    audience.tell_all(turn.unwrap_or_default().expired);
    let turn = tell(expiry.sessions(maps, now));
    observer.cleaned(Cleanup::Sessions, turn.is_some());
}

/// What could not be removed now can be the next time.
fn tell(cleaned: Result<Turn>) -> Option<Turn> {
    cleaned
        .inspect_err(|error| warn!("could not clean up: {error:#}"))
        .ok()
}

/// Passes on what the programs have reported; false when there may be more.
pub(super) fn report(
    ring: &mut EventRing,
    expiry: &mut Expiry,
    timeout: u64,
    audience: &mut Audience<'_>,
) -> bool {
    let mut left = EVENTS;
    let events = iter::from_fn(|| {
        left = left.checked_sub(1)?;
        let event = ring.read()?;
        expiry.event(&event, timeout);
        Some(event)
    });
    audience.tell_all(events) < EVENTS
}

/// Everybody who is told of events, beside the log.
pub(super) struct Audience<'a> {
    pub(super) observer: &'a mut Observer,
    pub(super) hub: &'a Hub,
    pub(super) maps: &'a Maps,
}

impl Audience<'_> {
    /// Returns how many there were.
    fn tell_all(&mut self, events: impl IntoIterator<Item = Event>) -> usize {
        let mut names = Names::default();
        let _together = logging::together();
        let mut count = 0;
        for event in events {
            events::log(&event, &mut names);
            self.observer.event(&event);
            self.hub.event(&event, self.maps);
            count += 1;
        }
        count
    }
}

/// Waits until it is time to look for events.
async fn due(events: &mut AsyncFd<EventRing>, look: &mut Interval) -> Result<()> {
    tokio::select! {
        guard = events.readable_mut() => guard.context("can not wait for events")?.clear_ready(),
        _ = look.tick() => {}
    }
    Ok(())
}

async fn kernel_lines(log: Option<&mut AsyncFd<KernelLog>>) -> Result<()> {
    let Some(log) = log else {
        return future::pending().await;
    };
    let mut guard = log
        .readable_mut()
        .await
        .context("can not wait for log lines")?;
    guard.get_inner_mut().flush();
    guard.clear_ready();
    Ok(())
}
