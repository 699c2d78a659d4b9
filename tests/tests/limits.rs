//! Limits that protect the gateway from many control connections.

use std::time::Duration;

use anyhow::Result;
use ftp_helper_tests::{
    duet::{Duet, Manner},
    lab::Lab,
    scenario::agent_scenario,
    setup::Setup,
    wait::wait_for,
};

/// The least that may be asked for.
const LIMIT: usize = 16;

/// An announcement of this port as it is said, and as it has to be heard.
fn lines(lab: &Lab, port: usize) -> [String; 2] {
    let addresses = &lab.setup.addresses;
    [addresses.client, addresses.wan].map(|address| {
        let octets = address.to_string().replace('.', ",");
        format!("PORT {octets},195,{port}\r\n")
    })
}

fn is_helped(lab: &Lab, duet: &mut Duet, port: usize) -> Result<bool> {
    let [said, heard] = lines(lab, port);
    duet.client.write(&said)?;
    let line = duet.server.line()?;
    assert!(line == said || line == heard, "{line:?}");
    Ok(line == heard)
}

#[test]
fn connections_beyond_the_limit_go_on_without_help() {
    agent_scenario(Setup::default(), |lab, agent| {
        let limit = LIMIT.to_string();
        let _running = agent.start_with(&["run", "-i", "wan0", "--session-limit", &limit])?;
        let mut sessions = Vec::new();
        for _ in 0..LIMIT {
            sessions.push(Duet::login(lab, Manner::default())?);
        }
        let mut beyond = Duet::login(lab, Manner::default())?;
        assert!(!is_helped(lab, &mut beyond, 100)?);
        assert!(agent.count("session_table_full")? > 0);
        for (number, duet) in sessions.iter_mut().enumerate() {
            assert!(is_helped(lab, duet, 100 + number)?);
        }
        Ok(())
    });
}

/// Short ones that come fast keep nobody else from help, although a closed one is kept for
/// segments that are repeated.
#[test]
fn closed_connections_make_room() {
    agent_scenario(Setup::default(), |lab, agent| {
        let limit = LIMIT.to_string();
        let _running = agent.start_with(&["run", "-i", "wan0", "--session-limit", &limit])?;
        for _ in 0..LIMIT {
            Duet::login(lab, Manner::default())?.end()?;
        }
        assert_eq!(agent.count("session_opened")?, LIMIT as u64);
        // Closed ones that fill only half of it would be kept for ten seconds.
        wait_for("room for another one", Duration::from_secs(6), || {
            let mut duet = Duet::login(lab, Manner::default())?;
            let is_helped = is_helped(lab, &mut duet, 100)?;
            duet.end()?;
            Ok(is_helped.then_some(()))
        })
    });
}

/// Moving what is in the tables is tried in `lifecycle_restart.rs`.
#[test]
fn another_limit_counts_from_the_next_start_on() {
    agent_scenario(Setup::default(), |lab, agent| {
        drop(agent.start_with(&["run", "-i", "wan0", "--session-limit", "100"])?);
        let limit = LIMIT.to_string();
        drop(agent.start_with(&["run", "-i", "wan0", "--session-limit", &limit])?);
        let mut sessions = Vec::new();
        for _ in 0..LIMIT {
            sessions.push(Duet::login(lab, Manner::default())?);
        }
        let mut beyond = Duet::login(lab, Manner::default())?;
        assert!(!is_helped(lab, &mut beyond, 100)?);
        let more = (LIMIT + 1).to_string();
        drop(agent.start_with(&["run", "-i", "wan0", "--session-limit", &more])?);
        let mut another = Duet::login(lab, Manner::default())?;
        assert!(is_helped(lab, &mut another, 101)?);
        Ok(())
    });
}
