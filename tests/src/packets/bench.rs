//! The programs in a network namespace of their own.

use std::{
    collections::BTreeMap, env, net::SocketAddr, panic::resume_unwind, process::Command, thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use ftp_helper::{
    control_ports,
    datapath::{Context, Datapath, Outcome},
    ports::PortSet,
};
use ftp_helper_common::{
    address::Address,
    event::Event,
    expectation::{Expectation, ExpectationKey},
    interface::{ControlPort, Interface, control_port},
    reason::Reason,
    session::{Direction, Session},
};
use nix::{
    sched::{CloneFlags, CpuSet, sched_getcpu, sched_setaffinity, unshare},
    unistd::{Pid, geteuid},
};

pub use super::flow::IFINDEX;
use super::{
    decode::{describe, difference},
    flow::{Flow, STARTS, endpoint},
    pool,
    segment::Segment,
};

const CONTROL_PORT: u16 = 21;

/// What a program returns; `NEXT` leaves a packet to whatever comes behind it.
const NEXT: u32 = u32::MAX;
const DROP: u32 = 2;
const REDIRECT: u32 = 7;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It goes on.
    Next,
    /// It goes no further.
    Drop,
    /// It goes back to where it came from.
    Redirect,
}

/// Says what the program returned.
pub trait Fated {
    /// An error for anything that the programs never return.
    fn fate(&self) -> Result<Fate>;
}

impl Fated for Outcome {
    fn fate(&self) -> Result<Fate> {
        match self.verdict {
            NEXT => Ok(Fate::Next),
            DROP => Ok(Fate::Drop),
            REDIRECT => Ok(Fate::Redirect),
            other => bail!("the program returned {other}"),
        }
    }
}

/// The programs, loaded and set up for one interface, and a private network
/// namespace around the thread.
pub struct Bench {
    /// Programs and maps.
    pub datapath: Datapath,
    /// Every counter as it was last looked at.
    counters: BTreeMap<&'static str, u64>,
}

/// Runs `body` on a bench of its own, on a thread of its own. A failure, or a
/// panic, is the test's.
///
/// Needs root; without it the test fails, unless the environment variable
/// `FTP_HELPER_SKIP_ROOT` is `1`.
pub fn bench(body: impl FnOnce(&mut Bench) -> Result<()> + Send) {
    if !geteuid().is_root() {
        assert!(
            env::var("FTP_HELPER_SKIP_ROOT").is_ok_and(|value| value == "1"),
            "this test loads BPF programs and needs root; FTP_HELPER_SKIP_ROOT=1 skips what needs \
             root"
        );
        println!("SKIP: needs root");
        return;
    }
    let run = || -> Result<()> {
        let mut bench = Bench::new()?;
        body(&mut bench)?;
        pool::give_back(bench.datapath);
        Ok(())
    };
    match thread::scope(|scope| scope.spawn(run).join()) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error:#}"),
        Err(panic) => resume_unwind(panic),
    }
}

/// [`bench`] with a connection that conntrack knows and the programs do not yet, for
/// each of the [`STARTS`] of its sequence numbers.
pub fn bench_tracked(
    flow: impl Fn(u32) -> Flow + Sync,
    body: impl Fn(&mut Bench, &Flow) -> Result<()> + Sync,
) {
    bench(|bench| {
        for start in STARTS {
            let flow = flow(start);
            bench.clear()?;
            bench.shell("conntrack -F")?;
            bench.track(&flow)?;
            body(bench, &flow)?;
        }
        Ok(())
    });
}

/// [`bench`] with a session in the table, for each of the [`STARTS`] of its
/// sequence numbers.
pub fn bench_with(
    flow: impl Fn(u32) -> Flow + Sync,
    body: impl Fn(&mut Bench, &Flow) -> Result<()> + Sync,
) {
    bench(|bench| {
        for start in STARTS {
            let flow = flow(start);
            bench.open(&flow)?;
            println!("sequence numbers start at {start}");
            body(bench, &flow)?;
        }
        Ok(())
    });
}

impl Bench {
    fn new() -> Result<Self> {
        // What one run leaves for the next one is kept per processor.
        let mut here = CpuSet::new();
        here.set(sched_getcpu()?)?;
        sched_setaffinity(Pid::from_raw(0), &here)?;
        unshare(CloneFlags::CLONE_NEWNET).context("no network namespace of its own")?;
        let mut datapath = pool::take()?;
        let maps = &mut datapath.maps;
        maps.interfaces.insert(&IFINDEX, &interface())?;
        maps.control_ports.insert(
            &ControlPort {
                ifindex: IFINDEX,
                port: CONTROL_PORT,
                reserved: 0,
            },
            &1,
        )?;
        maps.control_summary
            .store(&PortSet::from_iter([CONTROL_PORT]))?;
        maps.reserved_ports.store(&PortSet::default())?;
        let mut bench = Self {
            datapath,
            counters: BTreeMap::new(),
        };
        bench.forget();
        bench.shell("ip link set lo up")?;
        Ok(bench)
    }

