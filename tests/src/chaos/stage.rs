//! Where a fault is made, and with what.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use super::{group::MemoryGroup, outcome::Found};
use crate::{
    agent::{Agent, RunningAgent},
    lab::Lab,
    process::Daemon,
    setup::Helper,
    soak::{
        gauge::{Tables, counters},
        traffic::{
            drive::{Draw, Outcome},
            kind::Kind,
            task::{Driven, Starter, words},
        },
    },
    wait::{patient, wait_for},
};

/// Longest wait of a session for anything: TCP repeats what it lost, and waits longer
/// each time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time of a load.
const LIMIT: Duration = Duration::from_secs(600);

/// States of a session that is not over.
const OPEN: &str = "new,greeted,logged_in,encrypted,candidate";

/// How much is done.
#[derive(Clone, Debug)]
pub struct Amount {
    /// Sessions while a fault is made again and again.
    pub sessions: u64,
    /// How often a fault is made that is made so many times.
    pub times: u64,
    /// Whether it is waited for what takes minutes.
    pub waits: bool,
}

impl Amount {
    /// As the documentation has it.
    pub const FULL: Self = Self {
        sessions: 1000,
        times: 40,
        waits: true,
    };
    /// For a look, and for continuous integration.
    pub const QUICK: Self = Self {
        sessions: 100,
        times: 5,
        waits: false,
    };
}

/// What is looked for before a lab hides it.
pub(super) struct Tools {
    pub(super) starter: Starter,
    pub(super) program: PathBuf,
    pub(super) group: Option<MemoryGroup>,
}

/// A lab while a fault is made in it.
pub struct Stage<'a> {
    /// The network.
    pub lab: &'a Lab,
    /// How much is done.
    pub amount: &'a Amount,
    /// ftp-helper, not started yet; `None` where the kernel's helper is in its place.
    agent: Option<Agent>,
    tools: &'a Tools,
    draw: RefCell<Draw>,
    seed: u64,
    found: RefCell<Found>,
    loads: Cell<u64>,
    /// The server; the first load starts it.
    server: RefCell<Option<Daemon>>,
}

/// Sessions to be made.
#[derive(Clone, Debug)]
pub(super) struct Load {
    /// Kinds of sessions.
    pub(super) kinds: &'static [Kind],
    /// How many.
    pub(super) sessions: u64,
    /// How many begin in a second; 0 for no limit.
    pub(super) rate: u64,
    /// How many there are at once.
    pub(super) clients: u64,
    /// Transfers of each.
    pub(super) files: u64,
    /// Between an announcement and its use.
    pub(super) pause: Duration,
    /// Sizes of files.
    pub(super) sizes: &'static [u64],
}

impl Default for Load {
    /// Both modes in both forms, small and larger files.
    fn default() -> Self {
        Self {
            kinds: &[Kind::Port, Kind::Eprt, Kind::Pasv, Kind::Epsv],
            sessions: 100,
            rate: 25,
            clients: 32,
            files: 2,
            pause: Duration::from_millis(20),
            sizes: &[1000, 100_000, 2_000_000],
        }
    }
}

impl<'a> Stage<'a> {
    pub(super) fn new(lab: &'a Lab, tools: &'a Tools, amount: &'a Amount, seed: u64) -> Self {
        let is_ours = lab.setup.helper == Helper::Nobody;
        Self {
            lab,
            amount,
            agent: is_ours.then(|| Agent::new(lab, &tools.program)),
            tools,
            draw: RefCell::new(Draw::new(seed)),
            seed,
            found: RefCell::default(),
            loads: Cell::new(0),
            server: RefCell::new(None),
        }
    }

    /// What was found; the counters are read now.
    pub(super) fn found(&self) -> Result<Found> {
        let mut found = self.found.take();
        if let Some(agent) = &self.agent {
            let counters = counters(agent)?.into_iter();
            let counters = counters.filter(|(_, counter)| counter.class != "work");
            found.counted = counters.map(|(reason, it)| (reason, it.count)).collect();
        }
        Ok(found)
    }

    /// The agent; `None` where the kernel's helper is in its place.
    pub(super) fn agent(&self) -> Option<&Agent> {
        self.agent.as_ref()
    }

    /// The limit for the agent's memory; `None` where this machine has no such thing.
    pub(super) fn group(&self) -> Option<&MemoryGroup> {
        self.tools.group.as_ref()
    }

    /// A number below `limit`.
    pub(super) fn below(&self, limit: u64) -> u64 {
        self.draw.borrow_mut().below(limit)
    }

