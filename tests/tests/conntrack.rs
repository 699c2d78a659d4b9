//! A helped data connection is the kernel's own: conntrack knows it, takes it
//! through every state, and finds nothing wrong with any packet.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use ftp_helper_tests::{
    agent::Agent,
    check::exchange,
    client::{ClientKind, Mode},
    control::Control,
    duet::{Duet, Manner},
    lab::Lab,
    payload,
    scenario::{helped_scenario, scenario},
    server::{DOWNLOADS, Server, ServerKind},
    setup::{Family, Helper, Inside, Setup, Translation},
    transfers::Transfers,
    wait::wait_for,
    walk::Awaited,
    watch::{Counts, Watch},
};

/// More bytes than any line has: it is sent in one piece.
const WHOLE: usize = 1000;

#[test]
fn an_open_data_connection_is_listed_with_its_translation() {
    helped_scenario(Setup::default(), |lab, _, _| {
        lab.limit_buffers()?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let remote = format!("{DOWNLOADS}/large");
        let digest = payload::write(&server.file(&remote), 4 << 20, 1)?;
        let addresses = lab.setup.addresses;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let listener = control.listen()?;
        let data = control.begin(&listener, &remote)?;

        let outside = server
            .announcements()?
            .pop()
            .expect("the server received PORT");
        let entries = lab.gateway.must(&format!(
            "conntrack -L -p tcp --orig-src {} --orig-dst {} --orig-port-dst {}",
            addresses.server, addresses.wan, outside.port
        ))?;
        let entries: Vec<_> = entries.lines().collect();
        assert_eq!(entries.len(), 1, "{entries:?}");
        for part in [
            "ESTABLISHED".to_owned(),
            format!(
                "src={} dst={} sport=20 dport={}",
                addresses.server, addresses.wan, outside.port
            ),
            format!(
                "src={} dst={} sport={} dport=20",
                addresses.client, addresses.server, listener.announcement.port
            ),
        ] {
            assert!(entries[0].contains(&part), "no {part:?} in {}", entries[0]);
        }

        let bytes = control.receive(data)?;
        assert_eq!(payload::digest_of(&bytes), digest);
        Ok(())
    });
}

/// Every state, each with the kernel's own time limit, from the SYN to the end.
fn walk(lab: &Lab) -> Result<()> {
    let mut duet = Duet::login(lab, Manner::default())?;
    let awaited = Awaited::announce(lab, &mut duet, WHOLE)?;
    awaited.walk(lab).context("an orderly connection")?;
    let awaited = Awaited::announce(lab, &mut duet, WHOLE)?;
    awaited.reset(lab).context("a connection that is reset")
}

fn shapes(inside: Inside) -> [Setup; 2] {
    Family::ALL.map(|family| Setup::new(inside, family, Translation::Nat))
}

#[test]
fn every_state_of_a_connection_to_a_client_inside() {
    for setup in shapes(Inside::Client) {
        helped_scenario(setup, |lab, _, _| walk(lab).context(lab.setup.name()));
    }
}

#[test]
fn every_state_of_a_connection_to_a_server_inside() {
    for setup in shapes(Inside::Server) {
        helped_scenario(setup, |lab, _, _| walk(lab).context(lab.setup.name()));
    }
}

/// What is asked for above is what the kernel's own helper makes of it.
#[test]
fn every_state_with_the_kernels_helper() {
    let [client, _] = shapes(Inside::Client);
    // IPv6 addresses it writes in a form that the scenario does not read.
    for setup in [&[client], &shapes(Inside::Server)[..]].concat() {
        let setup = Setup {
            helper: Helper::Kernel,
            ..setup
        };
        scenario(setup, |lab| walk(lab).context(lab.setup.name()));
    }
}

/// Announcements whole and held, data connections that end well and badly, and
/// real programs: the addresses differ in length, so every announcement that names
/// one shifts the numbers of all that follows.
fn busy(lab: &Lab, agent: &Agent) -> Result<()> {
    let mut duet = Duet::login(lab, Manner::default())?;
    for piece in [WHOLE, 1, 7, WHOLE] {
        let awaited = Awaited::announce(lab, &mut duet, piece)?;
        awaited.exchange(lab)?;
        duet.client_says("NOOP\r\n")?;
        duet.server_says("200 ok\r\n")?;
    }
    Awaited::announce(lab, &mut duet, WHOLE)?.reset(lab)?;
    drop(duet);

    let server = Server::start(lab, ServerKind::Vsftpd)?;
    for mode in [Mode::Active, Mode::Passive] {
        let mut transfers = Transfers::new();
        transfers.list(lab, &server, "listed")?;
        transfers.download(lab, &server, 100_000)?;
        transfers.upload(lab, &server, 100_000)?;
        exchange(lab, &server, ClientKind::Curl, mode, &transfers)?;
    }
    assert!(agent.count("line_held")? > 0);
    assert!(agent.count("expectation_matched")? >= 8);
    Ok(())
}

/// The rules do count what is invalid: a packet of a connection that the gateway
/// has forgotten, and may not guess about.
fn is_noticed(lab: &Lab, watch: &Watch) -> Result<()> {
    let mut duet = Duet::login(lab, Manner::default())?;
    lab.gateway.enter(|| {
        fs::write("/proc/sys/net/netfilter/nf_conntrack_tcp_loose", "0")
            .context("the gateway guesses about connections")
    })?;
    lab.gateway.must("conntrack -F")?;
    duet.client.write("NOOP\r\n")?;
    wait_for("an invalid packet", Duration::from_secs(5), || {
        Ok(watch.invalid()?.contains_key("prerouting").then_some(()))
    })
}

fn nothing_is_invalid(setup: Setup) {
    helped_scenario(setup, |lab, agent, _| {
        let watch = Watch::start(lab)?;
        busy(lab, agent).context(lab.setup.name())?;
        assert_eq!(watch.invalid()?, Counts::new(), "{}", lab.setup.name());
        let established = watch.established()?;
        for hook in ["prerouting", "forward", "postrouting"] {
            let count = established.get(hook).copied().unwrap_or_default();
            assert!(count > 100, "{established:?}");
        }
        is_noticed(lab, &watch)
    });
}

#[test]
fn no_packet_to_or_from_a_client_inside_is_invalid() {
    for setup in shapes(Inside::Client) {
        nothing_is_invalid(setup);
    }
}

#[test]
fn no_packet_to_or_from_a_server_inside_is_invalid() {
    for setup in shapes(Inside::Server) {
        nothing_is_invalid(setup);
    }
}
