//! What `ftp-helper run` does: start or take over the datapath, then report and
//! clean up until it is told to stop. The programs do not need it; they go on
//! when it ends, however it ends.

mod events;
mod gc;
mod settings;

use std::{future, time::Duration};

use anyhow::{Context as _, Result, bail};
use ftp_helper_common::session::Direction;
use tokio::{
    io::unix::AsyncFd,
    runtime,
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, info, warn};

use self::gc::Limits;
pub use self::settings::{Outside, Settings};
use crate::{
    cli::one_line,
    clock,
    datapath::{Datapath, EventRing, KernelLog, NewPins, Wanted, detach},
    logging,
    metrics::{Cleanup, Listener, Observer},
    pins::{AttachmentPin, Lock, PinDirectory, direction_word},
    preflight,
};

const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

const EXPECTATION_TICK: Duration = Duration::from_secs(1);
/// Their limits are minutes, and each of them is large to read.
const SESSION_TICK: Duration = Duration::from_secs(10);

/// Runs the agent until it gets SIGINT or SIGTERM. SIGHUP makes it change over to
/// the settings that `read_again` then gives.
pub fn run(
    settings: Settings,
    read_again: &dyn Fn() -> Result<Settings>,
    pins: &PinDirectory,
) -> Result<()> {
    preflight::check(pins)?;
    let created = pins.create()?;
    let _lock = lock(pins)?;
    let mut new = NewPins::default();
    // Not before the lock: until then the directory may be another agent's.
    if created {
        new.directory(pins.path());
    }
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can not start the event loop")?;
    runtime.block_on(async {
        // From here on a signal is an orderly end, also during the start.
        let mut interrupt = signal(SignalKind::interrupt()).context("can not catch SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("can not catch SIGTERM")?;
        let mut hangup = signal(SignalKind::hangup()).context("can not catch SIGHUP")?;

        // Before anything is changed: a port may be taken.
        let listener = settings.metrics.address().map(Listener::bind).transpose()?;
        let mut agent = Agent::start(settings, pins, new)?;
        if let Some(listener) = listener {
            agent.serve(listener, pins)?;
        }
        loop {
            tokio::select! {
                result = agent.work() => return result,
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = hangup.recv() => agent.reload(read_again, pins),
            }
        }
        agent.stop();
        Ok(())
    })
}

/// The lock of the pin directory, or the refusal to be a second agent.
pub fn lock(pins: &PinDirectory) -> Result<Lock> {
    match pins.lock()? {
        Some(lock) => Ok(lock),
        None => bail!(
            "another ftp-helper is at work on {}: stop it first, or choose another place with \
             --pin-dir",
            pins.path().display()
        ),
    }
}

struct Agent {
    settings: Settings,
    datapath: Datapath,
    events: AsyncFd<EventRing>,
    log: Option<AsyncFd<KernelLog>>,
    limits: Limits,
    observer: Observer,
}

impl Agent {
    /// Loads the programs, or new ones in the place of those of an earlier start.
    fn start(settings: Settings, pins: &PinDirectory, mut new: NewPins) -> Result<Self> {
        let level = logging::kernel_level();
        let mut datapath = Datapath::load_pinned(level, settings.session_limit, pins, &mut new)?;
        for direction in DIRECTIONS {
            if let Some(count) = datapath.verified_instructions(direction)? {
                debug!(
                    "{} program: {count} instructions verified",
                    direction_word(direction)
                );
            }
        }
        change_over(&settings, &mut datapath, pins, new)?;
        let events = datapath
            .maps
            .events
            .take()
            .context("the event ring is gone")?;
        let log = match datapath.kernel_log() {
            Ok(log) => Some(log.watch()?),
            Err(error) => {
                warn!("the programs' own log lines are not shown: {error:#}");
                None
            }
        };
        let events = events.watch()?;
        info!("ready: helping FTP on {}", settings.names());
        Ok(Self {
            settings,
            datapath,
            events,
            log,
            limits: Limits::following_conntrack(),
            observer: Observer::default(),
        })
    }

    /// Changes over to other settings. When that fails, the ones that are there
    /// stay.
    fn reload(&mut self, read_again: &dyn Fn() -> Result<Settings>, pins: &PinDirectory) {
        let result = read_again().and_then(|settings| {
            let new = NewPins::default();
            change_over(&settings, &mut self.datapath, pins, new).inspect_err(|_| {
                let old = change_over(&self.settings, &mut self.datapath, pins, NewPins::default());
                if let Err(error) = old {
                    warn!(
                        "the old settings are not complete either: {}",
                        one_line(&error)
                    );
                }
            })?;
            Ok(settings)
        });
        match result {
            Ok(settings) => {
                self.observer.select(settings.attachments());
                if settings.session_limit != self.settings.session_limit {
                    warn!(
                        "the session limit stays {}: run `ftp-helper detach` before the next start",
                        self.settings.session_limit
                    );
                }
                if settings.metrics != self.settings.metrics {
                    warn!("metrics stay where they are served until the next start");
                }
                info!("settings read again: helping FTP on {}", settings.names());
                self.settings = settings;
            }
            Err(error) => warn!("the settings stay as they are: {}", one_line(&error)),
        }
    }

    /// Serves metrics from now on.
    fn serve(&mut self, listener: Listener, pins: &PinDirectory) -> Result<()> {
        let (observer, told) = Observer::new();
        observer.select(self.settings.attachments());
        listener.serve(pins, told)?;
        self.observer = observer;
        Ok(())
    }

    /// Reports and cleans up; ends only with an error.
    async fn work(&mut self) -> Result<()> {
        let Self {
            datapath,
            events,
            log,
            limits,
            observer,
            ..
        } = self;
        let maps = &mut datapath.maps;
        let mut expectations = interval(EXPECTATION_TICK);
        let mut sessions = interval(SESSION_TICK);
        // After a suspended machine wakes up, once is enough.
        expectations.set_missed_tick_behavior(MissedTickBehavior::Delay);
        sessions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                guard = events.readable_mut() => {
                    let mut guard = guard.context("can not wait for events")?;
                    report(guard.get_inner_mut(), observer);
                    guard.clear_ready();
                }
                result = kernel_lines(log.as_mut()) => result?,
                _ = expectations.tick() => {
                    let done = tell(gc::expectations(maps, clock::now()?));
                    observer.cleaned(Cleanup::Expectations, done);
                    observer.turn();
                }
                _ = sessions.tick() => {
                    let done = tell(gc::sessions(maps, *limits, clock::now()?));
                    observer.cleaned(Cleanup::Sessions, done);
                }
            }
        }
    }

    /// Reports what is still there, and leaves everything in place.
    fn stop(&mut self) {
        report(self.events.get_mut(), &mut self.observer);
        if let Some(log) = &mut self.log {
            log.get_mut().flush();
        }
        info!("stopped; the programs go on: `ftp-helper detach` removes them");
    }
}

