//! Awaited data connections: who uses them up, and what netfilter then knows.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use ftp_helper_common::{interface::flags as interface_flags, reason::Reason};
use ftp_helper_tests::packets::{
    bench::{Bench, bench, bench_with},
    flow::{Flow, address, endpoint},
    segment::{Segment, flags},
};

const SENT: &str = "PORT 10,0,0,2,195,149\r\n";
const WIRE: &str = "PORT 203,0,113,1,195,149\r\n";

/// The first segment of a data connection that the peer opens.
fn syn(flow: &Flow, source: &str, destination: &str) -> Segment {
    let mut syn = flow.ingress(12_345, "").flags(flags::SYN).acknowledgment(0);
    syn.source = address(source);
    syn.destination = address(destination);
    syn
}

/// What conntrack has between the peer and `destination`, one entry a line.
fn entries(bench: &Bench, destination: &str) -> Result<Vec<String>> {
    let destination = address(destination);
    let family = match destination {
        SocketAddr::V4(_) => "ipv4",
        SocketAddr::V6(_) => "ipv6",
    };
    let list = bench.shell(&format!(
        "conntrack -L -f {family} -p tcp --orig-dst {} --orig-port-dst {} 2>/dev/null",
        destination.ip(),
        destination.port()
    ))?;
    Ok(list.lines().map(str::to_owned).collect())
}

/// The data connection is there, once, as netfilter would have made it.
#[track_caller]
fn tracked(bench: &Bench, original: (&str, &str), reply: (&str, &str)) -> Result<()> {
    let entries = entries(bench, original.1)?;
    assert_eq!(entries.len(), 1, "{entries:?}");
    let fields: Vec<_> = entries[0].split_whitespace().collect();
    let tuple = |(from, to): (&str, &str)| {
        let (from, to) = (address(from), address(to));
        [
            format!("src={}", from.ip()),
            format!("dst={}", to.ip()),
            format!("sport={}", from.port()),
            format!("dport={}", to.port()),
        ]
    };
    let addresses: Vec<_> = fields
        .iter()
        .copied()
        .filter(|field| {
            ["src=", "dst=", "sport=", "dport="]
                .iter()
                .any(|name| field.starts_with(name))
        })
        .collect();
    let expected = [tuple(original), tuple(reply)].concat();
    assert_eq!(addresses, expected, "{entries:?}");
    // Its reply direction counts as seen: a firewall takes it for established.
    assert!(!fields.contains(&"[UNREPLIED]"), "{entries:?}");
    let seconds: u64 = fields[2].parse().context("the third field is a time")?;
    assert!((50..=60).contains(&seconds), "{entries:?}");
    Ok(())
}

#[test]
fn the_awaited_connection() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.forget();
        bench.unchanged(&syn(flow, "198.51.100.7:20", "203.0.113.1:50069"));
        let events = bench.events();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].reason, Reason::ExpectationMatched as u8);
        assert_eq!(events[0].session, flow.key());
        assert_eq!(events[0].inside, endpoint(address("10.0.0.2:50069")));
        assert_eq!(events[0].outside, endpoint(address("203.0.113.1:50069")));
        bench.counted(&[(Reason::ExpectationMatched, 1)]);
        assert!(bench.expectations()?.is_empty());
        tracked(
            bench,
            ("198.51.100.7:20", "203.0.113.1:50069"),
            ("10.0.0.2:50069", "198.51.100.7:20"),
        )?;
        // Only one: the next is any stranger's, as is its own repetition.
        for port in ["198.51.100.7:21000", "198.51.100.7:20"] {
            bench.unchanged(&syn(flow, port, "203.0.113.1:50069"));
        }
        bench.counted(&[]);
        assert_eq!(entries(bench, "203.0.113.1:50069")?.len(), 1);
        Ok(())
    });
}

