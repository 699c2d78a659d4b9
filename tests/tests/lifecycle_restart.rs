//! Whatever ends an agent, and whatever starts in its place: what is under way
//! goes on.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    agent::{Agent, RunningAgent},
    client::Mode,
    duet::{Duet, Manner},
    firewall::Counts,
    lab::{FILES, Lab},
    ongoing::{Large, Ongoing},
    scenario::agent_scenario,
    server::{DOWNLOADS, Server, ServerKind},
    setup::{ControlPort, Setup},
    wait::wait_for,
};
use nix::sys::signal::Signal;

const SIZE: u64 = 200_000_000;

const LIMIT: Duration = Duration::from_secs(10);

/// Of the control connections that are spoken by hand, beside a real server's.
const BY_HAND: u16 = 2121;

/// What becomes of the agent while everything is under way.
type Change = fn(&Lab, &Agent, RunningAgent) -> Result<RunningAgent>;

const START: [&str; 9] = [
    "--log-level",
    "debug",
    "run",
    "-i",
    "wan0",
    "--control-port",
    "21",
    "--control-port",
    "2121",
];

fn arguments(more: &[&'static str]) -> Vec<&'static str> {
    [&START[..], more].concat()
}

/// What is announced, as it is said and as it has to be heard.
struct Announced {
    said: String,
    heard: String,
    listener: TcpListener,
    at: SocketAddr,
}

impl Announced {
    fn new(lab: &Lab, duet: &Duet) -> Result<Self> {
        let listener = duet.client.listen()?;
        let port = listener.local_addr()?.port();
        let line = |address: IpAddr| {
            let octets = address.to_string().replace('.', ",");
            format!("PORT {octets},{},{}\r\n", port / 256, port % 256)
        };
        let addresses = &lab.setup.addresses;
        let (said, heard) = (line(addresses.client), line(addresses.wan));
        // The sequence numbers of everything behind it have to be translated.
        ensure!(said.len() != heard.len(), "{said:?} {heard:?}");
        Ok(Self {
            said,
            heard,
            listener,
            at: SocketAddr::new(addresses.wan, port),
        })
    }

    /// Says it and gets the answer.
    fn say(&self, duet: &mut Duet) -> Result<()> {
        duet.client.write(&self.said)?;
        duet.server.expect(&self.heard)?;
        duet.server_says("200 yes\r\n")
    }
}

/// A conversation by hand, as far as it goes before the change and after it.
struct Conversation {
    duet: Duet,
    announced: Announced,
}

impl Conversation {
    fn open(lab: &Lab) -> Result<Self> {
        let duet = Duet::login(lab, Manner::default())?;
        let announced = Announced::new(lab, &duet)?;
        Ok(Self { duet, announced })
    }

    /// The data connection comes, and the control connection goes on with what
    /// has no length of its own, and with another announcement.
    fn go_on(&mut self, lab: &Lab) -> Result<()> {
        let Self { duet, announced } = self;
        duet.active_data(announced.at, &announced.listener)
            .context("the awaited data connection")?;
        duet.client_says("NOOP\r\n")?;
        duet.server_says("200 still here\r\n")?;
        let second = Announced::new(lab, duet)?;
        second.say(duet)?;
        duet.active_data(second.at, &second.listener)
            .context("a data connection that was announced later")
    }
}

fn survives(more: &'static [&'static str], change: Change) {
    agent_scenario(Setup::default(), |lab, agent| {
        let running = agent.start_with(&arguments(more))?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let remote = format!("{DOWNLOADS}/large");
        let file = Large::make(&lab.server, &server.file(&remote), SIZE)?;

        let setup = Setup {
            control_port: ControlPort {
                served: BY_HAND,
                dialled: BY_HAND,
            },
            ..lab.setup
        };
        let by_hand = lab.with_server(setup, &lab.server);
        let mut awaited = Conversation::open(&by_hand)?;
        awaited.announced.say(&mut awaited.duet)?;
        let mut held = Conversation::open(&by_hand)?;
        // One announcement that is over, so that the held line's numbers are
        // translated already, and a half one.
        let first = Announced::new(&by_hand, &held.duet)?;
        first.say(&mut held.duet)?;
        held.duet.active_data(first.at, &first.listener)?;
        let middle = held.announced.said.len() - 5;
        held.duet.client.write(&held.announced.said[..middle])?;
        wait_for("a held line", LIMIT, || {
            Ok((agent.count("line_held")? > 0).then_some(()))
        })?;

        let transfers = [Mode::Active, Mode::Passive]
            .map(|mode| Ongoing::start(&lab.client, server.endpoint(), mode, &remote));
        let [active, passive] = transfers;
        let transfers = [active?, passive?];
        let before = transfers.each_ref().map(Ongoing::arrived);

        let running = change(lab, agent, running)?;

        for (transfer, before) in transfers.iter().zip(before) {
            let now = transfer.arrived();
            ensure!(
                before > 0 && before < now && now < file.size,
                "the change is not inside of the transfer: {before} {now}"
            );
        }
        // Both while packets flow: the rest of the line, and what is awaited.
        held.duet.client.write(&held.announced.said[middle..])?;
        held.duet.server.expect(&held.announced.heard)?;
        held.duet.server_says("200 yes\r\n")?;
        held.go_on(&by_hand)?;
        awaited.go_on(&by_hand)?;
        for transfer in transfers {
            transfer.finish(&file)?;
        }
        ensure!(
            running.log()?.contains("replaced=true"),
            "no program took the place of another one"
        );
        let counts = Counts::of(lab)?;
        ensure!(counts == Counts::NONE, "the firewall met {counts:?}");
        Ok(())
    });
}

#[test]
fn a_killed_agent_and_the_next_one() {
    survives(&[], |_, agent, mut running| {
        running.stop(Signal::SIGKILL)?;
        agent.start_with(&arguments(&[]))
    });
}

#[test]
fn an_orderly_restart() {
    survives(&[], |_, agent, mut running| {
        running.stop(Signal::SIGTERM)?;
        agent.start_with(&arguments(&[]))
    });
}

/// Another binary, with other settings.
#[test]
fn an_upgrade() {
    survives(&[], |lab, agent, mut running| {
        let new = Path::new(FILES).join("new-ftp-helper");
        // By a process of its own: a program that another test starts has a copy of our
        // descriptors until it runs, and what is open for writing can not be run.
        lab.gateway
            .run("cp", [agent.program(), new.as_path()])?
            .success("cp")?;
        let new = Agent::new(lab, &new);
        running.stop(Signal::SIGTERM)?;
        new.start_with(&arguments(&[
            "--deny-ports",
            "3389",
            "--client-limit",
            "50",
        ]))
    });
}

/// The next one has larger tables, which have to hold what is in the old ones.
#[test]
fn larger_tables() {
    survives(&["--session-limit", "50"], |_, agent, mut running| {
        running.stop(Signal::SIGTERM)?;
        let running = agent.start_with(&arguments(&["--session-limit", "20000"]))?;
        let log = running.log()?;
        ensure!(
            log.contains("there is room for 20000 sessions now"),
            "{log}"
        );
        Ok(running)
    });
}

/// And smaller ones, the other way round.
#[test]
fn smaller_tables_after_a_kill() {
    survives(&["--session-limit", "20000"], |_, agent, mut running| {
        running.stop(Signal::SIGKILL)?;
        let running = agent.start_with(&arguments(&["--session-limit", "50"]))?;
        let log = running.log()?;
        ensure!(log.contains("there is room for 50 sessions now"), "{log}");
        Ok(running)
    });
}
