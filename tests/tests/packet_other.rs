//! What is none of the helper's business goes on as it is.

use std::net::SocketAddr;

use etherparse::{Icmpv4Type, IpNumber, PacketBuilder, TcpHeader};
use ftp_helper_common::{interface::ControlPort, reason::Reason, session::Direction};
use ftp_helper_tests::packets::{
    bench::{IFINDEX, bench, bench_with},
    flow::{Flow, address},
    segment::{OUR_LINK, PEER_LINK, flags},
};

const DIRECTIONS: [Direction; 2] = [Direction::Egress, Direction::Ingress];
const LINE: &str = "PORT 10,0,0,2,195,149\r\n";

#[test]
fn other_tcp_connections() {
    bench(|bench| {
        for flow in [Flow::client_inside(1), Flow::client_inside_v6(1)] {
            for port in [20, 22, 80, 2121, 65_535] {
                let flow = flow.peer_port(port);
                for segment in [flow.egress(0, LINE), flow.ingress(0, LINE)] {
                    bench.unchanged(&segment);
                    bench.unchanged(&segment.clone().flags(flags::SYN));
                    bench.unchanged(&segment.clone().flags(flags::SYN | flags::ACK));
                    bench.unchanged(&segment.clone().flags(flags::RST));
                }
            }
        }
        bench.counted(&[]);
        Ok(())
    });
}

/// A control port of another interface is none of this one.
#[test]
fn a_control_port_of_another_interface() {
    bench(|bench| {
        let flow = Flow::client_inside(1);
        bench.open(&flow)?;
        let port = |ifindex| ControlPort {
            ifindex,
            port: 21,
            reserved: 0,
        };
        let ports = &mut bench.datapath.maps.control_ports;
        ports.remove(&port(IFINDEX))?;
        ports.insert(&port(IFINDEX + 1), &1)?;
        bench.unchanged(&flow.egress(0, LINE));
        bench.unchanged(&flow.ingress(0, "220 hello\r\n"));
        bench.counted(&[]);
        bench
            .datapath
            .maps
            .control_ports
            .remove(&port(IFINDEX + 1))?;
        Ok(())
    });
}

/// Nothing is known of the connection, neither here nor in conntrack: nothing
/// can be done for it, and nothing is remembered.
#[test]
fn a_connection_that_nobody_knows() {
    bench(|bench| {
        let flow = Flow::client_inside(1);
        bench.unchanged(&flow.egress(0, LINE));
        bench.unchanged(&flow.ingress(0, "220 hello\r\n"));
        bench.counted(&[(Reason::ConntrackMissing, 2)]);
        assert!(bench.datapath.maps.sessions.entries()?.is_empty());
        Ok(())
    });
}

/// An interface that was not set up for the helper.
#[test]
fn an_interface_without_settings() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.datapath.maps.interfaces.remove(&IFINDEX)?;
        bench.unchanged(&flow.egress(0, LINE));
        bench.unchanged(&flow.ingress(0, LINE));
        bench.counted(&[]);
        Ok(())
    });
}

/// Everything but TCP, with the ports of a session where it has ports.
#[test]
fn other_protocols() {
    bench(|bench| {
        for flow in [Flow::client_inside(1), Flow::client_inside_v6(1)] {
            bench.open(&flow)?;
            let (outside, peer) = (flow.outside, flow.peer);
            for (direction, from, to) in [
                (Direction::Egress, outside, peer),
                (Direction::Ingress, peer, outside),
            ] {
                for packet in packets(from, to) {
                    bench.packet_unchanged(direction, &packet);
                }
            }
        }
        let arp = [
            &[0xff; 6][..],
            &PEER_LINK,
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
            &PEER_LINK,
            &[198, 51, 100, 7, 0, 0, 0, 0, 0, 0, 203, 0, 113, 1],
        ];
        for direction in DIRECTIONS {
            bench.packet_unchanged(direction, &arp.concat());
        }
        bench.counted(&[]);
        Ok(())
    });
}

fn packets(from: SocketAddr, to: SocketAddr) -> Vec<Vec<u8>> {
    let ethernet = || PacketBuilder::ethernet2(PEER_LINK, OUR_LINK);
    let ip = || match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            ethernet().ipv4(from.ip().octets(), to.ip().octets(), 64)
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            ethernet().ipv6(from.ip().octets(), to.ip().octets(), 64)
        }
        _ => panic!("both ends are of one family"),
    };
    // What an error message quotes looks like the session's own packet.
    let quoted = Flow::client_inside(1).egress(0, LINE).bytes().split_off(14);
    let mut packets = vec![Vec::new(); 3];
    ip().udp(from.port(), to.port())
        .write(&mut packets[0], LINE.as_bytes())
        .expect("a buffer takes it");
    ip().icmpv4(Icmpv4Type::DestinationUnreachable(
        etherparse::icmpv4::DestUnreachableHeader::Port,
    ))
    .write(&mut packets[1], &quoted)
    .expect("a buffer takes it");
    // GRE and the like: the same bytes as TCP, under another name.
    let segment = Flow::client_inside(1).egress(0, LINE).bytes().split_off(34);
    ip().write(&mut packets[2], IpNumber::GRE, &segment)
        .expect("a buffer takes it");
    packets
}

/// Cut off at every place in the headers.
#[test]
fn truncated_headers() {
    bench(|bench| {
        for flow in [Flow::client_inside(1), Flow::client_inside_v6(1)] {
            bench.open(&flow)?;
            let network = if flow.peer.is_ipv4() { 20 } else { 40 };
            for tags in [0, 1, 2] {
                for mut segment in [flow.egress(0, LINE), flow.ingress(0, LINE)] {
                    segment.tags = tags;
                    let bytes = segment.bytes();
                    let link = 14 + 4 * tags;
                    // The kernel itself wants the network header to be whole, if
                    // it sees it. Without a whole TCP header there is nothing to
                    // go by.
                    let least = if tags == 0 { link + network } else { 18 };
                    for len in least..link + network + TcpHeader::MIN_LEN {
                        bench.packet_unchanged(segment.direction, &bytes[..len]);
                    }
                }
            }
        }
        bench.counted(&[]);
        Ok(())
    });
}

/// A SYN that nobody expects is for the firewall to judge.
#[test]
fn a_syn_that_nobody_expects() {
    bench_with(Flow::client_inside, |bench, flow| {
        let mut data = flow.ingress(0, "").flags(flags::SYN).acknowledgment(0);
        data.source = address("198.51.100.7:20");
        data.destination = address("203.0.113.1:50069");
        bench.unchanged(&data);
        bench.counted(&[]);
        Ok(())
    });
}
