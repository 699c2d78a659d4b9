//! More that a gateway does to connections.

use anyhow::{Result, bail, ensure};
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

/// The port that clients announce.
const PORT: u16 = 45_678;

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

/// Two inside hosts announce one port to a server that connects from port 20: between the
/// same endpoints there is only one connection, so the second host needs another port.
#[test]
fn a_port_of_another_hosts_transfer() {
    helped_scenario(Setup::default(), |lab, _, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        transfers_of_two_hosts_to_one_port(lab, &server)?;
        let announced = server.announcements()?;
        let ports: Vec<_> = announced
            .iter()
            .filter_map(|it| Some(it.endpoint()?.port()))
            .collect();
        // While the first one's transfer runs, and behind it.
        ensure!(
            matches!(ports[..], [PORT, during, behind] if during != PORT && behind != PORT),
            "{ports:?}"
        );
        Ok(())
    });
}

#[test]
fn a_port_of_another_hosts_transfer_with_the_kernels_helper() {
    let setup = Setup {
        helper: Helper::Kernel,
        ..Setup::default()
    };
    scenario(setup, |lab| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let Err(error) = transfers_of_two_hosts_to_one_port(lab, &server) else {
            bail!("the kernel's helper can do it too");
        };
        ensure!(format!("{error:#}").contains("425"), "{error:#}");
        Ok(())
    });
}

fn transfers_of_two_hosts_to_one_port(lab: &Lab, server: &Server) -> Result<()> {
    let (large, small) = (format!("{DOWNLOADS}/large"), format!("{DOWNLOADS}/small"));
    // More than all buffers on the way take.
    let first = payload::write(&server.file(&large), 40_000_000, 1)?;
    let second = payload::write(&server.file(&small), 50_000, 2)?;

    let mut one = Control::login(&lab.client, server.endpoint())?;
    let listener = one.listen_on(PORT)?;
    let data = one.begin(&listener, &large)?;

    // From here on the host stands for another one.
    lab.client.must("ip address add 10.0.0.3/24 dev eth0")?;
    lab.client
        .must("ip route replace default via 10.0.0.1 src 10.0.0.3")?;
    let mut other = Control::login(&lab.client, server.endpoint())?;
    let fetch = |other: &mut Control| -> Result<()> {
        let listener = other.listen_on(PORT)?;
        let line = listener.announcement.to_string();
        other.command(&line)?.expect_code(200)?;
        // An error comes without a connection.
        other.command(&format!("RETR {small}"))?.expect_code(150)?;
        let bytes = other.receive(listener.accept()?)?;
        ensure!(payload::digest_of(&bytes) == second, "not the file");
        Ok(())
    };
    fetch(&mut other)?;
    let bytes = one.receive(data)?;
    ensure!(payload::digest_of(&bytes) == first, "not the large file");
    fetch(&mut other)
}

fn three_transfers_to_one_port(lab: &Lab) -> Result<()> {
    // Connects from port 20 each time.
    let server = Server::start(lab, ServerKind::Vsftpd)?;
    let remote = format!("{DOWNLOADS}/file");
    let digest = payload::write(&server.file(&remote), 50_000, 1)?;
    let mut control = Control::login(&lab.client, server.endpoint())?;
    for _ in 0..3 {
        let listener = control.listen_on(PORT)?;
        let data = control.begin(&listener, &remote)?;
        let bytes = control.receive(data)?;
        assert_eq!(payload::digest_of(&bytes), digest);
    }
    Ok(())
}
