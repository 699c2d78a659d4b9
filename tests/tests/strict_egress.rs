//! A firewall that lets hosts inside open control connections and nothing else: the
//! data connections that they open are admitted on the inside interface.

use std::{
    fs,
    net::{IpAddr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    agent::{Agent, RunningAgent},
    announcement::{Announcement, Form},
    check::{modes, nothing_arrives, passes_firewall},
    client::Mode,
    docker::bridges_without_iptables,
    duet::{Duet, Manner, is_closed},
    firewall::Counts,
    host::Host,
    lab::Lab,
    scenario::{agent_scenario, skip},
    server::{Server, ServerKind},
    setup::{Backend, Egress, Family, Inside, Ruleset, Setup, Source, Translation, neighbour},
    wait::wait_for,
};

const IPTABLES_NFT: Ruleset = Ruleset::Iptables(Backend::Nft);

const IPTABLES_LEGACY: Ruleset = Ruleset::Iptables(Backend::Legacy);

/// A data port that nobody announces.
const OTHER: u16 = 8080;

/// Longest wait for the agent.
const LIMIT: Duration = Duration::from_secs(5);

/// The gateway's inside interface.
const INSIDE: &str = "lan0";

/// The port of the bridge that some make of it.
const PORT: &str = "port0";

fn start(agent: &Agent, inside: &str) -> Result<RunningAgent> {
    agent.start_with(&["run", "-i", "wan0", "--inside", inside])
}

fn strict(ruleset: Ruleset, inside: Inside, family: Family, translation: Translation) -> Setup {
    Setup {
        ruleset,
        egress: Egress::ControlOnly,
        ..Setup::new(inside, family, translation)
    }
}

/// Every mode works, whoever opens the data connection, which has the address of
/// its control connection on the outside. Nothing is dropped on the way.
fn passes(setup: Setup) {
    passes_with(setup, INSIDE, |_| Ok(()));
}

/// [`passes`] on a gateway changed by `prepare`, with this inside interface.
fn passes_with(setup: Setup, inside: &str, prepare: fn(&Lab) -> Result<()>) {
    agent_scenario(setup, |lab, agent| {
        prepare(lab)?;
        let _running = start(agent, inside)?;
        passes_firewall(lab, agent, |family, client| modes(family, client).collect())
    });
}

fn every_kind_passes(ruleset: Ruleset, inside: Inside) {
    for family in Family::ALL {
        for translation in Translation::ALL {
            passes(strict(ruleset, inside, family, translation));
        }
    }
}

/// Each way to write rules once, and both families.
fn kinds() -> impl Iterator<Item = (Ruleset, Family)> {
    let rulesets = Ruleset::ALL.map(|ruleset| (ruleset, Family::V4));
    rulesets
        .into_iter()
        .chain([(Ruleset::Nftables, Family::V6)])
}

#[test]
fn nftables_client_inside() {
    every_kind_passes(Ruleset::Nftables, Inside::Client);
}

#[test]
fn nftables_server_inside() {
    every_kind_passes(Ruleset::Nftables, Inside::Server);
}

#[test]
fn iptables_nft_client_inside() {
    every_kind_passes(IPTABLES_NFT, Inside::Client);
}

#[test]
fn iptables_nft_server_inside() {
    every_kind_passes(IPTABLES_NFT, Inside::Server);
}

#[test]
fn iptables_legacy_client_inside() {
    every_kind_passes(IPTABLES_LEGACY, Inside::Client);
}

#[test]
fn iptables_legacy_server_inside() {
    every_kind_passes(IPTABLES_LEGACY, Inside::Server);
}

/// Masquerade would give the data connection the gateway's first outside address;
/// the control connection has the second one, and servers compare.
#[test]
fn the_control_connection_has_the_second_outside_address() {
    for (ruleset, family) in kinds() {
        for inside in Inside::ALL {
            passes(Setup {
                source: Source::SecondAddress,
                ..strict(ruleset, inside, family, Translation::Nat)
            });
        }
    }
}

#[test]
fn masquerade_with_random_ports() {
    for ruleset in Ruleset::ALL {
        for inside in Inside::ALL {
            passes(Setup {
                source: Source::RandomPort,
                ..strict(ruleset, inside, Family::V4, Translation::Nat)
            });
        }
    }
}

/// The rules are as strict as they say: without the inside interface the data
/// connections that start inside are dropped.
#[test]
fn without_the_inside_interface_they_are_dropped() {
    for (ruleset, family) in kinds() {
        for inside in Inside::ALL {
            for translation in Translation::ALL {
                let setup = strict(ruleset, inside, family, translation);
                agent_scenario(setup, |lab, agent| {
                    let _running = agent.start()?;
                    is_dropped(lab).with_context(|| lab.setup.name())
                });
            }
        }
    }
}

fn is_dropped(lab: &Lab) -> Result<()> {
    let server = Server::start(lab, ServerKind::Vsftpd)?;
    let mode = match lab.setup.inside {
        Inside::Client => Mode::Passive,
        Inside::Server => Mode::Active,
    };
    nothing_arrives(lab, &server, mode)?;
    assert!(Counts::of(lab)?.refused > 0);
    Ok(())
}

/// Runs `body` for a host inside with all versions of IP and of translation.
fn each(inside: Inside, body: fn(&Lab, &Agent) -> Result<()>) {
    for family in Family::ALL {
        for translation in Translation::ALL {
            let setup = strict(Ruleset::Nftables, inside, family, translation);
            agent_scenario(setup, |lab, agent| {
                let _running = start(agent, INSIDE)?;
                body(lab, agent).with_context(|| lab.setup.name())
            });
        }
    }
}

/// Nobody on `host` gets there, and it is the firewall that says so.
fn is_dropped_on_the_way(
    lab: &Lab,
    host: &Host,
    to: SocketAddr,
    listener: &TcpListener,
) -> Result<()> {
    let before = Counts::of(lab)?;
    is_closed(host, to, listener)?;
    let after = Counts::of(lab)?;
    ensure!(
        after.refused > before.refused,
        "the connection to {to} met nobody"
    );
    Ok(())
}

/// Does `work` with another host's address in what the inside host sends on new
/// connections.
fn as_a_neighbour(lab: &Lab, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let neighbour = neighbour(lab.setup.inside_address(), 77);
    let (host, router) = (lab.inside(), lab.setup.addresses.lan);
    let (length, extra) = match lab.setup.family() {
        Family::V4 => (24, ""),
        Family::V6 => (64, "nodad"),
    };
    host.must(&format!(
        "ip address add {neighbour}/{length} dev eth0 {extra}"
    ))?;
    let route = format!("ip route replace default via {router}");
    host.must(&format!("{route} src {neighbour}"))?;
    let result = work();
    host.must(&route)?;
    // An address more is a choice that IPv6 makes in its own way.
    host.must(&format!("ip address del {neighbour}/{length} dev eth0"))?;
    result
}

/// The reply that a server gives to the command of its family.
fn passive(address: IpAddr, port: u16) -> (&'static str, String) {
    match address {
        IpAddr::V4(_) => {
            let reply = Announcement {
                form: Form::Reply227,
                address: Some(address),
                port,
            };
            ("PASV\r\n", format!("{reply}\r\n"))
        }
        IpAddr::V6(_) => (
            "EPSV\r\n",
            format!("229 Entering Extended Passive Mode (|||{port}|)\r\n"),
        ),
    }
}

/// A client inside, and an announcement of the server's: exactly one connection,
/// from this client to this port.
#[test]
fn a_passive_client_gets_one_connection() {
    each(Inside::Client, |lab, _| {
        let mut duet = Duet::login(lab, Manner::default())?;
        let listener = duet.server.listen()?;
        let other = lab
            .server
            .enter(|| Ok(TcpListener::bind((lab.setup.addresses.server, OTHER))?))?;
        other.set_nonblocking(true)?;
        let elsewhere = SocketAddr::new(lab.setup.addresses.server, OTHER);
        let announced = listener.local_addr()?;
        // Nothing is announced yet.
        is_dropped_on_the_way(lab, &lab.client, announced, &listener)?;

        let (command, reply) = passive(announced.ip(), announced.port());
        duet.client_says(command)?;
        duet.server_says(&reply)?;
        is_dropped_on_the_way(lab, &lab.client, elsewhere, &other)?;
        as_a_neighbour(lab, || {
            is_dropped_on_the_way(lab, &lab.client, announced, &listener)
        })?;
        duet.passive_data(announced, &listener)?;

        is_dropped_on_the_way(lab, &lab.client, announced, &listener)?;
        is_dropped_on_the_way(lab, &lab.client, elsewhere, &other)
    });
}

/// A server inside, and an announcement of the client's.
#[test]
fn an_active_server_gets_one_connection() {
    each(Inside::Server, |lab, _| {
        let mut duet = Duet::login(lab, Manner::default())?;
        let listener = duet.client.listen()?;
        let other = lab
            .client
            .enter(|| Ok(TcpListener::bind((lab.setup.addresses.client, OTHER))?))?;
        other.set_nonblocking(true)?;
        let elsewhere = SocketAddr::new(lab.setup.addresses.client, OTHER);
        let announced = listener.local_addr()?;
        is_dropped_on_the_way(lab, &lab.server, announced, &listener)?;

        let command = Announcement::command(announced.ip(), announced.port(), false);
        duet.client_says(&format!("{command}\r\n"))?;
        duet.server_says("200 fine\r\n")?;
        is_dropped_on_the_way(lab, &lab.server, elsewhere, &other)?;
        as_a_neighbour(lab, || {
            is_dropped_on_the_way(lab, &lab.server, announced, &listener)
        })?;
        duet.active_data(announced, &listener)?;

        is_dropped_on_the_way(lab, &lab.server, announced, &listener)?;
        is_dropped_on_the_way(lab, &lab.server, elsewhere, &other)
    });
}

/// What was announced and not used goes with the control connection.
#[test]
fn the_end_of_the_control_connection_closes_it() {
    each(Inside::Client, |lab, agent| {
        let mut duet = Duet::login(lab, Manner::default())?;
        let listener = duet.server.listen()?;
        let announced = listener.local_addr()?;
        let (command, reply) = passive(announced.ip(), announced.port());
        duet.client_says(command)?;
        duet.server_says(&reply)?;
        let awaited = |count| {
            wait_for("the list of what is awaited", LIMIT, || {
                let list = agent.json(&["expect", "list"])?;
                Ok((list.as_array().map(Vec::len) == Some(count)).then_some(()))
            })
        };
        awaited(1)?;
        drop(duet);
        awaited(0)?;
        is_dropped_on_the_way(lab, &lab.client, announced, &listener)
    });
}

/// A server outside can not send its client anywhere: not to another host, not to a
/// port of a well-known service, and not without having been asked.
#[test]
fn a_server_outside_opens_nothing_but_its_own_data_port() {
    each(Inside::Client, |lab, agent| {
        let mut duet = Duet::login(lab, Manner::default())?;
        let server = lab.setup.addresses.server;
        let listener = duet.server.listen()?;
        let announced = listener.local_addr()?;

        let (command, reply) = passive(server, announced.port());
        duet.server_says(&reply)?;
        is_dropped_on_the_way(lab, &lab.client, announced, &listener)?;
        assert_eq!(agent.count("unsolicited")?, 1);

        let low = lab.server.enter(|| Ok(TcpListener::bind((server, 25))?))?;
        low.set_nonblocking(true)?;
        let (_, low_reply) = passive(server, 25);
        duet.client_says(command)?;
        duet.server_says(&low_reply)?;
        is_dropped_on_the_way(lab, &lab.client, SocketAddr::new(server, 25), &low)?;
        assert_eq!(agent.count("low_port")?, 1);

        if server.is_ipv4() {
            let third: IpAddr = "203.0.113.7".parse()?;
            lab.server
                .must(&format!("ip address add {third}/24 dev eth0"))?;
            let victim = lab
                .server
                .enter(|| Ok(TcpListener::bind((third, OTHER))?))?;
            victim.set_nonblocking(true)?;
            let (_, third_reply) = passive(third, OTHER);
            duet.client_says(command)?;
            duet.server_says(&third_reply)?;
            let to = SocketAddr::new(third, OTHER);
            is_dropped_on_the_way(lab, &lab.client, to, &victim)?;
            assert_eq!(agent.count("third_party")?, 1);
        }
        Ok(())
    });
}

/// The inside interface is a bridge.
#[test]
fn the_inside_is_a_bridge() {
    for inside in Inside::ALL {
        for family in Family::ALL {
            let setup = strict(Ruleset::Nftables, inside, family, Translation::Nat);
            passes_with(setup, INSIDE, |lab| make_inside_a_bridge(lab, "0"));
        }
    }
}

/// Where the bridge shows its packets to iptables, conntrack has judged a packet when
/// it reaches the bridge; at the bridge's port it has not.
#[test]
fn the_inside_is_a_port_of_a_bridge_that_calls_iptables() {
    if let Some(why) = bridges_without_iptables() {
        skip(&why);
        return;
    }
    for inside in Inside::ALL {
        for family in Family::ALL {
            let setup = strict(IPTABLES_NFT, inside, family, Translation::Nat);
            passes_with(setup, PORT, |lab| make_inside_a_bridge(lab, "1"));
        }
    }
}

/// Puts what was the inside interface on a bridge that has its name and address.
fn make_inside_a_bridge(lab: &Lab, shown: &str) -> Result<()> {
    let gateway = &lab.gateway;
    let (length, extra) = match lab.setup.family() {
        Family::V4 => (24, ""),
        Family::V6 => (64, "nodad"),
    };
    let address = lab.setup.addresses.lan;
    for line in [
        "ip link set lan0 down",
        "ip address flush dev lan0",
        &format!("ip link set lan0 name {PORT}"),
        "ip link add lan0 type bridge",
        &format!("ip link set {PORT} master lan0 up"),
        &format!("ip address add {address}/{length} dev lan0 {extra}"),
        "ip link set lan0 up",
    ] {
        gateway.must(line)?;
    }
    // Another test may load the module later, and its own settings show packets.
    let _ = bridges_without_iptables();
    gateway.enter(|| {
        for name in ["iptables", "ip6tables"] {
            let path = format!("/proc/sys/net/bridge/bridge-nf-call-{name}");
            if Path::new(&path).exists() {
                fs::write(&path, shown).with_context(|| format!("{path} not set"))?;
            }
        }
        Ok(())
    })
}
