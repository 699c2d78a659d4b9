//! Behind nftables' `synproxy`: the gateway answers the SYNs of clients outside itself,
//! and connects to the server inside once a client has proved to be there. The sequence
//! numbers of the two halves differ, so the kernel shifts those of every packet.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    check::{modes, nothing_arrives, transfer},
    client::{ClientKind, Mode},
    control::Control,
    firewall::Counts,
    host::Host,
    lab::Lab,
    scenario::{agent_scenario, scenario, skip},
    server::{Server, ServerKind},
    setup::{Egress, Family, Helper, Inside, Setup, Translation},
};

/// In front of the gateway's own rules: a SYN that arrives at `interface` is kept from
/// conntrack, and it and the acknowledgment that answers the gateway's SYN-ACK go no
/// further.
fn rules(interface: &str) -> String {
    format!(
        "table inet proxy {{
            chain untracked {{ type filter hook prerouting priority raw;
                iifname {interface} tcp dport 21 tcp flags syn / fin,syn,rst,ack notrack; }}
            chain answered {{ type filter hook forward priority filter - 1;
                iifname {interface} tcp dport 21 ct state invalid,untracked \
                    synproxy mss 1460 wscale 7 timestamp sack-perm;
                ct state invalid drop; }}
        }}"
    )
}

/// What the gateway's TCP has to do for it: SYN cookies, which hold more with timestamps,
/// and no connections taken up in the middle, which the acknowledgment would look like.
const SETTINGS: [&str; 3] = [
    "net.netfilter.nf_conntrack_tcp_loose=0",
    "net.ipv4.tcp_syncookies=1",
    "net.ipv4.tcp_timestamps=1",
];

/// The kernel's helper for the half of the connection that starts on the gateway. The
/// rules of [`Helper::Kernel`] name arriving packets only.
const HELPED_OUTPUT: &str = "add chain inet helper output \
     { type filter hook output priority filter; }; \
     add rule inet helper output tcp dport 21 ct helper set \"ftp\"";

/// A server inside that only FTP can leave: both modes need help. No translation, which
/// the SYNs that conntrack does not see would not get.
fn setup(family: Family) -> Setup {
    Setup {
        egress: Egress::ControlOnly,
        ..Setup::new(Inside::Server, family, Translation::None)
    }
}

/// Puts the proxy in front of the server. False if the kernel has none.
fn proxied(lab: &Lab) -> Result<bool> {
    let interface = match lab.setup.inside {
        Inside::Server => "wan0",
        Inside::Client => "lan0",
    };
    let loaded = lab.gateway.run("nft", [rules(interface)])?;
    if !loaded.status.success() {
        skip("this kernel has no synproxy (CONFIG_NFT_SYNPROXY)");
        return Ok(false);
    }
    for setting in SETTINGS {
        lab.gateway.must(&format!("sysctl -w {setting}"))?;
    }
    Ok(true)
}

/// Clients that the gateway has accepted by itself, after it has answered their SYNs.
fn accepted(gateway: &Host) -> Result<u64> {
    let text = gateway.must("cat /proc/net/stat/synproxy")?;
    let mut lines = text.lines();
    let column = lines
        .next()
        .and_then(|names| {
            names
                .split_whitespace()
                .position(|name| name == "cookie_valid")
        })
        .with_context(|| format!("no cookie_valid in\n{text}"))?;
    // A line for each processor.
    lines
        .map(|line| {
            let number = line.split_whitespace().nth(column);
            let number = number.and_then(|word| u64::from_str_radix(word, 16).ok());
            number.with_context(|| format!("no number in {line:?}"))
        })
        .sum()
}

/// An error unless control connections get through, by way of the proxy.
fn control_passes(lab: &Lab, to: SocketAddr) -> Result<()> {
    let before = accepted(&lab.gateway)?;
    Control::login(&lab.client, to)?.command("NOOP")?;
    ensure!(
        accepted(&lab.gateway)? > before,
        "the server has answered, not the gateway"
    );
    Ok(())
}

