//! Interfaces of a virtual routing domain (VRF), behind which the rules of the gateway meet
//! a packet twice: as one of its interface, and as one of the domain.

use anyhow::{Result, ensure};
use ftp_helper_tests::{
    check::{helped_mode, transfer},
    client::ClientKind,
    lab::Lab,
    scenario::{agent_scenario, skip},
    server::{Server, ServerKind},
    setup::{Family, Inside, Setup, Translation},
};

/// Moves both sides of the gateway into a domain. False if the kernel has none.
fn enslave(lab: &Lab) -> Result<bool> {
    let gateway = &lab.gateway;
    // It may be built in.
    let _ = gateway.run("modprobe", ["-q", "vrf"])?;
    let domain = "link add blue type vrf table 10".split(' ');
    if !gateway.run("ip", domain)?.status.success() {
        skip("this kernel has no VRF (CONFIG_NET_VRF)");
        return Ok(false);
    }
    gateway.must("ip link set blue up")?;
    for interface in ["lan0", "wan0"] {
        // They go down for a moment, by which addresses of IPv6 go otherwise.
        let kept = format!("net.ipv6.conf.{interface}.keep_addr_on_down=1");
        gateway.must(&format!("sysctl -qw {kept}"))?;
        gateway.must(&format!("ip link set {interface} master blue"))?;
    }
    // In the chain of what is forwarded the domain is where packets come from.
    let rule = match lab.setup.inside {
        Inside::Client => "meta sdifname lan0 accept",
        Inside::Server => "meta sdifname wan0 tcp dport 21 ct state new accept",
    };
    gateway.must(&format!("nft insert rule inet filter forward {rule}"))?;
    Ok(true)
}

fn passes(inside: Inside, family: Family) {
    let setup = Setup::new(inside, family, Translation::Nat);
    agent_scenario(setup, |lab, agent| {
        if !enslave(lab)? {
            return Ok(());
        }
        let _running = agent.start()?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let client = match family {
            Family::V4 => ClientKind::Curl,
            Family::V6 => ClientKind::Lftp,
        };
        let done = transfer(lab, &server, client, helped_mode(inside))?.len() as u64;
        let matched = agent.count("expectation_matched")?;
        ensure!(matched == done, "{matched} of {done} were matched");
        Ok(())
    });
}

#[test]
fn a_client_inside() {
    passes(Inside::Client, Family::V4);
}

#[test]
fn a_server_inside() {
    passes(Inside::Server, Family::V4);
}

#[test]
fn a_client_inside_ipv6() {
    passes(Inside::Client, Family::V6);
}