    /// A time up to `limit`.
    pub(super) fn moment(&self, limit: Duration) -> Duration {
        let milliseconds = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.below(milliseconds.max(1)))
    }

    /// Notes what was done.
    pub(super) fn did(&self, what: String) {
        self.found.borrow_mut().done.push(what);
    }

    /// Notes what is not as it has to be.
    pub(super) fn fault(&self, what: String) {
        self.found.borrow_mut().faults.push(what);
    }

    /// Starts a load.
    pub(super) fn start(&self, load: &Load) -> Result<Driven> {
        let starter = &self.tools.starter;
        if self.server.borrow().is_none() {
            let server = starter.serve(self.lab, &words([&self.lab.setup.control_port.served]))?;
            *self.server.borrow_mut() = Some(server);
        }
        let number = self.loads.get() + 1;
        self.loads.set(number);
        let kinds: Vec<_> = load.kinds.iter().copied().map(Kind::word).collect();
        let sizes: Vec<_> = load.sizes.iter().map(u64::to_string).collect();
        let server: SocketAddr = self.lab.setup.dialled();
        let words = words([
            &server,
            &"--kinds",
            &kinds.join(","),
            &"--sizes",
            &sizes.join(","),
            &"--sessions",
            &load.sessions,
            &"--rate",
            &load.rate,
            &"--clients",
            &load.clients,
            &"--files",
            &load.files,
            &"--pause",
            &load.pause.as_millis(),
            &"--patience",
            &patient(PATIENCE).as_secs(),
            &"--seed",
            &(self.seed.wrapping_add(number)),
            &"--stores",
        ]);
        starter.drive(
            self.lab,
            &self.lab.client,
            &format!("load-{number}"),
            &words,
        )
    }

    /// Waits for the end of a load, and counts what became of it.
    pub(super) fn finish(&self, driven: Driven) -> Result<Outcome> {
        let outcome = driven.finish(LIMIT)?;
        self.found.borrow_mut().add(&outcome.sum());
        Ok(outcome)
    }

    /// A load that nothing happens to: no transfer may be lost.
    pub(super) fn is_fine(&self, load: &Load, when: &str) -> Result<()> {
        let outcome = self.start(load)?.finish(LIMIT)?.sum();
        if outcome.failed > 0 {
            self.fault(format!("{when}: {}", outcome.why.join("; ")));
        }
        self.found.borrow_mut().kept += outcome.kept;
        Ok(())
    }

    /// Does `fault` again and again while a load is under way.
    pub(super) fn while_under_way(
        &self,
        load: &Load,
        mut fault: impl FnMut() -> Result<()>,
    ) -> Result<Outcome> {
        let mut driven = self.start(load)?;
        while !driven.is_over()? {
            fault()?;
        }
        self.finish(driven)
    }

    /// Starts the agent and does not wait.
    pub(super) fn launch(&self, name: &str, arguments: &[&str]) -> Result<Daemon> {
        let agent = self.agent.as_ref().context("no agent here")?;
        let log = self.lab.logs().join(format!("{name}.log"));
        // What an earlier one of that name said is of no use any more.
        let _ = std::fs::remove_file(&log);
        Daemon::start(&mut agent.command(arguments), &log)
    }

    /// The same inside a group.
    pub(super) fn launch_in(
        &self,
        group: &MemoryGroup,
        name: &str,
        arguments: &[&str],
    ) -> Result<Daemon> {
        let agent = self.agent.as_ref().context("no agent here")?;
        let log = self.lab.logs().join(format!("{name}.log"));
        let _ = std::fs::remove_file(&log);
        let mut command = agent.command(arguments);
        group.contain(&mut command)?;
        Daemon::start(&mut command, &log)
    }

    /// Nothing is left of what is over, but closed sessions for a while.
    pub(super) fn nothing_is_left(&self) {
        let Some(agent) = &self.agent else {
            return;
        };
        let mut last = None;
        let limit = Duration::from_secs(if self.amount.waits { 240 } else { 20 });
        let over = wait_for("the end of what is over", limit, || {
            let tables = Tables::of(self.lab, agent)?;
            let is_over = tables.open == 0 && tables.of_name("expectations") == 0;
            let is_empty = !self.amount.waits || tables.of_name("sessions") == 0;
            last = Some(tables);
            Ok((is_over && is_empty).then_some(()))
        });
        if over.is_err() {
            let open = agent.json(&["session", "list", "--state", OPEN]);
            self.fault(format!(
                "something is left of what is over: {last:?}, {open:?}"
            ));
        }
    }

    /// Ends an agent; with SIGKILL it may be anywhere.
    pub(super) fn kill(daemon: &mut Daemon) -> Result<()> {
        daemon.stop(Signal::SIGKILL).map(drop)
    }

    /// Starts the agent as usual.
    pub(super) fn start_agent(&self, arguments: &[&str]) -> Result<Option<RunningAgent>> {
        let Some(agent) = &self.agent else {
            return Ok(None);
        };
        agent.start_with(arguments).map(Some)
    }

    /// Data connections that were admitted are as many as the transfers that needed it.
    pub(super) fn all_were_admitted(&self, outcome: &Outcome) -> Result<()> {
        let Some(agent) = &self.agent else {
            return Ok(());
        };
        let active = [Kind::Port, Kind::Eprt].map(Kind::word);
        let kinds = outcome.kinds.iter();
        let kinds = kinds.filter(|(kind, _)| active.contains(&kind.as_str()));
        let helped: u64 = kinds.map(|(_, count)| count.kept).sum();
        let matched = agent.count("expectation_matched")?;
        ensure!(
            matched >= helped,
            "{helped} transfers needed help and arrived, {matched} data connections were admitted"
        );
        Ok(())
    }
}
