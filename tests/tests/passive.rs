//! What worked before ftp-helper came still works with it.

use ftp_helper_tests::{
    check::exchange,
    client::{ClientKind, Mode},
    scenario::helped_scenario,
    server::{Server, ServerKind},
    setup::Setup,
    transfers::Transfers,
};

#[test]
fn every_client_with_every_server() {
    helped_scenario(Setup::default(), |lab, _, _| {
        for kind in ServerKind::ALL {
            let server = Server::start(lab, kind)?;
            for client in ClientKind::ALL {
                let mut transfers = Transfers::new();
                transfers.list(lab, &server, "listed")?;
                for size in [0, 1, 1 << 20] {
                    transfers.download(lab, &server, size)?;
                    transfers.upload(lab, &server, size)?;
                }
                for mode in [Mode::Passive, Mode::ExtendedPassive] {
                    if client.knows(mode) {
                        exchange(lab, &server, client, mode, &transfers)?;
                    }
                }
            }
        }
        Ok(())
    });
}

#[test]
fn active_and_passive_take_turns() {
    helped_scenario(Setup::default(), |lab, _, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        for _ in 0..3 {
            for mode in [Mode::Active, Mode::Passive] {
                let mut transfers = Transfers::new();
                transfers.download(lab, &server, 100_000)?;
                transfers.upload(lab, &server, 100_000)?;
                exchange(lab, &server, ClientKind::Lftp, mode, &transfers)?;
            }
        }
        Ok(())
    });
}
