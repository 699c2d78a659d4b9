//! Control ports come and go while everything runs.

use anyhow::Result;
use ftp_helper_tests::{
    agent::Agent,
    check::is_helped,
    duet::{Duet, Manner},
    scenario::agent_scenario,
    server::{Server, ServerKind},
    setup::{ControlPort, Family, Setup},
};
use nix::sys::signal::Signal;

const PORT: &str = "2121";

fn listed(agent: &Agent) -> Result<Vec<u64>> {
    let list = agent.json(&["port", "list"])?;
    let ports = list.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(ports
        .iter()
        .filter(|row| row["state"] == "open")
        .filter_map(|row| row["port"].as_u64())
        .collect())
}

#[test]
fn added_and_removed_without_a_restart() {
    let setup = Setup {
        control_port: ControlPort {
            served: 2121,
            dialled: 2121,
        },
        ..Setup::default()
    };
    agent_scenario(setup, |lab, agent| {
        let _running = agent.start_with(&["run", "-i", "wan0"])?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        assert_eq!(listed(agent)?, [21]);
        assert!(!is_helped(lab, &server)?);

        agent.cli(&["port", "add", PORT])?.success("port add")?;
        assert_eq!(listed(agent)?, [21, 2121]);
        assert!(is_helped(lab, &server)?);

        agent
            .cli(&["port", "del", "-i", "wan0", PORT])?
            .success("port del")?;
        assert_eq!(listed(agent)?, [21]);
        assert!(!is_helped(lab, &server)?);
        assert!(!agent.cli(&["port", "del", PORT])?.status.success());
        Ok(())
    });
}

/// What was rewritten before has shifted the numbers of the whole connection.
#[test]
fn a_connection_outlives_its_control_port() {
    agent_scenario(Setup::default(), |lab, agent| {
        let mut running = agent.start()?;
        let mut duet = Duet::login(lab, Manner::default())?;
        let said = announcement(&lab.setup, &lab.setup.addresses.client.to_string());
        let heard = announcement(&lab.setup, &lab.setup.addresses.wan.to_string());
        assert_ne!(said.len(), heard.len());
        duet.client.write(&said)?;
        duet.server.expect(&heard)?;
        duet.server_says("200 yes\r\n")?;

        agent.cli(&["port", "del", "21"])?.success("port del")?;
        assert!(listed(agent)?.is_empty());
        duet.client_says("NOOP\r\n")?;
        duet.server_says("200 still here\r\n")?;
        // A restart forgets no connection either, nor one without the port.
        running.stop(Signal::SIGTERM)?;
        let _running = agent.start_with(&["run", "-i", "wan0", "--control-port", PORT])?;
        duet.client_says("NOOP\r\n")?;
        duet.server_says("200 still here\r\n")?;
        // New connections are not taken on.
        let mut other = Duet::login(lab, Manner::default())?;
        other.client_says(&said)?;
        Ok(())
    });
}

fn announcement(setup: &Setup, address: &str) -> String {
    assert_eq!(setup.family(), Family::V4);
    format!("PORT {},195,80\r\n", address.replace('.', ","))
}
