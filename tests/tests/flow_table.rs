//! Behind a software flow table, which takes established connections past the rules of
//! the gateway, but not past the programs on its interfaces.

use anyhow::{Result, ensure};
use ftp_helper_tests::{
    check::exchange,
    client::{ClientKind, Mode},
    control::Control,
    lab::Lab,
    scenario::{helped_scenario, skip},
    server::{Server, ServerKind},
    setup::{Family, Inside, Setup, Translation},
    transfers::Transfers,
};

/// Every TCP connection between the two sides, those of FTP included.
const RULES: &str = "table inet fast {
    flowtable f { hook ingress priority 0; devices = { lan0, wan0 }; }
    chain c { type filter hook forward priority -10; meta l4proto tcp flow add @f; }
}";

fn behind_a_flow_table(inside: Inside, family: Family, client: ClientKind, mode: Mode) {
    let setup = Setup::new(inside, family, Translation::Nat);
    helped_scenario(setup, |lab, agent, _| {
        if !lab.gateway.run("nft", [RULES])?.status.success() {
            skip("this kernel has no flow tables (CONFIG_NF_FLOW_TABLE_INET)");
            return Ok(());
        }
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut transfers = Transfers::new();
        for size in [1, 300_000] {
            transfers.download(lab, &server, size)?;
            transfers.upload(lab, &server, size)?;
        }
        exchange(lab, &server, client, mode, &transfers)?;
        ensure!(agent.count("expectation_matched")? == transfers.len() as u64);

        // What was just used is what was meant.
        let _control = Control::login(&lab.client, server.endpoint())?;
        ensure!(
            offloaded(lab)?,
            "no control connection went through the flow table"
        );
        Ok(())
    });
}

/// Whether a control connection is in the flow table.
fn offloaded(lab: &Lab) -> Result<bool> {
    let family = match lab.setup.family() {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    };
    let list = lab
        .gateway
        .must(&format!("conntrack -L -f {family} -p tcp"))?;
    Ok(list
        .lines()
        .any(|line| line.contains("dport=21 ") && line.contains("[OFFLOAD]")))
}

#[test]
fn a_client_inside() {
    behind_a_flow_table(Inside::Client, Family::V4, ClientKind::Curl, Mode::Active);
}

#[test]
fn a_server_inside() {
    behind_a_flow_table(Inside::Server, Family::V6, ClientKind::Lftp, Mode::Passive);
}
