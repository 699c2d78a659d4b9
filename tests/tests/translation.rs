//! More that a gateway does to connections.

use anyhow::Result;
use ftp_helper_tests::{
    check::exchange,
    client::{ClientKind, Mode},
    control::Control,
    lab::Lab,
    payload,
    scenario::{helped_scenario, scenario},
    server::{DOWNLOADS, Server, ServerKind},
    setup::{Helper, Setup},
    transfers::Transfers,
};

/// Masquerade changes the control connection's port too, so what is seen
/// outside does not tell the inside endpoint.
#[test]
fn the_control_connections_port_is_translated_too() {
    let setup = Setup {
        ports: Some((50_000, 50_100)),
        ..Setup::default()
    };
    helped_scenario(setup, |lab, agent, _| {
        let addresses = lab.setup.addresses;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        for client in ClientKind::ALL {
            let mut transfers = Transfers::new();
            transfers.download(lab, &server, 100_000)?;
            transfers.upload(lab, &server, 100_000)?;
            exchange(lab, &server, client, Mode::Active, &transfers)?;
        }

        let control = Control::login(&lab.client, server.endpoint())?;
        let local = control.local()?.to_string();
        let list = agent.json(&["session", "list"])?;
        let sessions = list.as_array().cloned().unwrap_or_default();
        let session = sessions
            .iter()
            .find(|session| session["inside"] == local)
            .unwrap_or_else(|| panic!("no session of {local} in {list:#}"));
        let outside = session["outside"].as_str().unwrap_or_default();
        let port = outside.strip_prefix(&format!("{}:", addresses.wan));
        let port: u16 = port.unwrap_or_else(|| panic!("{session:#}")).parse()?;
        assert!((50_000..=50_100).contains(&port), "{session:#}");
        Ok(())
    });
}

/// Eight clients that have all announced before the first one transfers.
#[test]
fn sessions_do_not_mix() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut sessions = Vec::new();
        for number in 0..8 {
            let remote = format!("{DOWNLOADS}/file-{number}");
            let digest = payload::write(&server.file(&remote), 50_000, number)?;
            let mut control = Control::login(&lab.client, server.endpoint())?;
            let listener = control.listen()?;
            control
                .command(&listener.announcement.to_string())?
                .expect_code(200)?;
            sessions.push((control, listener, remote, digest));
        }
        let list = agent.json(&["expect", "list"])?;
        assert_eq!(list.as_array().map(Vec::len), Some(8), "{list:#}");
        for (control, listener, remote, digest) in sessions.iter_mut().rev() {
            let data = control.ask(listener, remote)?;
            let bytes = control.receive(data)?;
            assert_eq!(payload::digest_of(&bytes), *digest);
        }
        assert_eq!(agent.count("expectation_matched")?, 8);
        Ok(())
    });
}

/// Clients do use a port again soon. The earlier connection between the same
/// two endpoints is still in conntrack then, in TIME_WAIT for two minutes.
#[test]
fn a_port_may_be_announced_again() {
    helped_scenario(Setup::default(), |lab, _, _| {
        three_transfers_to_one_port(lab)
    });
}

#[test]
fn a_port_may_be_announced_again_to_the_kernels_helper() {
    let setup = Setup {
        helper: Helper::Kernel,
        ..Setup::default()
    };
    scenario(setup, three_transfers_to_one_port);
}

fn three_transfers_to_one_port(lab: &Lab) -> Result<()> {
    // Connects from port 20 each time.
    let server = Server::start(lab, ServerKind::Vsftpd)?;
    let remote = format!("{DOWNLOADS}/file");
    let digest = payload::write(&server.file(&remote), 50_000, 1)?;
    let mut control = Control::login(&lab.client, server.endpoint())?;
    for _ in 0..3 {
        let listener = control.listen_on(45_678)?;
        let data = control.begin(&listener, &remote)?;
        let bytes = control.receive(data)?;
        assert_eq!(payload::digest_of(&bytes), digest);
    }
    Ok(())
}