    /// Puts the flow's session in the table, and forgets everything else.
    pub fn open(&mut self, flow: &Flow) -> Result<()> {
        self.clear()?;
        self.set_session(flow, &flow.session())
    }

    /// Forgets all sessions, expectations and conntrack entries, and what was
    /// counted and reported.
    pub fn clear(&mut self) -> Result<()> {
        pool::wipe(&mut self.datapath)?;
        self.forget();
        Ok(())
    }

    /// Forgets what was counted and reported so far.
    pub fn forget(&mut self) {
        self.events();
        self.counters = self.read_counters().expect("counters can be read");
    }

    /// What was reported since this was last asked.
    pub fn events(&mut self) -> Vec<Event> {
        let ring = self.datapath.maps.events.as_mut();
        let ring = ring.expect("nobody else reads the events");
        std::iter::from_fn(|| ring.read()).collect()
    }

    /// Puts a session in the table.
    pub fn set_session(&mut self, flow: &Flow, session: &Session) -> Result<()> {
        self.datapath.maps.sessions.insert(&flow.key(), session)
    }

    /// The flow's session.
    pub fn session(&self, flow: &Flow) -> Result<Session> {
        let session = self.datapath.maps.sessions.get(&flow.key())?;
        session.context("the session is not in the table")
    }

    /// Changes the settings of the interface.
    pub fn configure(&mut self, change: impl FnOnce(&mut Interface)) -> Result<()> {
        let mut interface = interface();
        change(&mut interface);
        self.datapath.maps.interfaces.insert(&IFINDEX, &interface)
    }

    /// Ports that must not be used outside.
    pub fn reserve(&mut self, ports: impl IntoIterator<Item = u16>) -> Result<()> {
        self.datapath
            .maps
            .reserved_ports
            .store(&ports.into_iter().collect())
    }

    /// Makes a port a control port of the interface, or ends that.
    pub fn open_port(&mut self, port: u16, is_open: bool) -> Result<()> {
        let maps = &mut self.datapath.maps;
        let key = ControlPort {
            ifindex: IFINDEX,
            port,
            reserved: 0,
        };
        if is_open {
            maps.control_ports.insert(&key, &control_port::OPEN)?;
        } else {
            maps.control_ports.remove(&key)?;
        }
        control_ports::summarise(&maps.control_ports, &mut maps.control_summary, false)
    }

    /// Ports that nobody may announce.
    pub fn deny(&mut self, ports: impl IntoIterator<Item = u16>) -> Result<()> {
        self.datapath
            .maps
            .denied_ports
            .store(&ports.into_iter().collect())
    }

    /// Third parties that may take part in transfers, like `192.0.2.0/24`.
    pub fn allow_fxp(&mut self, networks: &[&str]) -> Result<()> {
        let networks: Result<Vec<_>> = networks.iter().map(|text| text.parse()).collect();
        self.datapath.maps.fxp_networks.store(&networks?)
    }

    /// The awaited data connection from the flow's peer to `outside`.
    pub fn expectation(&self, flow: &Flow, outside: SocketAddr) -> Result<Option<Expectation>> {
        self.datapath
            .maps
            .expectations
            .get(&expectation_key(flow, outside))
    }

    /// Every awaited data connection.
    pub fn expectations(&self) -> Result<Vec<(ExpectationKey, Expectation)>> {
        self.datapath.maps.expectations.entries()
    }

    /// Puts an awaited data connection in the table.
    pub fn expect(
        &mut self,
        flow: &Flow,
        outside: SocketAddr,
        expectation: &Expectation,
    ) -> Result<()> {
        let maps = &mut self.datapath.maps;
        maps.awaited_ports.add_with_neighbours(outside.port())?;
        maps.expectations
            .insert(&expectation_key(flow, outside), expectation)
    }

    /// Runs a program on a packet.
    pub fn run(&self, direction: Direction, packet: &[u8]) -> Result<Outcome> {
        self.run_often(direction, packet, 1)
    }

    /// Runs a program on a packet that was merged from segments of this size.
    pub fn run_merged(&self, direction: Direction, packet: &[u8], size: u32) -> Result<Outcome> {
        let context = Context {
            gso_size: size,
            ..context(direction)
        };
        self.datapath.test_run(direction, packet, &context, 1)
    }

    /// Runs a program so many times; each run gets the packet as the one before left
    /// it.
    pub fn run_often(&self, direction: Direction, packet: &[u8], repeat: u32) -> Result<Outcome> {
        self.datapath
            .test_run(direction, packet, &context(direction), repeat)
    }

    /// The segment goes on, and becomes `expected`.
    #[track_caller]
    pub fn becomes(&self, segment: &Segment, expected: &Segment) {
        self.judge(segment.direction, &segment.bytes(), NEXT, &expected.bytes());
    }

