//! A node of Kubernetes: FTP servers in pods of which only the control port is
//! published, and clients in pods, with the rules of kube-proxy and flannel.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    agent::{Agent, RunningAgent},
    announcement::Announcement,
    check::{PAIRS, modes, nothing_arrives, transfer},
    client::{ClientKind, Mode},
    conntrack::Entry,
    control::Control,
    lab::Lab,
    node::{self, Door, Node, OUTSIDE, Proxy},
    ongoing::{Large, Ongoing},
    payload,
    scenario::{agent_scenario, scenario},
    server::{DOWNLOADS, Server, ServerKind},
    setup::{Backend, Family, Inside},
};
use nix::sys::signal::Signal;

/// The agent as its manifest starts it: all doors of the node.
fn start(agent: &Agent) -> Result<RunningAgent> {
    agent.start_for(OUTSIDE, &Door::ALL.map(Door::port))
}

/// A node with server pods, and an agent on it.
fn serving(
    proxy: Proxy,
    family: Family,
    pods: usize,
    body: impl FnOnce(&Lab, &Agent, &mut Node<'_>) -> Result<()> + Send,
) {
    agent_scenario(node::setup(proxy, Inside::Server, family), |lab, agent| {
        let mut node = Node::start(lab, pods)?;
        let _running = start(agent)?;
        body(lab, agent, &mut node)
    });
}

/// A connection that a pod opens gets the node's address, also when its client knows
/// the pod by another one: that is what flannel's rules say.
fn is_masqueraded(door: Door) -> bool {
    door == Door::External
}

/// Every mode works for clients outside; passive mode is what needs help.
fn publishing_the_control_port_is_enough(proxy: Proxy) {
    for family in Family::ALL {
        serving(proxy, family, 1, |_, agent, node| {
            let mut helped = 0;
            for door in Door::ALL {
                let lab = node.serving(0, door)?;
                let server = Server::start(&lab, ServerKind::Vsftpd)?;
                let modes = modes(family, ClientKind::Curl);
                for mode in modes.filter(|mode| !(mode.is_active() && is_masqueraded(door))) {
                    let rewrites = transfer(&lab, &server, ClientKind::Curl, mode)
                        .with_context(|| format!("{door:?}"))?;
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
fn one_port_with_iptables_legacy() {
    publishing_the_control_port_is_enough(Proxy::Iptables(Backend::Legacy));
}

#[test]
fn one_port_with_iptables_nft() {
    publishing_the_control_port_is_enough(Proxy::Iptables(Backend::Nft));
}

#[test]
fn one_port_with_nftables() {
    publishing_the_control_port_is_enough(Proxy::Nftables);
}

/// The rules let nothing else in: passive mode fails without help.
#[test]
fn without_help_passive_mode_fails() {
    for proxy in Proxy::ALL {
        scenario(node::setup(proxy, Inside::Server, Family::V4), |lab| {
            let node = Node::start(lab, 1)?;
            for door in Door::ALL {
                let lab = node.serving(0, door)?;
                let server = Server::start(&lab, ServerKind::Vsftpd)?;
                // The node itself is right: what needs no help works.
                if !is_masqueraded(door) {
                    transfer(&lab, &server, ClientKind::Curl, Mode::Active)?;
                }
                nothing_arrives(&lab, &server, Mode::Passive)?;
            }
            Ok(())
        });
    }
}

/// With the pods' end of the bridge as inside interface the data connection that a pod
/// opens has the address of its control connection, whatever the node's rules say.
#[test]
fn an_active_server_keeps_the_external_address() {
    for proxy in Proxy::ALL {
        for family in Family::ALL {
            let setup = node::setup(proxy, Inside::Server, family);
            agent_scenario(setup, |lab, agent| {
                let node = Node::start(lab, 1)?;
                let _running =
                    agent.start_with(&["run", "-i", OUTSIDE, "--inside", node::INSIDE])?;
                let lab = node.serving(0, Door::External)?;
                let server = Server::start(&lab, ServerKind::Vsftpd)?;
                let mut helped = 0;
                for mode in modes(family, ClientKind::Curl) {
                    helped += transfer(&lab, &server, ClientKind::Curl, mode)?.len() as u64;
                }
                assert!(helped > 0);
                assert_eq!(agent.count("expectation_matched")?, helped);
                Ok(())
            });
        }
    }
}

/// The client is in a pod, in active mode; its node masquerades with random ports.
#[test]
fn a_client_in_a_pod() {
    for proxy in Proxy::ALL {
        for family in Family::ALL {
            agent_scenario(node::setup(proxy, Inside::Client, family), |lab, agent| {
                let _node = Node::start(lab, 1)?;
                let _running = start(agent)?;
                let mut helped = 0;
                for (kind, client) in PAIRS {
                    let server = Server::start(lab, kind)?;
                    for mode in modes(family, client) {
                        let rewrites = transfer(lab, &server, client, mode)?;
                        if mode.is_active() {
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
}

/// A session with one of the Service's pods, chosen by the node.
struct Visit {
    control: Control,
    /// The pod.
    pod: usize,
}

/// What the gateway knows of a connection of the client, which may have used the same port
/// for another one.
fn entry(lab: &Lab, (from, to): (SocketAddr, SocketAddr)) -> Result<Option<Entry>> {
    let entries = Entry::all(&lab.gateway, lab.setup.family())?;
    let mut entries = entries.into_iter();
    Ok(entries.find(|entry| entry.original.source == from && entry.original.destination == to))
}

impl Visit {
    fn login(lab: &Lab, node: &Node<'_>, server: &Server) -> Result<Self> {
        let control = Control::login(&lab.client, server.endpoint())?;
        let ends = (control.local()?, server.endpoint());
        let entry = entry(lab, ends)?;
        let at = entry.context("no control connection")?.reply.source.ip();
        let pod = (0..2)
            .find(|pod| node.pod(*pod).is_ok_and(|(_, address)| address == at))
            .with_context(|| format!("{at} is no pod"))?;
        Ok(Self { control, pod })
    }

    /// Downloads in passive mode; an error unless the data comes from the pod of the
    /// control connection.
    fn retrieve(&mut self, lab: &Lab, node: &Node<'_>, remote: &str) -> Result<Vec<u8>> {
        let reply = self.control.command("PASV")?.expect_code(227)?;
        let announced: Announcement = reply.text.parse()?;
        let to = announced.endpoint().context("no address in 227")?;
        let data = lab.client.enter(|| Ok(TcpStream::connect(to)?))?;
        let entry = entry(lab, (data.local_addr()?, to))?;
        let served = entry.context("no data connection")?.reply.source.ip();
        let (_, expected) = node.pod(self.pod)?;
        ensure!(served == expected, "{served} instead of {expected}");
        self.control
            .command(&format!("RETR {remote}"))?
            .expect_code(150)?;
        self.control.receive(data)
    }
}

/// Two pods behind one Service: the data connection goes to the pod of its control
/// connection, whichever that is.
#[test]
fn data_follows_its_control_connection() {
    for proxy in Proxy::ALL {
        serving(proxy, Family::V4, 2, |_, _, node| {
            let lab = node.serving(0, Door::NodePort)?;
            let server = Server::start(&lab, ServerKind::Vsftpd)?;
            let other = Server::start(&node.serving(1, Door::NodePort)?, ServerKind::Pyftpdlib)?;
            let remote = format!("{DOWNLOADS}/file");
            let digest = payload::write(&server.file(&remote), 50_000, 1)?;
            let mut visited = BTreeSet::new();
            let mut visits = Vec::new();
            // Each pod is chosen with a chance of one half.
            for _ in 0..40 {
                let mut visit = Visit::login(&lab, node, &server)?;
                let bytes = visit.retrieve(&lab, node, &remote)?;
                assert_eq!(payload::digest_of(&bytes), digest);
                visited.insert(visit.pod);
                visits.push(visit);
                if visited.len() == 2 && visits.len() >= 6 {
                    break;
                }
            }
            assert_eq!(visited.len(), 2, "one pod only");
            // All of them at once, and a second time.
            for visit in &mut visits {
                let bytes = visit.retrieve(&lab, node, &remote)?;
                assert_eq!(payload::digest_of(&bytes), digest);
            }
            drop(other);
            Ok(())
        });
    }
}

/// Clients outside that reach the Service at its own address. The node translates their
/// addresses too, so the pod sees the node in both connections; it takes data from
/// nobody else than from whom it was asked.
#[test]
fn the_own_address_of_the_service() {
    for proxy in Proxy::ALL {
        for family in Family::ALL {
            serving(proxy, family, 1, |_, agent, node| {
                let lab = node.serving(0, Door::External)?;
                let server = Server::start(&lab, ServerKind::Vsftpd)?;
                let remote = format!("{DOWNLOADS}/file");
                let digest = payload::write(&server.file(&remote), 50_000, 1)?;
                let service = node.announce_service()?;
                let mut control = Control::login(&lab.client, service)?;
                let entries = Entry::all(&lab.gateway, family)?;
                let local = control.local()?;
                let entry = entries.iter().find(|entry| entry.original.source == local);
                let entry = entry.context("no control connection")?;
                ensure!(
                    entry.reply.destination.ip() != local.ip(),
                    "not translated: {entry:?}"
                );
                let data = match family {
                    Family::V4 => {
                        let reply = control.command("PASV")?.expect_code(227)?;
                        let announced: Announcement = reply.text.parse()?;
                        announced.endpoint().context("no address in 227")?
                    }
                    Family::V6 => {
                        let reply = control.command("EPSV")?.expect_code(229)?;
                        let announced: Announcement = reply.text.parse()?;
                        (service.ip(), announced.port).into()
                    }
                };
                ensure!(data.ip() == service.ip(), "{data} was announced");
                let data = lab.client.enter(|| Ok(TcpStream::connect(data)?))?;
                control
                    .command(&format!("RETR {remote}"))?
                    .expect_code(150)?;
                let bytes = control.receive(data)?;
                assert_eq!(payload::digest_of(&bytes), digest);
                assert_eq!(agent.count("expectation_matched")?, 1);
                Ok(())
            });
        }
    }
}

/// A rolling upgrade of the DaemonSet: the agent of a node is stopped and a new one
/// takes over, while a client downloads from a pod.
#[test]
fn the_agent_is_upgraded_during_a_transfer() {
    const SIZE: u64 = 50_000_000;
    for proxy in Proxy::ALL {
        let setup = node::setup(proxy, Inside::Server, Family::V4);
        agent_scenario(setup, |lab, agent| {
            let node = Node::start(lab, 1)?;
            let mut old = start(agent)?;
            let lab = node.serving(0, Door::NodePort)?;
            let server = Server::start(&lab, ServerKind::Vsftpd)?;
            let remote = format!("{DOWNLOADS}/large");
            let large = Large::make(&lab.server, &server.file(&remote), SIZE)?;
            let endpoint = server.endpoint();
            let ongoing = Ongoing::start(&lab.client, endpoint, Mode::Passive, &remote)?;
            old.stop(Signal::SIGTERM)?;
            let _new = start(agent)?;
            assert!(ongoing.arrived() < SIZE, "the transfer was over too early");
            ongoing.finish(&large)?;
            transfer(&lab, &server, ClientKind::Curl, Mode::Passive)?;
            Ok(())
        });
    }
}

/// A new pod takes the place of one, with another address. Who comes next is helped,
/// and nothing leads to the old address any more.
#[test]
fn a_pod_is_replaced() {
    for proxy in Proxy::ALL {
        serving(proxy, Family::V4, 1, |_, agent, node| {
            let lab = node.serving(0, Door::NodePort)?;
            let server = Server::start(&lab, ServerKind::Vsftpd)?;
            transfer(&lab, &server, ClientKind::Curl, Mode::Passive)?;
            // Left with an announcement that nobody has used.
            let mut control = Control::login(&lab.client, server.endpoint())?;
            control.command("PASV")?.expect_code(227)?;
            let (_, old) = node.pod(0)?;
            drop(server);
            node.replace_pod(0)?;
            let (_, new) = node.pod(0)?;
            assert_ne!(old, new);
            let lab = node.serving(0, Door::NodePort)?;
            let server = Server::start(&lab, ServerKind::Vsftpd)?;
            let before = agent.count("expectation_matched")?;
            let rewrites = transfer(&lab, &server, ClientKind::Curl, Mode::Passive)?;
            let matched = agent.count("expectation_matched")? - before;
            assert_eq!(matched, rewrites.len() as u64);
            Ok(())
        });
    }
}