/// The port outside is another one than inside.
#[test]
fn a_translated_port() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.reserve([50069])?;
        bench.configure(|interface| {
            (interface.first_port, interface.last_port) = (10_007, 10_007);
        })?;
        bench.becomes(
            &flow.egress(0, SENT),
            &flow.egress(0, "PORT 203,0,113,1,39,23\r\n"),
        );
        bench.unchanged(&syn(flow, "198.51.100.7:20", "203.0.113.1:10007"));
        tracked(
            bench,
            ("198.51.100.7:20", "203.0.113.1:10007"),
            ("10.0.0.2:50069", "198.51.100.7:20"),
        )?;
        bench.reserve([])?;
        bench.configure(|_| {})
    });
}

/// The server sees the gateway as its client on both connections.
#[test]
fn a_translated_peer() {
    let flow = |start| Flow {
        seen_peer: address("10.0.0.1:50000"),
        ..Flow::server_inside(start)
    };
    bench_with(flow, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.unchanged(&flow.ingress(0, "EPSV\r\n"));
        bench.unchanged(&flow.egress(0, "229 (|||50069|)\r\n"));
        bench.unchanged(&syn(flow, "198.51.100.7:31000", "203.0.113.1:50069"));
        tracked(
            bench,
            ("198.51.100.7:31000", "203.0.113.1:50069"),
            ("10.0.0.3:50069", "10.0.0.1:31000"),
        )
    });
}

#[test]
fn over_ipv6() {
    bench_with(Flow::client_inside_v6, |bench, flow| {
        bench.shell("conntrack -F")?;
        let line = flow.egress(0, "EPRT |2|fd00::2|50069|\r\n");
        let expected = flow.egress(0, "EPRT |2|2001:db8:1::1|50069|\r\n");
        bench.becomes(&line, &expected);
        bench.unchanged(&syn(flow, "[2001:db8:7::21]:20", "[2001:db8:1::1]:50069"));
        tracked(
            bench,
            ("[2001:db8:7::21]:20", "[2001:db8:1::1]:50069"),
            ("[fd00::2]:50069", "[2001:db8:7::21]:20"),
        )
    });
}

/// Nothing is translated: the entry only opens the firewall.
#[test]
fn without_translation() {
    let flow = |start| Flow::client_inside(start).addresses("203.0.113.1", "203.0.113.1");
    bench_with(flow, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.unchanged(&flow.egress(0, WIRE));
        bench.unchanged(&syn(flow, "198.51.100.7:20", "203.0.113.1:50069"));
        tracked(
            bench,
            ("198.51.100.7:20", "203.0.113.1:50069"),
            ("203.0.113.1:50069", "198.51.100.7:20"),
        )
    });
}

/// Everything that is not exactly what is awaited goes on, and leaves the
/// expectation alone.
#[test]
fn strangers() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.forget();
        let awaited = syn(flow, "198.51.100.7:20", "203.0.113.1:50069");
        for (source, destination) in [
            ("198.51.100.8:20", "203.0.113.1:50069"),
            ("198.51.100.7:20", "203.0.113.1:50070"),
            ("198.51.100.7:20", "203.0.113.2:50069"),
            ("198.51.100.7:20", "10.0.0.2:50069"),
        ] {
            bench.unchanged(&syn(flow, source, destination));
        }
        for other in [
            0,
            flags::ACK,
            flags::SYN | flags::ACK,
            flags::RST,
            flags::SYN | flags::RST,
            flags::SYN | flags::FIN,
            flags::FIN,
        ] {
            bench.unchanged(&awaited.clone().flags(other));
        }
        // On its way out it is another's connection.
        let mut outgoing = awaited.clone();
        outgoing.direction = ftp_helper_common::session::Direction::Egress;
        bench.unchanged(&outgoing);
        bench.counted(&[]);
        assert_eq!(bench.expectations()?.len(), 1);
        assert!(entries(bench, "203.0.113.1:50069")?.is_empty());
        // ECN asks with two more flags (RFC 3168 section 6.1.1).
        let mut frame = awaited.bytes();
        frame[47] |= 0xc0;
        let checksum = u16::from_be_bytes([frame[50], frame[51]]) - 0xc0;
        frame[50..52].copy_from_slice(&checksum.to_be_bytes());
        bench.packet_unchanged(awaited.direction, &frame);
        bench.counted(&[(Reason::ExpectationMatched, 1)]);
        Ok(())
    });
}

