//! Kernels below 6.6 have no TCX: the programs work as filters of a clsact qdisc
//! in the same way.

use ftp_helper_tests::{
    check::exchange,
    client::{ClientKind, Mode},
    scenario::agent_scenario,
    server::{Server, ServerKind},
    setup::Setup,
    transfers::Transfers,
};
use nix::sys::signal::Signal;

#[test]
fn active_mode_through_clsact_filters() {
    agent_scenario(Setup::default(), |lab, agent| {
        let arguments = ["run", "-i", "wan0", "--attach", "clsact"];
        let mut running = agent.start_with(&arguments)?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut transfers = Transfers::new();
        transfers.download(lab, &server, 100_000)?;
        transfers.upload(lab, &server, 100_000)?;
        for direction in ["ingress", "egress"] {
            let filters = lab
                .gateway
                .must(&format!("tc filter show dev wan0 {direction}"))?;
            assert!(filters.contains("ftp_helper"), "{direction}: {filters}");
        }
        exchange(lab, &server, ClientKind::Curl, Mode::Active, &transfers)?;
        // Without the agent, and with one that took over.
        running.stop(Signal::SIGKILL)?;
        exchange(lab, &server, ClientKind::Ftplib, Mode::Active, &transfers)?;
        let _running = agent.start_with(&arguments)?;
        exchange(lab, &server, ClientKind::Lftp, Mode::Active, &transfers)?;
        agent.cli(&["detach", "--force"])?.success("detach")?;
        for direction in ["ingress", "egress"] {
            let filters = lab
                .gateway
                .must(&format!("tc filter show dev wan0 {direction}"))?;
            assert_eq!(filters.trim(), "", "{direction}");
        }
        Ok(())
    });
}
