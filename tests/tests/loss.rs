//! Segments of the control connection get lost behind the gateway, and come
//! by it a second time.

use ftp_helper_tests::{
    check::exchange,
    client::{ClientKind, Mode},
    lab::Lab,
    scenario::helped_scenario,
    server::{Server, ServerKind},
    setup::Setup,
    transfers::Transfers,
};

fn ten(lab: &Lab, server: &Server) -> anyhow::Result<Transfers> {
    let mut transfers = Transfers::new();
    for _ in 0..5 {
        transfers.download(lab, server, 10_000)?;
        transfers.upload(lab, server, 10_000)?;
    }
    Ok(transfers)
}

#[test]
fn a_repeated_announcement_is_rewritten_as_before() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        lab.lose_announcements_once()?;
        let transfers = ten(lab, &server)?;
        exchange(lab, &server, ClientKind::Ftplib, Mode::Active, &transfers)?;
        assert_eq!(agent.count("announcement_rewritten")?, 10);
        assert_eq!(agent.count("expectation_created")?, 10);
        // Once more each, at the least: the sender may repeat earlier than needed.
        assert!(agent.count("rewrite_repeated")? >= 10);
        assert_eq!(agent.count("overlap_mismatch")?, 0);
        Ok(())
    });
}

#[test]
fn anything_may_get_lost() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        lab.lose_each(7)?;
        let transfers = ten(lab, &server)?;
        exchange(lab, &server, ClientKind::Ftplib, Mode::Active, &transfers)?;
        assert_eq!(agent.count("announcement_rewritten")?, 10);
        assert_eq!(agent.count("overlap_mismatch")?, 0);
        Ok(())
    });
}
