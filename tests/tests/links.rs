//! Outside interfaces of every kind: with an Ethernet header, without one, with
//! a VLAN tag beside the packet or in it.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    announcement::Announcement,
    cases,
    check::exchange,
    client::{ClientKind, Mode},
    counters::TcpCounters,
    duet::{Duet, Manner},
    lab::Lab,
    link::BASE,
    scenario::agent_scenario,
    server::{Server, ServerKind},
    setup::{Family, Inside, Link, Setup, Translation},
    transfers::Transfers,
};

/// Transfers of real programs in all modes; the agent watches `interface`.
fn transfers_work(setup: Setup, interface: &str) {
    agent_scenario(setup, |lab, agent| {
        let _running = agent.start_with(&["run", "-i", interface])?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut helped = 0;
        for mode in Mode::ALL {
            if mode.is_extended() && setup.family() == Family::V6 {
                continue;
            }
            let transfers = transfers(lab, &server)?;
            exchange(lab, &server, ClientKind::Curl, mode, &transfers)
                .with_context(|| format!("{}, {:?}", setup.name(), setup.link))?;
            if mode.is_active() == (setup.inside == Inside::Client) {
                helped += transfers.len() as u64;
            }
        }
        assert_eq!(agent.count("expectation_created")?, helped);
        assert_eq!(agent.count("expectation_matched")?, helped);
        Ok(())
    });
}

/// Large enough for segments that are larger than a packet.
fn transfers(lab: &Lab, server: &Server) -> Result<Transfers> {
    let mut transfers = Transfers::new();
    transfers.list(lab, server, "listed")?;
    transfers.download(lab, server, 1 << 20)?;
    transfers.upload(lab, server, 1 << 20)?;
    Ok(transfers)
}

/// Both sides, both families.
fn every_shape(link: Link, interface: &str) {
    shapes(
        link,
        interface,
        &[(Inside::Client, Family::V6), (Inside::Server, Family::V4)],
    );
    both_sides(link, interface);
}

/// Both sides, each with one family.
fn both_sides(link: Link, interface: &str) {
    shapes(
        link,
        interface,
        &[(Inside::Client, Family::V4), (Inside::Server, Family::V6)],
    );
}

fn shapes(link: Link, interface: &str, shapes: &[(Inside, Family)]) {
    for &(inside, family) in shapes {
        let setup = Setup {
            link,
            ..Setup::new(inside, family, Translation::Nat)
        };
        transfers_work(setup, interface);
    }
}

/// The dialogues that have to work: lines in pieces are held, and acknowledged by a
/// packet that the program sends back itself.
fn dialogues_work(link: Link, interface: &str, inside: Inside, family: Family) {
    let setup = Setup {
        link,
        ..cases::setup(inside, family)
    };
    agent_scenario(setup, |lab, agent| {
        let _running = agent.start_with(&["run", "-i", interface])?;
        let mut failed = Vec::new();
        for case in cases::of(inside, family).filter(|case| !case.is_hostile()) {
            failed.extend(case.run_in_time(lab)?);
        }
        assert!(agent.count("line_held")? > 0);
        if inside == Inside::Client {
            held_bytes_are_acknowledged(lab)?;
        }
        assert!(failed.is_empty(), "{failed:#?}");
        Ok(())
    });
}

/// A client that sends nothing while something is not acknowledged: a segment of which
/// all is held goes back as an acknowledgment. A client that gets none sends the rest
/// after a time-out, which may happen on a busy machine, but not each time.
fn held_bytes_are_acknowledged(lab: &Lab) -> Result<()> {
    const ROUNDS: usize = 5;
    /// Longer than a receiver's acknowledgment is delayed.
    const PAUSE: Duration = Duration::from_millis(100);
    let manner = Manner {
        nagle: true,
        ..Manner::default()
    };
    let mut duet = Duet::login(lab, manner)?;
    let mut late = 0;
    for _ in 0..ROUNDS {
        let at = duet.client.listen()?.local_addr()?;
        let line = format!("{}\r\n", Announcement::command(at.ip(), at.port(), false));
        // The verb, the first byte of what will be replaced, and the rest.
        let (verb, numbers) = line.split_at(5);
        let (first, rest) = numbers.split_at(1);
        duet.client.write(verb)?;
        duet.server.expect(verb)?;
        sleep(PAUSE);
        let before = TcpCounters::of(&lab.client)?;
        duet.client.write(first)?;
        duet.client.write(rest)?;
        let received = duet.server.line()?;
        ensure!(received != rest, "the announcement was not rewritten");
        let since = TcpCounters::of(&lab.client)?.since(before);
        late += usize::from(since.timeouts + since.probes > 0);
        duet.server_says("200 done\r\n")?;
    }
    ensure!(late < ROUNDS, "held bytes were not acknowledged");
    Ok(())
}

#[test]
fn tun() {
    every_shape(Link::Tun, "wan0");
}

#[test]
fn dialogues_over_tun_with_a_client_inside() {
    dialogues_work(Link::Tun, "wan0", Inside::Client, Family::V4);
}

#[test]
fn dialogues_over_tun_with_a_server_inside() {
    dialogues_work(Link::Tun, "wan0", Inside::Server, Family::V6);
}

/// Without a link header the sender's address is where an Ethernet header has the type of
/// what follows.
#[test]
fn addresses_that_look_like_an_ethernet_header() {
    let lookalikes: [(Family, [IpAddr; 2]); 2] = [
        (
            Family::V4,
            [Ipv4Addr::new(8, 0, 69, 1), Ipv4Addr::new(8, 0, 69, 2)].map(IpAddr::V4),
        ),
        (
            Family::V6,
            [1, 2].map(|host| Ipv6Addr::new(0x2001, 0xdb8, 0x86dd, 0x6000, 0, 0, 0, host).into()),
        ),
    ];
    for (family, [wan, client]) in lookalikes {
        let mut setup = Setup {
            link: Link::Tun,
            ..Setup::new(Inside::Server, family, Translation::Nat)
        };
        setup.addresses.wan = wan;
        setup.addresses.client = client;
        transfers_work(setup, "wan0");
    }
}

#[test]
fn wireguard() {
    every_shape(Link::Wireguard, "wan0");
}

/// On an interface of IPsec's own, packets are as they are before and behind it.
#[test]
fn ipsec() {
    both_sides(Link::Xfrm, "wan0");
}

#[test]
fn gre() {
    both_sides(Link::Gre, "wan0");
}

#[test]
fn macvlan() {
    both_sides(Link::Macvlan, "wan0");
}

/// The packets have no tag any more.
#[test]
fn vlan() {
    both_sides(Link::Vlan, "wan0");
}

#[test]
fn below_a_vlan_with_the_tag_beside_the_packet() {
    every_shape(Link::Vlan, BASE);
}

#[test]
fn below_a_vlan_with_the_tag_in_the_packet() {
    every_shape(Link::VlanInPacket, BASE);
}

#[test]
fn below_two_vlans() {
    both_sides(Link::DoubleVlan, BASE);
}

#[test]
fn dialogues_below_a_vlan_with_a_client_inside() {
    dialogues_work(Link::VlanInPacket, BASE, Inside::Client, Family::V4);
}

#[test]
fn dialogues_below_a_vlan_with_a_server_inside() {
    dialogues_work(Link::Vlan, BASE, Inside::Server, Family::V6);
}
