//! Every combination of offloads: checksums may be left to be completed or be
//! complete, and segments may be larger than the MTU.

use anyhow::Context as _;
use ftp_helper_tests::{
    check::exchange,
    client::{ClientKind, Mode},
    scenario::helped_scenario,
    server::{Server, ServerKind},
    setup::{Offloads, Setup},
    transfers::Transfers,
};

#[test]
fn every_combination() {
    helped_scenario(Setup::default(), |lab, _, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        for offloads in Offloads::all() {
            lab.set_offloads(offloads)?;
            let mut transfers = Transfers::new();
            transfers.download(lab, &server, 1 << 20)?;
            transfers.upload(lab, &server, 1 << 20)?;
            exchange(lab, &server, ClientKind::Curl, Mode::Active, &transfers)
                .with_context(|| format!("{offloads:?}"))?;
        }
        Ok(())
    });
}
