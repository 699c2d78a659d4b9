//! Active mode through the gateway with ftp-helper on it.

use ftp_helper_tests::{
    check::exchange,
    client::{ClientKind, Mode},
    counters::TcpCounters,
    scenario::helped_scenario,
    server::{Server, ServerKind},
    setup::Setup,
    transfers::Transfers,
    wait::portion,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

#[test]
fn every_client_with_vsftpd() {
    every_client_with(ServerKind::Vsftpd);
}

#[test]
fn every_client_with_pyftpdlib() {
    every_client_with(ServerKind::Pyftpdlib);
}

/// A list, downloads and uploads of all sizes over one control connection.
fn every_client_with(kind: ServerKind) {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let server = Server::start(lab, kind)?;
        let mut done = 0;
        for client in ClientKind::ALL {
            let mut transfers = Transfers::new();
            transfers.list(lab, &server, "listed")?;
            for size in [0, 1, KIB, MIB] {
                transfers.download(lab, &server, size)?;
                transfers.upload(lab, &server, size)?;
            }
            exchange(lab, &server, client, Mode::Active, &transfers)?;
            done += transfers.len() as u64;
        }
        assert_eq!(agent.count("announcement_rewritten")?, done);
        assert_eq!(agent.count("expectation_created")?, done);
        assert_eq!(agent.count("expectation_matched")?, done);
        Ok(())
    });
}

#[test]
fn two_hundred_mebibytes_both_ways() {
    helped_scenario(Setup::default(), |lab, _, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut transfers = Transfers::new();
        transfers.download(lab, &server, portion(200 * MIB))?;
        transfers.upload(lab, &server, portion(200 * MIB))?;
        exchange(lab, &server, ClientKind::Curl, Mode::Active, &transfers)?;
        Ok(())
    });
}

/// Help costs no retransmission.
#[test]
fn twenty_small_transfers_take_no_time_out() {
    helped_scenario(Setup::default(), |lab, _, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut transfers = Transfers::new();
        for _ in 0..20 {
            transfers.download(lab, &server, KIB)?;
        }
        let before = (TcpCounters::of(&lab.client)?, TcpCounters::of(&lab.server)?);
        exchange(lab, &server, ClientKind::Curl, Mode::Active, &transfers)?;
        let client = TcpCounters::of(&lab.client)?.since(before.0);
        let server = TcpCounters::of(&lab.server)?.since(before.1);
        assert!(
            !client.has_losses() && !server.has_losses(),
            "{client:?}, {server:?}"
        );
        Ok(())
    });
}