/// Transfers in every mode, with everything that tells how they went: the lines that
/// arrived, the bytes, the connection table, the agent's count and the rules' counter.
fn passes(setup: Setup, kind: ServerKind, client: ClientKind) {
    agent_scenario(setup, |lab, agent| {
        if !proxied(lab)? {
            return Ok(());
        }
        let _running = agent.start_with(&["run", "-i", "wan0", "--inside", "lan0"])?;
        let server = Server::start(lab, kind)?;
        control_passes(lab, server.endpoint())?;
        let (mut connections, mut transfers) = (0, 0);
        let before = accepted(&lab.gateway)?;
        for mode in modes(lab.setup.family(), client) {
            transfers += transfer(lab, &server, client, mode)?.len() as u64;
            connections += 1;
        }
        let accepted = accepted(&lab.gateway)? - before;
        ensure!(
            accepted == connections,
            "the gateway has answered {accepted} of {connections} clients"
        );
        let matched = agent.count("expectation_matched")?;
        ensure!(
            matched == transfers,
            "{matched} of {transfers} were matched"
        );
        // The acknowledgments that the proxy takes are invalid to conntrack, by design.
        let refused = Counts::of(lab)?.refused;
        ensure!(refused == 0, "the firewall has dropped {refused}");
        Ok(())
    });
}

#[test]
fn a_server_inside_ipv4() {
    passes(setup(Family::V4), ServerKind::Vsftpd, ClientKind::Curl);
}

#[test]
fn a_server_inside_ipv6() {
    passes(setup(Family::V6), ServerKind::Pyftpdlib, ClientKind::Lftp);
}

/// The proxy faces the clients inside, whose addresses are translated: the kernel shifts
/// the numbers by what the two halves differ, ftp-helper by what announcements grow.
fn both_shift(family: Family, kind: ServerKind, client: ClientKind) {
    let setup = Setup {
        egress: Egress::ControlOnly,
        ..Setup::new(Inside::Client, family, Translation::Nat)
    };
    passes(setup, kind, client);
}

#[test]
fn a_client_inside_ipv4() {
    both_shift(Family::V4, ServerKind::Pyftpdlib, ClientKind::Curl);
}

#[test]
fn a_client_inside_ipv6() {
    both_shift(Family::V6, ServerKind::Vsftpd, ClientKind::Lftp);
}

/// The transfers above need help: without it the control connection works, and the
/// firewall drops every data connection.
fn nothing_passes(family: Family) {
    scenario(setup(family), |lab| {
        if !proxied(lab)? {
            return Ok(());
        }
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        for mode in [Mode::Active, Mode::Passive] {
            is_refused(lab, &server, mode)?;
        }
        Ok(())
    });
}

#[test]
fn without_help_nothing_passes_ipv4() {
    nothing_passes(Family::V4);
}

#[test]
fn without_help_nothing_passes_ipv6() {
    nothing_passes(Family::V6);
}

/// The control connection gets through, the data connection does not.
fn is_refused(lab: &Lab, server: &Server, mode: Mode) -> Result<()> {
    control_passes(lab, server.endpoint())?;
    let before = Counts::of(lab)?.refused;
    nothing_arrives(lab, server, mode)?;
    let refused = Counts::of(lab)?.refused;
    ensure!(refused > before, "{mode:?} met nobody");
    Ok(())
}

/// The kernel's helper is attached by a packet that opens a connection, and the one
/// behind a proxy starts on the gateway: the rule that routers have, for packets that
/// arrive, attaches it to nothing. With one for packets that leave it works as well.
#[test]
fn the_kernels_helper_needs_one_more_rule() {
    let setup = Setup {
        helper: Helper::Kernel,
        ..setup(Family::V4)
    };
    scenario(setup, |lab| {
        if !proxied(lab)? {
            return Ok(());
        }
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        is_refused(lab, &server, Mode::Passive)?;
        lab.gateway.run("nft", [HELPED_OUTPUT])?.success("nft")?;
        transfer(lab, &server, ClientKind::Curl, Mode::Passive)?;
        Ok(())
    });
}