#[test]
fn too_late() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        let outside = address("203.0.113.1:50069");
        let expectation = bench.expectation(flow, outside)?;
        let mut expectation = expectation.context("the data connection is awaited")?;
        expectation.expires = expectation.created;
        bench.expect(flow, outside, &expectation)?;
        bench.forget();
        let late = syn(flow, "198.51.100.7:20", "203.0.113.1:50069");
        bench.unchanged(&late);
        bench.counted(&[(Reason::ExpectationExpired, 1)]);
        assert!(bench.expectations()?.is_empty());
        bench.unchanged(&late);
        bench.counted(&[]);
        assert!(entries(bench, "203.0.113.1:50069")?.is_empty());
        Ok(())
    });
}

/// Strict: nothing is let in before the server's 2xx.
#[test]
fn before_the_servers_approval() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.configure(|interface| interface.flags = interface_flags::STRICT)?;
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.forget();
        let early = syn(flow, "198.51.100.7:20", "203.0.113.1:50069");
        bench.unchanged(&early);
        bench.counted(&[(Reason::NotApproved, 1)]);
        assert!(entries(bench, "203.0.113.1:50069")?.is_empty());
        bench.unchanged(&flow.ingress(0, "200 ok\r\n"));
        bench.unchanged(&early);
        bench.counted(&[(Reason::ExpectationMatched, 1)]);
        assert_eq!(entries(bench, "203.0.113.1:50069")?.len(), 1);
        bench.configure(|_| {})
    });
}

/// An active server always connects from port 20, and a client announces a port
/// again: what conntrack remembers of the last time must not be in the way.
#[test]
fn a_connection_between_the_same_ends_as_before() {
    bench(|bench| {
        let flow = Flow::client_inside(1);
        bench.open(&flow)?;
        let tuple = "-s 198.51.100.7 -d 203.0.113.1 --sport 20 --dport 50069";
        let replies = [
            // The translated connection of the last time, and one without.
            "-r 10.0.0.2 -q 198.51.100.7 --reply-port-src 50069 --reply-port-dst 20",
            "-r 203.0.113.1 -q 198.51.100.7 --reply-port-src 50069 --reply-port-dst 20",
        ];
        for reply in replies {
            bench.open(&flow)?;
            bench.shell("conntrack -F")?;
            bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
            let insert = "conntrack -I -p tcp -t 100 --state TIME_WAIT -u SEEN_REPLY";
            bench.shell(&format!("{insert} {tuple} {reply}"))?;
            bench.forget();
            bench.unchanged(&syn(&flow, "198.51.100.7:20", "203.0.113.1:50069"));
            bench.counted(&[(Reason::ExpectationMatched, 1)]);
            tracked(
                bench,
                ("198.51.100.7:20", "203.0.113.1:50069"),
                ("10.0.0.2:50069", "198.51.100.7:20"),
            )?;
        }
        Ok(())
    });
}

/// The same endpoints stand for a connection of another inside host, which only its address
/// translation brought there: a SYN, which anybody can send, must not end that.
#[test]
fn a_connection_of_another_host_that_is_in_use() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        let original = "-s 10.0.0.3 -d 198.51.100.7 --sport 5555 --dport 443";
        let reply = "-r 198.51.100.7 -q 203.0.113.1 --reply-port-src 443 --reply-port-dst 50069";
        let insert = "conntrack -I -p tcp -t 100 --state ESTABLISHED -u SEEN_REPLY,ASSURED";
        bench.shell(&format!("{insert} {original} {reply}"))?;
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.forget();
        bench.unchanged(&syn(flow, "198.51.100.7:443", "203.0.113.1:50069"));
        bench.counted(&[(Reason::ConntrackInsertFailed, 1)]);
        let listed = entries(bench, "198.51.100.7:443")?;
        assert!(
            matches!(&listed[..], [one] if one.contains("ESTABLISHED")),
            "{listed:?}"
        );
        // The data connection is awaited all the same.
        bench.unchanged(&syn(flow, "198.51.100.7:20", "203.0.113.1:50069"));
        bench.counted(&[(Reason::ExpectationMatched, 1)]);
        Ok(())
    });
}