    /// The segment goes on as it is.
    #[track_caller]
    pub fn unchanged(&self, segment: &Segment) {
        self.becomes(segment, segment);
    }

    /// The packet goes on as it is.
    #[track_caller]
    pub fn packet_unchanged(&self, direction: Direction, packet: &[u8]) {
        self.packet_becomes(direction, packet, packet);
    }

    /// The packet goes on, and becomes `expected`.
    #[track_caller]
    pub fn packet_becomes(&self, direction: Direction, packet: &[u8], expected: &[u8]) {
        self.judge(direction, packet, NEXT, expected);
    }

    /// The segment goes no further.
    #[track_caller]
    pub fn dropped(&self, segment: &Segment) {
        self.packet_dropped(segment.direction, &segment.bytes());
    }

    /// The packet goes no further.
    #[track_caller]
    pub fn packet_dropped(&self, direction: Direction, packet: &[u8]) {
        let outcome = self.must_run(direction, packet);
        assert!(
            outcome.verdict == DROP,
            "the verdict is {}, not to drop this packet:\n{}",
            word(outcome.verdict),
            describe(packet).join("\n")
        );
    }

    /// The segment goes no further; `answer` goes back to its sender.
    #[track_caller]
    pub fn answered(&self, segment: &Segment, answer: &Segment) {
        self.judge(
            segment.direction,
            &segment.bytes(),
            REDIRECT,
            &answer.bytes(),
        );
    }

    #[track_caller]
    fn judge(&self, direction: Direction, packet: &[u8], verdict: u32, expected: &[u8]) {
        let outcome = self.must_run(direction, packet);
        let same = outcome.verdict == verdict && outcome.packet == expected;
        assert!(
            same,
            "the verdict is {} and should be {}\n-- the packet was\n{}\n-- what became of it \
             (+: seen, -: expected)\n{}",
            word(outcome.verdict),
            word(verdict),
            describe(packet).join("\n"),
            difference(expected, &outcome.packet)
        );
    }

    #[track_caller]
    fn must_run(&self, direction: Direction, packet: &[u8]) -> Outcome {
        match self.run(direction, packet) {
            Ok(outcome) => outcome,
            Err(error) => panic!("{error:#}:\n{}", describe(packet).join("\n")),
        }
    }

    /// Since this was last asked, exactly these things were counted.
    #[track_caller]
    pub fn counted(&mut self, expected: &[(Reason, u64)]) {
        let difference = self.counts().expect("counters can be read");
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|(reason, count)| (reason.word(), *count))
            .collect();
        self.counters = self.read_counters().expect("counters can be read");
        assert_eq!(difference, expected, "what was counted, and what should be");
    }

    /// What was counted since everything was forgotten, without what was not.
    pub fn counts(&self) -> Result<BTreeMap<&'static str, u64>> {
        let now = self.read_counters()?;
        let grown = now
            .into_iter()
            .map(|(word, count)| (word, count - self.counters.get(word).unwrap_or(&0)));
        Ok(grown.filter(|(_, count)| *count > 0).collect())
    }

    /// How often this was counted since everything was forgotten.
    pub fn count(&self, reason: Reason) -> Result<u64> {
        let before = self.counters.get(reason.word()).unwrap_or(&0);
        Ok(self.datapath.maps.counters.get(reason)? - before)
    }

    fn read_counters(&self) -> Result<BTreeMap<&'static str, u64>> {
        let counters = &self.datapath.maps.counters;
        Reason::ALL
            .iter()
            .map(|reason| Ok((reason.word(), counters.get(*reason)?)))
            .collect()
    }

    /// Runs a command line in the namespace; an error when it fails.
    pub fn shell(&self, line: &str) -> Result<String> {
        let output = Command::new("sh")
            .args(["-c", line])
            .output()
            .with_context(|| format!("can not run `{line}`"))?;
        ensure!(
            output.status.success(),
            "`{line}` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// What is known of a packet that takes this way.
fn context(direction: Direction) -> Context {
    Context {
        ifindex: IFINDEX,
        ingress_ifindex: match direction {
            Direction::Ingress => IFINDEX,
            Direction::Egress => 0,
        },
        ..Context::default()
    }
}

/// The settings of the interface, if a test wants no others.
fn interface() -> Interface {
    Interface {
        advertise: Address::UNSPECIFIED,
        first_port: 1024,
        last_port: u16::MAX,
        link_header: 14,
        expectation_timeout: 60,
        ..Interface::default()
    }
}

fn expectation_key(flow: &Flow, outside: SocketAddr) -> ExpectationKey {
    ExpectationKey {
        source: endpoint(flow.peer).address,
        destination: endpoint(outside),
    }
}

fn word(verdict: u32) -> String {
    match verdict {
        NEXT => "next".to_owned(),
        DROP => "drop".to_owned(),
        REDIRECT => "redirect".to_owned(),
        other => other.to_string(),
    }
}