/// Fills the maps, attaches, and then removes what is not wanted any more, in
/// this order: there is no moment without a program, nor one with a program that
/// lacks its settings.
fn change_over(
    settings: &Settings,
    datapath: &mut Datapath,
    pins: &PinDirectory,
    mut new: NewPins,
) -> Result<()> {
    if settings.ct_mark.value != 0 && !datapath.has_marks {
        bail!(
            "this kernel's conntrack entries have no marks (CONFIG_NF_CONNTRACK_MARK): use \
             --skb-mark, or leave --ct-mark out"
        );
    }
    settings.apply(&mut datapath.maps)?;
    for (device, direction) in settings.attachments() {
        let word = direction_word(direction);
        let wanted = Wanted {
            technique: settings.technique,
            order: settings.orders.of(direction).clone(),
        };
        let attached = datapath
            .attach(device, direction, &wanted, pins, &mut new)
            .with_context(|| format!("can not attach to {word} of interface {}", device.name))?;
        debug!(
            interface = device.name,
            direction = word,
            technique = attached.technique.word(),
            replaced = attached.replaced,
            "attached"
        );
        if !attached.in_order {
            warn!(
                interface = device.name,
                direction = word,
                "not in the order that is asked for: programs that are attached keep their \
                 place; to move them, run `ftp-helper detach` before the next start"
            );
        }
    }
    new.keep();
    drop_others(settings, pins)?;
    settings.withdraw(&mut datapath.maps)?;
    Ok(())
}

/// What could not be removed now can be the next time. True when there is nothing
/// of that kind.
fn tell(cleaned: Result<()>) -> bool {
    cleaned
        .inspect_err(|error| warn!("could not clean up: {error:#}"))
        .is_ok()
}

fn report(ring: &mut EventRing, observer: &mut Observer) {
    while let Some(event) = ring.read() {
        events::log(&event);
        observer.event(&event);
    }
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

/// Detaches from the interfaces that an earlier start helped and this one does
/// not.
fn drop_others(settings: &Settings, pins: &PinDirectory) -> Result<()> {
    for pin in pins.read()?.attachments {
        if !settings.selects(pin.device.index, pin.direction) {
            detach_and_tell(&pin)?;
        }
    }
    Ok(())
}

/// Detaches a program, with a line in the log.
pub fn detach_and_tell(pin: &AttachmentPin) -> Result<()> {
    detach(pin)?;
    let word = direction_word(pin.direction);
    info!("detached from {word} of interface {}", pin.device.name);
    Ok(())
}
