//! Control ports come and go while everything runs.

use anyhow::Result;
use ftp_helper_tests::{
    agent::Agent,
    check::exchange,
    client::{ClientKind, Mode},
    lab::Lab,
    scenario::agent_scenario,
    server::{Server, ServerKind},
    setup::{ControlPort, Setup},
    transfers::Transfers,
};

const PORT: &str = "2121";

fn is_helped(lab: &Lab, server: &Server) -> Result<bool> {
    let mut transfers = Transfers::new();
    transfers.download(lab, server, 10_000)?;
    Ok(exchange(lab, server, ClientKind::Curl, Mode::Active, &transfers).is_ok())
}

fn listed(agent: &Agent) -> Result<Vec<u64>> {
    let list = agent.json(&["port", "list"])?;
    let ports = list.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(ports
        .iter()
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
