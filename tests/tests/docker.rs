//! FTP servers and clients in containers on a Docker host of which only the control
//! port is published, with ftp-helper on the host's outside interface.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result};
use ftp_helper_tests::{
    agent::{Agent, RunningAgent},
    announcement::Announcement,
    check::{PAIRS, modes, nothing_arrives, transfer},
    client::{ClientKind, Mode},
    conntrack::Entry,
    control::Control,
    docker::{self, BRIDGE, Docker, Engine, OUTSIDE},
    duet,
    lab::Lab,
    payload,
    scenario::{agent_scenario, scenario},
    server::{DOWNLOADS, Server, ServerKind},
    setup::{Backend, Family, Inside},
};

/// Longest wait for a connection on the host.
const LIMIT: Duration = Duration::from_secs(2);

/// The agent for these ports of the host's, on its outside interface.
fn start(agent: &Agent, ports: &[u16]) -> Result<RunningAgent> {
    agent.start_for(OUTSIDE, ports)
}

/// Every mode works for clients outside; passive mode is what needs help.
fn publishing_the_control_port_is_enough(engine: Engine) {
    for family in Family::ALL {
        let setup = docker::setup(engine, Inside::Server, family);
        agent_scenario(setup, |lab, agent| {
            let docker = Docker::start(lab, &[21])?;
            let _running = start(agent, &[21])?;
            let lab = docker.serving(0)?;
            let mut helped = 0;
            for (kind, client) in PAIRS {
                let server = Server::start(&lab, kind)?;
                for mode in modes(family, client) {
                    let rewrites = transfer(&lab, &server, client, mode)?;
                    if !mode.is_active() {
                        helped += rewrites.len() as u64;
                    }
                }
            }
            assert!(helped > 0);
            assert_eq!(agent.count("expectation_matched")?, helped);
            Ok(())
        });
    }
}

#[test]
fn classic_with_iptables_legacy() {
    publishing_the_control_port_is_enough(Engine::Classic(Backend::Legacy));
}

#[test]
fn classic_with_iptables_nft() {
    publishing_the_control_port_is_enough(Engine::Classic(Backend::Nft));
}

#[test]
fn current_with_iptables_legacy() {
    publishing_the_control_port_is_enough(Engine::Current(Backend::Legacy));
}

#[test]
fn current_with_iptables_nft() {
    publishing_the_control_port_is_enough(Engine::Current(Backend::Nft));
}

#[test]
fn with_dockers_own_nftables() {
    publishing_the_control_port_is_enough(Engine::Nftables);
}

/// The rules let nothing else in: passive mode fails without help.
#[test]
fn without_help_passive_mode_fails() {
    for engine in Engine::ALL {
        for family in Family::ALL {
            let setup = docker::setup(engine, Inside::Server, family);
            scenario(setup, |lab| {
                let docker = Docker::start(lab, &[21])?;
                let lab = docker.serving(0)?;
                let server = Server::start(&lab, ServerKind::Vsftpd)?;
                // The host itself is right: what needs no help works.
                transfer(&lab, &server, ClientKind::Curl, Mode::Active)?;
                for mode in modes(family, ClientKind::Curl).filter(|mode| !mode.is_active()) {
                    nothing_arrives(&lab, &server, mode)?;
                }
                Ok(())
            });
        }
    }
}

/// `-p 21:21` and `-p 2121:21`.
#[test]
fn two_containers_behind_ports_of_their_own() {
    for engine in [Engine::Current(Backend::Nft), Engine::Nftables] {
        for family in Family::ALL {
            let setup = docker::setup(engine, Inside::Server, family);
            agent_scenario(setup, |lab, agent| {
                let docker = Docker::start(lab, &[21, 2121])?;
                let _running = start(agent, &[21, 2121])?;
                let labs = [docker.serving(0)?, docker.serving(1)?];
                let servers = [
                    Server::start(&labs[0], ServerKind::Vsftpd)?,
                    Server::start(&labs[1], ServerKind::Pyftpdlib)?,
                ];
                for client in [ClientKind::Curl, ClientKind::Ftplib] {
                    for mode in modes(family, client) {
                        for (lab, server) in labs.iter().zip(&servers) {
                            transfer(lab, server, client, mode)?;
                        }
                    }
                }
                Ok(())
            });
        }
    }
}

/// The client is in a container, in active mode.
fn client_in_a_container(engine: Engine, prepare: fn(&Lab) -> Result<()>) {
    for family in Family::ALL {
        let setup = docker::setup(engine, Inside::Client, family);
        agent_scenario(setup, move |lab, agent| {
            let _docker = Docker::start(lab, &[])?;
            prepare(lab)?;
            let _running = start(agent, &[21])?;
            for (kind, client) in PAIRS {
                let server = Server::start(lab, kind)?;
                for mode in modes(family, client) {
                    transfer(lab, &server, client, mode)?;
                }
            }
            Ok(())
        });
    }
}

#[test]
fn a_client_in_a_container() {
    for engine in Engine::ALL {
        client_in_a_container(engine, |_| Ok(()));
    }
}

#[test]
fn a_client_in_a_container_with_random_ports() {
    client_in_a_container(Engine::Current(Backend::Nft), |lab| {
        let program = match lab.setup.family() {
            Family::V4 => "iptables-nft",
            Family::V6 => "ip6tables-nft",
        };
        let rule = format!("POSTROUTING 1 ! -o {BRIDGE} -j MASQUERADE --random-fully");
        lab.gateway.must(&format!("{program} -t nat -I {rule}"))?;
        Ok(())
    });
}

