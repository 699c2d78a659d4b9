//! Many transfers on one control connection: the difference between the two
//! ends' sequence numbers grows with every line.

use std::collections::HashSet;

use ftp_helper_tests::{
    check::exchange,
    client::{ClientKind, Mode},
    scenario::helped_scenario,
    server::{Server, ServerKind},
    setup::Setup,
    transfers::Transfers,
};

#[test]
fn fifty_transfers_with_vsftpd() {
    fifty_transfers_with(ServerKind::Vsftpd);
}

#[test]
fn fifty_transfers_with_pyftpdlib() {
    fifty_transfers_with(ServerKind::Pyftpdlib);
}

fn fifty_transfers_with(kind: ServerKind) {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let server = Server::start(lab, kind)?;
        let mut transfers = Transfers::new();
        for _ in 0..25 {
            transfers.download(lab, &server, 10_000)?;
            transfers.upload(lab, &server, 10_000)?;
        }
        let rewrites = exchange(lab, &server, ClientKind::Ftplib, Mode::Active, &transfers)?;
        assert_eq!(rewrites.len(), 50);
        assert_eq!(agent.count("announcement_rewritten")?, 50);
        // No line was mistaken for an earlier one.
        let sent: HashSet<_> = rewrites.iter().map(|rewrite| rewrite.sent.port).collect();
        let received: HashSet<_> = rewrites
            .iter()
            .map(|rewrite| rewrite.received.port)
            .collect();
        assert_eq!(received.len(), sent.len(), "{rewrites:?}");
        Ok(())
    });
}
