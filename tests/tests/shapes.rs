//! Every place that a gateway can have, every announcement, real programs.

use anyhow::{Context as _, Result};
use ftp_helper_tests::{
    agent::{Agent, RunningAgent},
    announcement::announcements,
    check::exchange,
    client::{ClientKind, Mode},
    lab::Lab,
    scenario::{agent_scenario, scenario},
    server::{Server, ServerKind},
    setup::{ControlPort, Family, Inside, Setup, Translation},
    transfers::Transfers,
};

/// The agent for the port that clients connect to.
fn start(lab: &Lab, agent: &Agent) -> Result<RunningAgent> {
    let port = lab.setup.control_port.dialled.to_string();
    agent.start_with(&["run", "-i", "wan0", "--control-port", &port])
}

fn transfers(lab: &Lab, server: &Server) -> Result<Transfers> {
    let mut transfers = Transfers::new();
    transfers.list(lab, server, "listed")?;
    for size in [0, 1, 100_000] {
        transfers.download(lab, server, size)?;
        transfers.upload(lab, server, size)?;
    }
    Ok(transfers)
}

/// What each shape needs help for: announcements of the inside host.
fn needs_help(setup: &Setup, mode: Mode) -> bool {
    mode.is_active() == (setup.inside == Inside::Client)
}

fn every_mode_works(setup: Setup) {
    agent_scenario(setup, |lab, agent| {
        let _running = start(lab, agent)?;
        let mut helped = 0;
        for kind in ServerKind::ALL {
            let server = Server::start(lab, kind)?;
            for client in ClientKind::ALL {
                for mode in Mode::ALL {
                    // With IPv6 there is no other form than the extended one.
                    let redundant = mode.is_extended() && setup.family() == Family::V6;
                    if redundant || !client.knows(mode) {
                        continue;
                    }
                    let transfers = transfers(lab, &server)?;
                    exchange(lab, &server, client, mode, &transfers)?;
                    if needs_help(&setup, mode) {
                        helped += transfers.len() as u64;
                    }
                }
            }
        }
        assert!(helped > 0);
        assert_eq!(agent.count("expectation_created")?, helped);
        assert_eq!(agent.count("expectation_matched")?, helped);
        Ok(())
    });
}

#[test]
fn client_inside_ipv4_nat() {
    every_mode_works(Setup::new(Inside::Client, Family::V4, Translation::Nat));
}

#[test]
fn client_inside_ipv6_nat() {
    every_mode_works(Setup::new(Inside::Client, Family::V6, Translation::Nat));
}

#[test]
fn client_inside_ipv4_firewall() {
    every_mode_works(Setup::new(Inside::Client, Family::V4, Translation::None));
}

#[test]
fn client_inside_ipv6_firewall() {
    every_mode_works(Setup::new(Inside::Client, Family::V6, Translation::None));
}

#[test]
fn server_inside_ipv4_nat() {
    every_mode_works(Setup::new(Inside::Server, Family::V4, Translation::Nat));
}

#[test]
fn server_inside_ipv6_nat() {
    every_mode_works(Setup::new(Inside::Server, Family::V6, Translation::Nat));
}

#[test]
fn server_inside_ipv4_firewall() {
    every_mode_works(Setup::new(Inside::Server, Family::V4, Translation::None));
}

#[test]
fn server_inside_ipv6_firewall() {
    every_mode_works(Setup::new(Inside::Server, Family::V6, Translation::None));
}

/// The port that clients connect to is neither 21 nor the one that the server
/// listens on.
#[test]
fn server_inside_behind_another_port() {
    for family in Family::ALL {
        every_mode_works(Setup {
            control_port: ControlPort {
                served: 2100,
                dialled: 2121,
            },
            ..Setup::new(Inside::Server, family, Translation::Nat)
        });
    }
}

#[test]
fn client_inside_with_another_port() {
    every_mode_works(Setup {
        control_port: ControlPort {
            served: 2121,
            dialled: 2121,
        },
        ..Setup::default()
    });
}

/// Nothing of the above works by itself: without help the inside host's
/// announcement goes out as it is, or its data connection is not let in.
#[test]
fn without_help_none_of_it_works() {
    for inside in Inside::ALL {
        for family in Family::ALL {
            for translation in Translation::ALL {
                let setup = Setup::new(inside, family, translation);
                scenario(setup, |lab| fails(lab).context(setup.name()));
            }
        }
    }
}

fn fails(lab: &Lab) -> Result<()> {
    let server = Server::start(lab, ServerKind::Vsftpd)?;
    for mode in [Mode::Active, Mode::Passive] {
        if !needs_help(&lab.setup, mode) {
            continue;
        }
        let mut transfers = Transfers::new();
        transfers.download(lab, &server, 1024)?;
        let transcript = ClientKind::Curl.run_for(
            &lab.client,
            server.endpoint(),
            mode,
            &transfers.steps,
            std::time::Duration::from_secs(2),
        )?;
        assert!(!transcript.output.status.success(), "{transcript:?}");
        assert!(transfers.arrived().is_err());
        let received = if mode.is_active() {
            server.announcements()?
        } else {
            announcements(&transcript.received)?
        };
        for announcement in received {
            let address = announcement.address;
            assert!(address.is_none_or(|it| it == lab.setup.inside_address()));
        }
    }
    Ok(())
}
