//! One lab in which everybody has his turn: the same hosts, the same wires, the same
//! server; only what the gateway does changes.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;

use super::{conntrackd, empty::Empty, links::Links, open_vswitch::Switch, own::Own, peer::Peer};
use crate::{
    agent::{Agent, PINS, RunningAgent, find_binary},
    firewall,
    host::Host,
    lab::Lab,
    process::{Daemon, run},
    setup::{Family, Helper, Inside, Offloads, Setup, Translation},
    wait::wait_for,
};

/// Port of the FTP server.
pub(super) const FTP: u16 = 21;
/// Port of the server that has nothing to do with FTP.
pub(super) const WEB: u16 = 8080;

/// Longest time of one task, beside what it was told to take.
const SPARE: Duration = Duration::from_secs(30);

/// How ftp-helper is started. A closed session stays in the table for two minutes, as
/// its conntrack entry does, and all sessions of a load are those of one client.
const RUN: [&str; 7] = [
    "run",
    "-i",
    "wan0",
    "--session-limit",
    "131072",
    "--client-limit",
    "0",
];

/// The lab, and what runs in it.
///
/// Processes go first, and the lab that they are in last.
pub(super) struct Rig {
    running: Option<RunningAgent>,
    switch: Option<Switch>,
    helper: Option<Daemon>,
    /// What keeps programs attached without an agent.
    links: Option<Links>,
    /// See [`Rig::keep`].
    kept: Option<Kept>,
    /// The rules that the gateway has, when they are known.
    ruled: Option<Helper>,
    _server: Daemon,
    agent: Agent,
    program: PathBuf,
    now: Option<Peer>,
    offloads: Offloads,
    /// The lab.
    pub(super) lab: Lab,
}

/// ftp-helper, ready to have the gateway at once. Its agent runs in its own turns only.
struct Kept {
    programs: Own,
    agent: RunningAgent,
}

/// Does `body` with a rig, on a thread of its own.
pub(super) fn rig<T: Send>(
    inside: Inside,
    body: impl FnOnce(&mut Rig) -> Result<T> + Send,
) -> Result<T> {
    let work = || {
        // Both are looked for before the lab hides where they are.
        let program = bench_program()?;
        let agent = find_binary()?;
        let setup = Setup::new(inside, Family::V4, Translation::Nat);
        let lab = Lab::new(setup)?;
        let mut rig = Rig::new(lab, program, &agent)?;
        body(&mut rig)
    };
    let outcome = thread::scope(|scope| scope.spawn(work).join());
    match outcome {
        Ok(result) => result,
        Err(_) => bail!("the lab's thread ended in a panic; what it said is above"),
    }
}

/// This program: it does all tasks.
fn bench_program() -> Result<PathBuf> {
    std::env::current_exe().context("path of the running program")
}

impl Rig {
    fn new(lab: Lab, program: PathBuf, agent: &Path) -> Result<Self> {
        // Connections follow each other faster than their ports are free again.
        for host in lab.hosts() {
            host.enter(|| {
                for (name, value) in [
                    ("ipv4/tcp_tw_reuse", "1"),
                    ("ipv4/ip_local_port_range", "10000 60999"),
                    ("core/somaxconn", "4096"),
                    // A port for which somebody waits in TIME_WAIT is not given to anybody
                    // who asks for any, and to look for another takes milliseconds when
                    // most are: then that search is all that is measured.
                    ("ipv4/tcp_max_tw_buckets", "1000"),
                ] {
                    let path = format!("/proc/sys/net/{name}");
                    fs::write(&path, value).with_context(|| format!("{path} not set"))?;
                }
                Ok(())
            })?;
        }
        // Without translation the outside host has to know the way; with it, nobody
        // asks for that address.
        let inside = network(lab.setup.inside_address());
        let way = lab.setup.addresses.wan;
        lab.outside()
            .must(&format!("ip route add {inside} via {way}"))?;

        let mut serve = lab.server.command(&program);
        serve.args(["serve", &FTP.to_string(), &WEB.to_string()]);
        let mut server = Daemon::start(&mut serve, &lab.logs().join("load-server.log"))?;
        wait_for("the load's server", Duration::from_secs(20), || {
            if let Some(status) = server.ended()? {
                bail!("the load's server ended with {status}: {}", server.log()?);
            }
            Ok(server.log()?.contains("ready").then_some(()))
        })?;
        Ok(Self {
            agent: Agent::new(&lab, agent),
            offloads: lab.setup.offloads,
            lab,
            program,
            running: None,
            switch: None,
            helper: None,
            links: None,
            kept: None,
            ruled: None,
            now: None,
            _server: server,
        })
    }

    /// Gives the gateway to `peer`, with nothing left of who had it before.
    pub(super) fn give(&mut self, peer: Peer) -> Result<()> {
        if self.now.take() != Some(peer) {
            self.clear()?;
            self.set_up(peer)?;
        }
        self.now = Some(peer);
        self.forget()
    }

