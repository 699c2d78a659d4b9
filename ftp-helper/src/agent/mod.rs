//! What `ftp-helper run` does: start or take over the datapath, then report and
//! clean up until it is told to stop. The programs do not need it; they go on
//! when it ends, however it ends.

mod change_over;
mod changes;
mod events;
mod expiry;
mod interfaces;
mod links;
mod other_version;
mod pattern;
mod reload;
mod selection;
mod settings;
mod work;

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use ftp_helper_common::session::Direction;
use tokio::{
    io::unix::AsyncFd,
    runtime,
    signal::unix::{SignalKind, signal},
};
use tracing::{debug, info, warn};

use self::{
    change_over::change_over,
    expiry::{Expiry, Limits},
    links::Links,
    work::Audience,
};
pub use self::{
    change_over::detach_and_tell,
    other_version::OnOtherVersion,
    pattern::Pattern,
    selection::{Absent, Outside, Present, Selection},
    settings::Settings,
};
use crate::{
    admin::{self, Hub, RunDirectory, Server},
    datapath::{Datapath, EventRing, KernelLog, NewPins},
    kubernetes::Discovery,
    logging,
    metrics::{Listen, Listener, Observer},
    notify::Supervisor,
    pins::{Lock, PinDirectory, direction_word},
    preflight, privileges,
    readers::{self, Group},
};

/// How long is waited at the end for what runs beside the loop.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who only looks whether an agent runs may have the lock for a moment.
const LOCK_ATTEMPTS: usize = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// How often the ring is read when the agent ends.
const LAST_TURNS: usize = 16;

const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Runs the agent until it gets SIGINT or SIGTERM. SIGHUP makes it change over to
/// the settings that `read_again` then gives.
pub fn run(
    settings: Settings,
    on_other_version: OnOtherVersion,
    read_again: &dyn Fn() -> Result<Settings>,
    pins: &PinDirectory,
    run_directory: &RunDirectory,
) -> Result<()> {
    preflight::check(pins)?;
    let created = pins.create()?;
    let _lock = lock(pins)?;
    on_other_version.check(pins)?;
    let mut new = NewPins::default();
    // Not before the lock: until then the directory may be another agent's.
    if created {
        new.directory(pins);
    }
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can not start the event loop")?;
    let result = runtime.block_on(async {
        // From here on a signal is an orderly end, also during the start.
        let mut interrupt = signal(SignalKind::interrupt()).context("can not catch SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("can not catch SIGTERM")?;
        let mut hangup = signal(SignalKind::hangup()).context("can not catch SIGHUP")?;

        // Before anything is changed: a port may be taken.
        let listener = settings.metrics.address().map(Listener::bind).transpose()?;
        // Nobody is answered yet, but whoever sees that the agent is ready can connect.
        let socket = admin::Listener::bind_if_possible(run_directory, pins);
        let mut agent = Agent::start(settings, pins, new)?;
        if let Some(listener) = listener {
            agent.serve(listener, pins)?;
        }
        // The socket may be given to a group, as long as there is the right to.
        let mut server = Server::new(socket, &agent.hub, agent.discovery.reports(), pins);
        // No other thread runs yet: this one has not waited for anything.
        privileges::drop_others()?;
        // With the rights that it keeps: the API is asked over the network only.
        agent.discovery.follow(agent.settings.kubernetes.as_ref());
        // Whoever waits for this line may use the socket, with the rights that it has now.
        info!("ready: {}", agent.status());
        agent.supervisor.ready(&agent.status());
        loop {
            tokio::select! {
                result = agent.work() => return result,
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = hangup.recv() => {
                    agent.reload(read_again, pins);
                }
                request = server.request() => {
                    let reloaded = agent.reload(read_again, pins);
                    // Whoever asked may be gone; the log has it too.
                    let _ = request.send(reloaded);
                }
            }
        }
        agent.stop();
        drop(agent);
        server.finish().await;
        Ok(())
    });
    // Somebody else's program may not end.
    runtime.shutdown_timeout(FAREWELL);
    result
}

/// The lock of the pin directory, or the refusal to be a second agent.
pub fn lock(pins: &PinDirectory) -> Result<Lock> {
    for attempt in 0..LOCK_ATTEMPTS {
        if attempt > 0 {
            thread::sleep(LOCK_PAUSE);
        }
        if let Some(lock) = pins.lock()? {
            return Ok(lock);
        }
    }
    bail!(
        "another ftp-helper is at work on {}: stop it first, or choose another place with \
         --pin-dir",
        pins.path().display()
    )
}

struct Agent {
    settings: Settings,
    at_start: AtStart,
    pins: PinDirectory,
    datapath: Datapath,
    events: AsyncFd<EventRing>,
    log: Option<AsyncFd<KernelLog>>,
    links: Links,
    expiry: Expiry,
    observer: Observer,
    hub: Hub,
    supervisor: Supervisor,
    discovery: Discovery,
}

/// Settings that are in force from the start on, whatever is read later.
struct AtStart {
    metrics: Listen,
    group: Option<Group>,
}

impl Agent {
    /// Loads the programs, or new ones in the place of those of an earlier start.
    fn start(mut settings: Settings, pins: &PinDirectory, mut new: NewPins) -> Result<Self> {
        // What changes from here on is told.
        let links = Links::watch()?;
        settings.present = settings.selection.look()?;
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
        // As long as there is the right to.
        readers::admit(pins, settings.group.as_ref())?;
        change_over(&settings, &mut datapath, pins, new)?;
        other_version::remove_maps(pins)?;
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
        for absent in &settings.present.absent {
            warn!("{absent}");
        }
        Ok(Self {
            at_start: AtStart {
                metrics: settings.metrics,
                group: settings.group.clone(),
            },
            settings,
            pins: pins.clone(),
            expiry: Expiry::new(&datapath.maps, Limits::following_conntrack()),
            datapath,
            events,
            log,
            links,
            observer: Observer::default(),
            hub: Hub::default(),
            supervisor: Supervisor::from_environment(),
            discovery: Discovery::default(),
        })
    }

    /// Serves metrics from now on.
    fn serve(&mut self, listener: Listener, pins: &PinDirectory) -> Result<()> {
        let (observer, told) = Observer::new(self.discovery.reports());
        observer.select(self.settings.present.selected());
        listener.serve(pins, told)?;
        self.observer = observer;
        Ok(())
    }

    /// What it does, in a few words.
    fn status(&self) -> String {
        format!("helping FTP on {}", self.settings.present)
    }

    /// Reports what is still there, and leaves everything in place.
    fn stop(&mut self) {
        self.supervisor.stopping();
        let mut audience = Audience {
            observer: &mut self.observer,
            hub: &self.hub,
            maps: &self.datapath.maps,
        };
        let ring = self.events.get_mut();
        // More than the ring holds: what comes meanwhile is for the next agent.
        for _ in 0..LAST_TURNS {
            if work::report(ring, &mut self.expiry, 0, &mut audience) {
                break;
            }
        }
        if let Some(log) = &mut self.log {
            log.get_mut().flush();
        }
        info!("stopped; the programs go on: `ftp-helper detach` removes them");
    }
}
