//! Expectations that are made and removed by hand.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Result, ensure};
use ftp_helper_tests::{
    agent::Agent,
    lab::Lab,
    scenario::{agent_scenario, helped_scenario},
    setup::Setup,
    wait::{patient, wait_for},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(10);

/// Long enough for a SYN and its answer between namespaces.
const SHORT: Duration = Duration::from_millis(500);

const MESSAGE: &[u8] = b"a listing of files\r\n";

/// A listener inside, and what is awaited outside for it.
struct Awaited {
    listener: TcpListener,
    outside: SocketAddr,
    inside: SocketAddr,
    peer: String,
}

impl Awaited {
    fn new(lab: &Lab, outside: u16) -> Result<Self> {
        let addresses = lab.setup.addresses;
        let listener = lab
            .client
            .enter(|| Ok(TcpListener::bind((addresses.client, 0))?))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            outside: SocketAddr::new(addresses.wan, outside),
            inside: listener.local_addr()?,
            listener,
            peer: addresses.server.to_string(),
        })
    }

    fn add(&self, agent: &Agent, more: &[&str]) -> Result<Value> {
        let (outside, inside) = (self.outside.to_string(), self.inside.to_string());
        let words = [
            "expect", "add", "--src", &self.peer, "--dst", &outside, "--to", &inside,
        ];
        agent.json(&[&words, more].concat())
    }

    /// What arrives inside when the server connects to the outside endpoint.
    fn arrives(&self, lab: &Lab) -> Result<Option<Vec<u8>>> {
        let connected = lab
            .server
            .enter(|| Ok(TcpStream::connect_timeout(&self.outside, patient(SHORT))))?;
        let Ok(mut sender) = connected else {
            ensure!(self.is_untouched()?, "something arrived inside");
            return Ok(None);
        };
        sender.write_all(MESSAGE)?;
        drop(sender);
        let mut stream = wait_for("the connection inside", LIMIT, || {
            match self.listener.accept() {
                Ok((stream, _)) => Ok(Some(stream)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error.into()),
            }
        })?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(patient(LIMIT)))?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn is_untouched(&self) -> Result<bool> {
        match self.listener.accept() {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

#[test]
fn one_that_is_made_by_hand_admits_one_connection_with_and_without_an_agent() {
    helped_scenario(Setup::default(), |lab, agent, running| {
        for agent_is_alive in [true, false] {
            if !agent_is_alive {
                running.stop(Signal::SIGKILL)?;
            }
            let awaited = Awaited::new(lab, 25000)?;
            assert_eq!(awaited.arrives(lab)?, None);
            let made = awaited.add(agent, &["--mode", "eprt"])?;
            assert_eq!(made["static"], true);
            assert_eq!(made["state"], "waiting");
            assert_eq!(made["mode"], "EPRT");
            assert_eq!(made["inside"], awaited.inside.to_string());
            assert_eq!(agent.json(&["expect", "list"])?[0]["master"], Value::Null);

            assert_eq!(awaited.arrives(lab)?.as_deref(), Some(MESSAGE));
            assert_eq!(agent.json(&["expect", "list"])?, json!([]));
            // Once, and no more.
            assert_eq!(awaited.arrives(lab)?, None);
        }
        assert_eq!(agent.count("expectation_created")?, 2);
        assert_eq!(agent.count("expectation_matched")?, 2);
        Ok(())
    });
}

#[test]
fn what_is_deleted_or_flushed_admits_nothing() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let awaited = Awaited::new(lab, 25000)?;
        let outside = awaited.outside.to_string();
        awaited.add(agent, &[])?;
        agent.table(&["expect", "delete", &outside])?;
        assert_eq!(awaited.arrives(lab)?, None);
        assert_eq!(agent.count("expectation_torn_down")?, 1);
        let again = agent.cli(&["expect", "delete", &outside])?;
        assert_eq!(again.status.code(), Some(3), "{again:?}");
        assert!(again.stderr.contains(&outside), "{again:?}");

        // Only what the filters say is flushed.
        let other = Awaited::new(lab, 25001)?;
        awaited.add(agent, &[])?;
        other.add(agent, &[])?;
        let said = agent.table(&["expect", "flush", "--port", "25000"])?;
        assert_eq!(said, "1 expectation removed\n");
        assert_eq!(awaited.arrives(lab)?, None);
        assert_eq!(other.arrives(lab)?.as_deref(), Some(MESSAGE));
        assert_eq!(agent.count("expectation_torn_down")?, 2);

        awaited.add(agent, &[])?;
        other.add(agent, &[])?;
        assert_eq!(
            agent.table(&["expect", "flush"])?,
            "2 expectations removed\n"
        );
        assert_eq!(agent.table(&["expect", "list", "--count"])?, "0\n");
        Ok(())
    });
}

#[test]
fn it_is_held_to_the_rules_of_announcements() {
    agent_scenario(Setup::default(), |lab, agent| {
        let _running = agent.start_with(&["run", "-i", "wan0", "--deny-ports", "3389"])?;
        let _server = lab
            .gateway
            .enter(|| Ok(TcpListener::bind("0.0.0.0:25002")?))?;
        lab.gateway
            .must("sysctl -qw net.ipv4.ip_local_reserved_ports=")?;
        let addresses = lab.setup.addresses;
        let (peer, wan) = (addresses.server.to_string(), addresses.wan);
        let add = |outside: u16, inside: &str, more: &[&str]| {
            let outside = format!("{wan}:{outside}");
            let words = [
                "expect", "add", "--src", &peer, "--dst", &outside, "--to", inside,
            ];
            agent.cli(&[&words, more].concat())
        };
        let good = format!("{}:25000", addresses.client);
        for (outside, inside, more, code, reason) in [
            (1023, good.as_str(), &[][..], 1, "low_port"),
            (25000, "10.0.0.2:80", &[], 1, "low_port"),
            (25000, "10.0.0.2:3389", &[], 1, "denied_port"),
            (25000, "[2001:db8::2]:25000", &[], 1, "wrong_family"),
            (25002, good.as_str(), &[], 1, "listens on"),
            (25000, good.as_str(), &["--outgoing"], 1, "--inside"),
            (25000, good.as_str(), &["-i", "lan0"], 3, "not helped"),
            (25000, good.as_str(), &["--timeout", "0"], 2, "--timeout"),
        ] {
            let output = add(outside, inside, more)?;
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            assert!(output.stderr.contains(reason), "{reason}: {output:?}");
        }
        assert_eq!(agent.table(&["expect", "list", "--count"])?, "0\n");
        let soon = patient(Duration::from_secs(5)).as_secs().to_string();
        add(25000, &good, &["--timeout", &soon])?.success("add")?;
        let collision = add(25000, &good, &[])?;
        assert_eq!(collision.status.code(), Some(1), "{collision:?}");
        let delete = format!("ftp-helper expect delete {wan}:25000 {peer}");
        assert!(collision.stderr.contains(&delete), "{collision:?}");
        // One whose time is over is in nobody's way.
        wait_for("the end of the first one", LIMIT, || {
            Ok((agent.table(&["expect", "list", "--count"])? == "0\n").then_some(()))
        })?;
        add(25000, &good, &[])?.success("add")?;
        assert_eq!(agent.count("expectation_created")?, 2);
        assert_eq!(agent.count("expectation_expired")?, 1);
        Ok(())
    });
}