/// A server that connects from the port in front of its control port has no second
/// connection to the same endpoint, nor for a while behind it: another inside host that
/// announces the same port gets another one outside.
#[test]
fn a_port_that_another_hosts_data_connection_has() {
    bench_with(Flow::client_inside, |bench, flow| {
        for state in ["ESTABLISHED", "TIME_WAIT"] {
            // The second one is another endpoint of the same host.
            for owner in [["10.0.0.3", "50069"], ["10.0.0.2", "50068"]] {
                let port = announced_beside(bench, flow, state, 20, owner)?;
                assert!(
                    port >= 10_000 && port != 50_069,
                    "{state} of {owner:?}: {port}"
                );
            }
            // Its own, and one from a port that the server does not use.
            for (from, owner) in [(20, ["10.0.0.2", "50069"]), (4000, ["10.0.0.3", "50069"])] {
                let port = announced_beside(bench, flow, state, from, owner)?;
                assert_eq!(port, 50_069, "{state} from {from} to {owner:?}");
            }
        }
        Ok(())
    });
}

/// The outside port that an announcement gets beside a connection in this state from this
/// port of the server to the outside port that it would get, which is that of `inside`.
fn announced_beside(
    bench: &mut Bench,
    flow: &Flow,
    state: &str,
    from: u16,
    [inside, port]: [&str; 2],
) -> Result<u16> {
    bench.open(flow)?;
    bench.shell("conntrack -F")?;
    let insert = format!("conntrack -I -p tcp -t 100 --state {state} -u SEEN_REPLY");
    let original = format!("-s 198.51.100.7 -d 203.0.113.1 --sport {from} --dport 50069");
    let reply =
        format!("-r {inside} -q 198.51.100.7 --reply-port-src {port} --reply-port-dst {from}");
    bench.shell(&format!("{insert} {original} {reply}"))?;
    let line = flow.egress(0, SENT);
    bench.run(line.direction, &line.bytes())?;
    let awaited = bench.expectations()?;
    assert_eq!(awaited.len(), 1, "{awaited:?}");
    let (key, expectation) = &awaited[0];
    assert_eq!(expectation.target, endpoint(address("10.0.0.2:50069")));
    Ok(key.destination.port)
}

/// Data connections may come from a port of control connections, and must not be awaited
/// at one.
#[test]
fn a_data_connection_with_a_control_port() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("conntrack -F")?;
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        bench.forget();
        bench.unchanged(&syn(flow, "198.51.100.7:21", "203.0.113.1:50069"));
        bench.counted(&[(Reason::ExpectationMatched, 1)]);

        bench.open(flow)?;
        bench.open_port(50_069, true)?;
        let line = flow.egress(0, SENT);
        bench.run(line.direction, &line.bytes())?;
        let awaited = bench.expectations()?;
        assert_eq!(awaited.len(), 1, "{awaited:?}");
        assert_ne!(awaited[0].0.destination.port, 50_069);
        bench.open_port(50_069, false)
    });
}

/// Two sessions announce the same port: each gets one of its own.
#[test]
fn two_clients_with_the_same_port() {
    bench(|bench| {
        let one = Flow::client_inside(1);
        let mut other = Flow::client_inside(1).addresses("10.0.0.3", "203.0.113.1");
        other.outside.set_port(40001);
        bench.open(&one)?;
        bench.becomes(&one.egress(0, SENT), &one.egress(0, WIRE));
        bench.set_session(&other, &other.session())?;
        let line = other.egress(0, "PORT 10,0,0,3,195,149\r\n");
        bench.run(line.direction, &line.bytes())?;
        let awaited = bench.expectations()?;
        assert_eq!(awaited.len(), 2);
        for (key, expectation) in awaited {
            let first = expectation.master == one.key();
            assert_eq!(first, key.destination.port == 50069);
            // As many digits, so that the line keeps its length.
            assert!(key.destination.port >= 10_000);
            let inside = if first {
                "10.0.0.2:50069"
            } else {
                "10.0.0.3:50069"
            };
            assert_eq!(expectation.target, endpoint(address(inside)));
        }
        Ok(())
    });
}