    /// Lets ftp-helper come and go without a start from now on, where the kernel can do
    /// that: its programs are attached and taken off again, and its agent is stopped
    /// meanwhile. A start takes as long as many turns, in which the machine changes more
    /// than ftp-helper does; and behind one, all tables and caches are cold, which they
    /// are on no gateway that has been at work for a while.
    pub(super) fn keep(&mut self) -> Result<()> {
        self.give(Peer::Ours)?;
        let programs = Own::find(Path::new(PINS))?;
        if let Some(agent) = self.running.take_if(|_| programs.is_linked) {
            // It keeps its tables open, and works on.
            self.agent.table(&["detach", "--force"])?;
            agent.signal(Signal::SIGSTOP)?;
            self.kept = Some(Kept { programs, agent });
            self.now = None;
        }
        Ok(())
    }

    /// Forgets all connections that the gateway knows: their table is as empty for
    /// everybody. An agent forgets its sessions by itself.
    fn forget(&self) -> Result<()> {
        self.lab.gateway.must("conntrack -F").map(drop)
    }

    fn clear(&mut self) -> Result<()> {
        if let Some(switch) = self.switch.take() {
            switch.stop(&self.lab)?;
            self.ruled = None;
        }
        if self.helper.take().is_some() {
            self.ruled = None;
        }
        if self.links.take().is_some()
            && let Some(kept) = &self.kept
        {
            kept.agent.signal(Signal::SIGSTOP)?;
        }
        if let Some(mut agent) = self.running.take() {
            agent.stop(Signal::SIGTERM)?;
            self.agent.table(&["detach"])?;
        }
        Ok(())
    }

    fn set_up(&mut self, peer: Peer) -> Result<()> {
        match peer {
            Peer::Routing => self.flush(),
            Peer::Masquerade | Peer::MasqueradeAgain => self.rules(Helper::Nobody),
            Peer::Kernel | Peer::KernelAgain => self.rules(Helper::Kernel),
            Peer::Ours => {
                self.rules(Helper::Nobody)?;
                match &self.kept {
                    Some(kept) => {
                        kept.agent.signal(Signal::SIGCONT)?;
                        self.links = Some(self.attach(|device| kept.programs.attach(device))?);
                    }
                    None => self.running = Some(self.agent.start_with(&RUN)?),
                }
                Ok(())
            }
            Peer::Attached => {
                self.rules(Helper::Nobody)?;
                self.links = Some(self.attach(|device| Empty::load()?.attach(device))?);
                Ok(())
            }
            Peer::OpenVswitch => {
                self.flush()?;
                self.switch = Some(Switch::start(&self.lab)?);
                Ok(())
            }
            Peer::Conntrackd => {
                self.rules(Helper::Nobody)?;
                self.helper = Some(conntrackd::start(&self.lab)?);
                Ok(())
            }
        }
    }

    /// Attaches programs to the outside interface.
    fn attach(&self, work: impl FnOnce(u32) -> Result<Links>) -> Result<Links> {
        self.lab.gateway.enter(|| {
            let device = nix::net::if_::if_nametoindex("wan0").context("no wan0")?;
            work(device)
        })
    }

    /// Gives the gateway the rules with this helper, unless it has them.
    fn rules(&mut self, helper: Helper) -> Result<()> {
        if self.ruled == Some(helper) {
            return Ok(());
        }
        self.flush()?;
        let setup = Setup {
            helper,
            ..self.lab.setup
        };
        firewall::install(&self.lab.with_server(setup, &self.lab.server))?;
        self.ruled = Some(helper);
        Ok(())
    }

    /// Takes all rules from the gateway.
    fn flush(&mut self) -> Result<()> {
        self.ruled = None;
        self.lab.gateway.must("nft flush ruleset").map(drop)
    }

    /// Sets the offloads of all devices, where they are others.
    pub(super) fn set_offloads(&mut self, offloads: Offloads) -> Result<()> {
        if self.offloads != offloads {
            self.lab.set_offloads(offloads)?;
            self.offloads = offloads;
        }
        Ok(())
    }

    /// Where clients find the server, through who has the gateway now.
    pub(super) fn server(&self, port: u16) -> SocketAddr {
        let setup = &self.lab.setup;
        let address = match self.now {
            Some(Peer::Routing) => setup.addresses.server,
            _ => setup.dialled().ip(),
        };
        SocketAddr::new(address, port)
    }

    /// Has a task done on the client's host.
    pub(super) fn load<T: DeserializeOwned>(&self, words: &[String], time: Duration) -> Result<T> {
        self.task(&self.lab.client, words, time)
    }

    /// Has a task done on a host.
    pub(super) fn task<T: DeserializeOwned>(
        &self,
        host: &Host,
        words: &[String],
        time: Duration,
    ) -> Result<T> {
        let what = words.join(" ");
        let mut command = host.command(&self.program);
        let output = run(command.args(words), time + SPARE)?.success(&what)?;
        serde_json::from_str(&output.stdout)
            .with_context(|| format!("{what} printed {:?}", output.stdout))
    }

    /// Starts a task on the gateway, which prints to this log.
    pub(super) fn start_task(&self, words: &[String], log: &str) -> Result<Daemon> {
        let mut command = self.lab.gateway.command(&self.program);
        Daemon::start(command.args(words), &self.lab.logs().join(log))
    }

    /// The agent that has the gateway.
    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Where it pins.
    pub(super) fn pins() -> &'static str {
        PINS
    }
}

/// Words for a task.
pub(super) fn words<const N: usize>(words: [&dyn ToString; N]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

/// The network of an address of the lab.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => format!("{address}/128"),
    }
}
