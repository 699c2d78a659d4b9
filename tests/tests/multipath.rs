//! Control connections of ends that ask for Multipath TCP (RFC 8684), which counts bytes,
//! and may check them, by what the sender sent: an announcement of another length upsets
//! it. The ends have to find that they have plain TCP.

use std::{cmp::Ordering, fs, net::Ipv4Addr, path::Path};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    check::{helped_mode, transfer},
    client::{ClientKind, Mode},
    counters::MultipathCounters,
    lab::Lab,
    scenario::{agent_scenario, helped_scenario, skip},
    server::{Server, ServerKind},
    setup::{Addresses, Family, Inside, Setup, Translation},
};

const CLIENT: ClientKind = ClientKind::MultipathFtplib;

const SERVER: ServerKind = ServerKind::MultipathPyftpdlib;

/// A port that no control connection has.
const ELSEWHERE: u16 = 2121;

/// Lets both ends speak Multipath TCP, with checksums. False if the kernel can not.
fn multipath(lab: &Lab) -> Result<bool> {
    let directory = Path::new("/proc/sys/net/mptcp");
    for host in [&lab.client, &lab.server] {
        if !host.enter(|| Ok(directory.exists()))? {
            skip("this kernel has no Multipath TCP (CONFIG_MPTCP)");
            return Ok(false);
        }
        host.enter(|| {
            for name in ["enabled", "checksum_enabled"] {
                fs::write(directory.join(name), "1").with_context(|| format!("{name} not set"))?;
            }
            Ok(())
        })?;
    }
    Ok(true)
}

/// The client has asked once, and got no answer as the server has not been asked.
fn fell_back_in_the_handshake(lab: &Lab) -> Result<()> {
    let client = MultipathCounters::of(&lab.client)?;
    let server = MultipathCounters::of(&lab.server)?;
    ensure!(client.asked == 1, "the client has not asked: {client:?}");
    ensure!(server.was_asked == 0, "the server was asked: {server:?}");
    ensure!(
        client.unanswered == 1,
        "the client goes on with it: {client:?}"
    );
    Ok(())
}

/// Transfers in the mode that needs help, all over one control connection: the lines, which
/// become longer or shorter as `length` says, and the bytes arrive, and the connection was
/// plain TCP from the beginning.
fn falls_back(setup: Setup, length: Ordering) {
    helped_scenario(setup, |lab, agent, _| {
        if !multipath(lab)? {
            return Ok(());
        }
        let server = Server::start(lab, SERVER)?;
        let rewrites = transfer(lab, &server, CLIENT, helped_mode(setup.inside))?;
        for rewrite in &rewrites {
            let [sent, received] = [rewrite.sent, rewrite.received].map(|it| it.to_string().len());
            ensure!(
                received.cmp(&sent) == length,
                "{rewrite:?} is not {length:?}"
            );
        }
        let matched = agent.count("expectation_matched")?;
        ensure!(
            matched == rewrites.len() as u64,
            "{matched} of {} were matched",
            rewrites.len()
        );
        fell_back_in_the_handshake(lab)
    });
}

/// The outside end announces, which the lab's gateway lets through without help.
fn other_mode(inside: Inside) -> Mode {
    match inside {
        Inside::Client => Mode::Passive,
        Inside::Server => Mode::Active,
    }
}

#[test]
fn a_client_inside() {
    let setup = Setup::new(Inside::Client, Family::V4, Translation::Nat);
    falls_back(setup, Ordering::Greater);
}

/// As Multipath TCP counts, bytes of the announcement never come: such a connection hangs.
#[test]
fn a_client_inside_with_announcements_that_shrink() {
    let addresses = Addresses {
        client: Ipv4Addr::new(10, 209, 221, 222).into(),
        lan: Ipv4Addr::new(10, 209, 221, 111).into(),
        wan: Ipv4Addr::new(10, 9, 2, 1).into(),
        server: Ipv4Addr::new(10, 9, 2, 2).into(),
    };
    let setup = Setup {
        addresses,
        ..Setup::new(Inside::Client, Family::V4, Translation::Nat)
    };
    falls_back(setup, Ordering::Less);
}

#[test]
fn a_server_inside() {
    let setup = Setup::new(Inside::Server, Family::V4, Translation::Nat);
    falls_back(setup, Ordering::Greater);
}

#[test]
fn a_client_inside_ipv6() {
    let setup = Setup::new(Inside::Client, Family::V6, Translation::Nat);
    falls_back(setup, Ordering::Greater);
}

/// A 229 has no address.
#[test]
fn a_server_inside_ipv6() {
    let setup = Setup::new(Inside::Server, Family::V6, Translation::Nat);
    falls_back(setup, Ordering::Equal);
}

/// The same two ends do speak Multipath TCP where ftp-helper leaves them alone: on a port
/// that is not a control port.
#[test]
fn on_another_port_it_is_multipath() {
    for inside in Inside::ALL {
        for family in Family::ALL {
            let setup = Setup::new(inside, family, Translation::Nat);
            agent_scenario(setup, |lab, agent| {
                if !multipath(lab)? {
                    return Ok(());
                }
                let _running = agent.start_for("wan0", &[ELSEWHERE])?;
                let server = Server::start(lab, SERVER)?;
                transfer(lab, &server, CLIENT, other_mode(inside))?;
                let client = MultipathCounters::of(&lab.client)?;
                let server = MultipathCounters::of(&lab.server)?;
                ensure!(
                    client.asked == 1 && server.was_asked == 1 && client.unanswered == 0,
                    "client: {client:?}, server: {server:?}"
                );
                Ok(())
            });
        }
    }
}