/// Help for one port opens no other one.
#[test]
fn what_is_not_published_stays_closed() {
    const OTHER: u16 = 8021;
    for engine in Engine::ALL {
        let setup = docker::setup(engine, Inside::Server, Family::V4);
        agent_scenario(setup, |lab, agent| {
            let docker = Docker::start(lab, &[21])?;
            let _running = start(agent, &[21])?;
            let lab = docker.serving(0)?;
            let server = Server::start(&lab, ServerKind::Vsftpd)?;
            let container = docker.container(0)?;
            let listener =
                container.enter(|| TcpListener::bind(("0.0.0.0", OTHER)).context("no listener"))?;
            listener.set_nonblocking(true)?;
            transfer(&lab, &server, ClientKind::Curl, Mode::Passive)?;
            let published = SocketAddr::new(lab.setup.addresses.wan, OTHER);
            duet::is_closed(&lab.client, published, &listener)?;
            // A neighbour of the host's that knows the way to the network.
            let (wan, server) = (lab.setup.addresses.wan, lab.setup.addresses.server);
            lab.client
                .must(&format!("ip route add {server}/32 via {wan}"))?;
            duet::is_closed(&lab.client, SocketAddr::new(server, OTHER), &listener)
        });
    }
}

/// From the host itself, and from another container, the control connection does not
/// cross the outside interface. A client that believes the answer to `PASV` gets to the
/// container's own address; one that uses `EPSV` asks the host for a port that is not
/// published.
#[test]
fn connections_that_stay_on_the_host_are_left_alone() {
    for engine in Engine::ALL {
        let setup = docker::setup(engine, Inside::Server, Family::V4);
        agent_scenario(setup, |lab, agent| {
            let docker = Docker::start(lab, &[21, 2121])?;
            let _running = start(agent, &[21, 2121])?;
            let lab = docker.serving(0)?;
            let server = Server::start(&lab, ServerKind::Vsftpd)?;
            let remote = format!("{DOWNLOADS}/file");
            let digest = payload::write(&server.file(&remote), 50_000, 1)?;
            for host in [&lab.gateway, docker.container(1)?] {
                let mut control = Control::login(host, server.endpoint())?;
                let announced: Announcement =
                    control.command("PASV")?.expect_code(227)?.text.parse()?;
                assert_eq!(announced.address, Some(lab.setup.addresses.server));
                let endpoint = announced.endpoint().context("no address")?;
                let data = host.enter(|| Ok(TcpStream::connect_timeout(&endpoint, LIMIT)?))?;
                control
                    .command(&format!("RETR {remote}"))?
                    .expect_code(150)?;
                let bytes = control.receive(data)?;
                assert_eq!(payload::digest_of(&bytes), digest);

                let announced: Announcement =
                    control.command("EPSV")?.expect_code(229)?.text.parse()?;
                let endpoint = SocketAddr::new(lab.setup.addresses.wan, announced.port);
                let data = host.enter(|| Ok(TcpStream::connect_timeout(&endpoint, LIMIT)))?;
                assert!(data.is_err(), "{data:?}");
            }
            assert_eq!(agent.json(&["session", "list"])?, serde_json::json!([]));
            Ok(())
        });
    }
}

/// `--random-fully` does what it says here, so that the scenario above is one.
#[test]
fn random_ports_are_random() {
    let setup = docker::setup(Engine::Current(Backend::Nft), Inside::Client, Family::V4);
    scenario(setup, |lab| {
        let _docker = Docker::start(lab, &[])?;
        let rule = format!("POSTROUTING 1 ! -o {BRIDGE} -j MASQUERADE --random-fully");
        lab.gateway
            .must(&format!("iptables-nft -t nat -I {rule}"))?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let _control = Control::login(&lab.client, server.endpoint())?;
        let entries = Entry::all(&lab.gateway, Family::V4)?;
        let control = entries
            .iter()
            .find(|entry| entry.original.destination == server.endpoint())
            .with_context(|| format!("{entries:?}"))?;
        assert_ne!(
            control.original.source.port(),
            control.reply.destination.port()
        );
        Ok(())
    });
}

/// The host's address is on a bridge, as it is for a host of virtual machines too. With
/// Docker's settings conntrack has judged a packet when it reaches that bridge;
/// at the bridge's port, the network card, it has not.
#[test]
fn the_outside_is_the_port_of_a_bridge() {
    for engine in [Engine::Current(Backend::Nft), Engine::Nftables] {
        for family in Family::ALL {
            let setup = docker::setup(engine, Inside::Server, family);
            agent_scenario(setup, |lab, agent| {
                let docker = Docker::start(lab, &[21])?;
                put_outside_on_a_bridge(lab)?;
                let _running = start(agent, &[21])?;
                let lab = docker.serving(0)?;
                let server = Server::start(&lab, ServerKind::Vsftpd)?;
                for mode in modes(family, ClientKind::Curl) {
                    transfer(&lab, &server, ClientKind::Curl, mode)?;
                }
                Ok(())
            });
        }
    }
}

fn put_outside_on_a_bridge(lab: &Lab) -> Result<()> {
    let (length, extra) = match lab.setup.family() {
        Family::V4 => (24, ""),
        Family::V6 => (64, "nodad"),
    };
    let wan = lab.setup.addresses.wan;
    for line in [
        &format!("ip address flush dev {OUTSIDE}"),
        "ip link add br0 type bridge",
        &format!("ip link set {OUTSIDE} master br0"),
        &format!("ip address add {wan}/{length} dev br0 {extra}"),
        "ip link set br0 up",
    ] {
        lab.gateway.must(line)?;
    }
    Ok(())
}
