//! The configuration file, at the start and while everything runs.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use ftp_helper_tests::{
    agent::Agent,
    check::is_helped,
    duet::{Duet, Manner},
    lab::Lab,
    scenario::agent_scenario,
    server::{Server, ServerKind},
    setup::{ControlPort, Setup},
};

fn interfaces(agent: &Agent) -> Result<Vec<String>> {
    let ports = agent.json(&["port", "list"])?;
    let rows = ports.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(rows
        .iter()
        .filter_map(|row| Some(row["interface"].as_str()?.to_owned()))
        .collect())
}

/// A directory of the test's own; gone with the lab.
fn file(lab: &Lab, text: &str) -> Result<String> {
    let path = lab.logs().join("ftp-helper.toml");
    fs::write(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}

#[test]
fn settings_change_while_everything_runs() {
    let setup = Setup {
        control_port: ControlPort {
            served: 2121,
            dialled: 2121,
        },
        ..Setup::default()
    };
    agent_scenario(setup, |lab, agent| {
        let path = file(lab, "interface = 'wan0'\n")?;
        let running = agent.start_with(&["run", "--config", &path])?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        assert!(!is_helped(lab, &server)?);

        file(
            lab,
            "interface = ['wan0', 'lan0']\ncontrol-port = ['wan0=2121', 'lan0=990']\n",
        )?;
        running.reload("helping FTP on wan0, lan0")?;
        assert!(is_helped(lab, &server)?);
        assert_eq!(interfaces(agent)?, ["lan0", "wan0"]);

        // What is not right changes nothing, and says where it is wrong.
        file(lab, "interface = 'wan0'\n\ncontrol-prot = 21\n")?;
        let log = running.reload("the settings stay as they are")?;
        assert!(log.contains("line 3"), "{log}");
        assert!(log.contains("did you mean `control-port`?"), "{log}");
        file(lab, "interface = ['wan0', '!wan*']\ncontrol-port = 21\n")?;
        let log = running.reload("the settings stay as they are")?;
        assert!(log.contains("leaves it out"), "{log}");
        fs::remove_file(Path::new(&path))?;
        running.reload("can not read the configuration")?;
        assert!(is_helped(lab, &server)?);
        assert_eq!(interfaces(agent)?, ["lan0", "wan0"]);

        // An interface that is not wanted any more is left alone.
        file(lab, "interface = 'wan0'\ncontrol-port = 2121\n")?;
        running.reload("detached from egress of interface lan0")?;
        running.reload("helping FTP on wan0")?;
        assert_eq!(interfaces(agent)?, ["wan0"]);
        assert!(is_helped(lab, &server)?);

        // One that is not there is waited for.
        file(lab, "interface = ['wan0', 'later0']\ncontrol-port = 2121\n")?;
        let log = running.reload("helping FTP on wan0; waiting for later0")?;
        assert!(log.contains("settings read again"), "{log}");
        running.reload("there is no interface later0 now")?;
        assert!(is_helped(lab, &server)?);
        Ok(())
    });
}

/// The connection that is there meets the new settings too, and keeps its own
/// numbers.
#[test]
fn connections_live_through_it() {
    agent_scenario(Setup::default(), |lab, agent| {
        let path = file(lab, "interface = 'wan0'\n")?;
        let running = agent.start_with(&["run", "--config", &path])?;
        let mut duet = Duet::login(lab, Manner::default())?;
        let addresses = &lab.setup.addresses;
        let line =
            |address: String, port: &str| format!("PORT {},{port}\r\n", address.replace('.', ","));
        let (said, heard) = (addresses.client.to_string(), addresses.wan.to_string());
        assert_ne!(said.len(), heard.len());
        duet.client.write(&line(said.clone(), "195,80"))?;
        duet.server.expect(&line(heard, "195,80"))?;
        duet.server_says("200 yes\r\n")?;

        file(lab, "interface = 'wan0'\ndeny-ports = '50000-50100'\n")?;
        running.reload("helping FTP on wan0")?;
        // 195 * 256 + 81 is on the list now: the line goes on as it is.
        duet.client_says(&line(said, "195,81"))?;
        duet.server_says("500 no\r\n")?;
        assert_eq!(agent.count("denied_port")?, 1);
        Ok(())
    });
}

/// What was said while its interface was not selected has arrived, and does not come again.
#[test]
fn a_connection_that_went_on_without_the_programs() {
    agent_scenario(Setup::default(), |lab, agent| {
        lab.gateway.must("ip link add dmz0 type bridge")?;
        let path = file(lab, "interface = 'wan0'\n")?;
        let running = agent.start_with(&["run", "--config", &path])?;
        let mut duet = Duet::login(lab, Manner::default())?;
        file(lab, "interface = 'dmz0'\n")?;
        running.reload("helping FTP on dmz0")?;
        for _ in 0..2 {
            duet.client_says("NOOP\r\n")?;
            duet.server_says("200 yes\r\n")?;
        }
        file(lab, "interface = 'wan0'\n")?;
        running.reload("helping FTP on wan0")?;
        duet.client_says("NOOP\r\n")?;
        duet.server_says("200 yes\r\n")?;
        // What is awaited, and where lines start, is known to its ends only.
        let client = lab.setup.addresses.client.to_string().replace('.', ",");
        duet.client_says(&format!("PORT {client},195,80\r\n"))?;
        duet.server_says("500 no\r\n")?;
        let unseen = agent.count("unseen")?;
        ensure!(unseen == 1, "counted {unseen} times");
        Ok(())
    });
}

#[test]
fn a_file_is_checked_without_a_start() {
    agent_scenario(Setup::default(), |lab, agent| {
        let path = file(lab, "interface = 'wan0'\nadvertise = 'wan0=192.0.2.1'\n")?;
        let said = agent.table(&["config", "check", &path])?;
        assert!(said.contains("is fine") && said.contains("wan0"), "{said}");
        for (text, problem) in [
            ("interface = 'wan0'\nport-range = '1-2'\n", "line 2"),
            ("interface = 'wan0'\nadvertise = 'wan1=192.0.2.1'\n", "wan1"),
            ("strict = true\n", "no outside interface"),
        ] {
            file(lab, text)?;
            let output = agent.cli(&["config", "check", &path])?;
            assert_eq!(output.status.code(), Some(2));
            assert!(output.stderr.contains(problem), "{}", output.stderr);
            assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        }
        Ok(())
    });
}
