//! Multipath TCP is taken out of the handshakes of control connections.

use ftp_helper_common::{
    interface::{ControlPort, control_port},
    reason::Reason,
};
use ftp_helper_tests::packets::{
    bench::{Bench, IFINDEX, bench},
    flow::Flow,
    segment::{Segment, flags},
};

/// No operation, no operation, timestamps.
const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0];
/// `MP_CAPABLE` of version 1 as it is in a SYN, and with a key (RFC 8684 section 3.1).
const CAPABLE: [u8; 4] = [30, 4, 0x01, 0x81];
const CAPABLE_WITH_KEY: [u8; 12] = [30, 12, 0x01, 0x81, 1, 30, 3, 4, 5, 6, 7, 8];
/// `MP_JOIN` as it is in a SYN (section 3.2).
const JOIN: [u8; 12] = [30, 12, 0x10, 1, 9, 9, 9, 9, 8, 8, 8, 8];

fn flows() -> [Flow; 4] {
    [
        Flow::client_inside(1),
        Flow::server_inside(1),
        Flow::client_inside_v6(1),
        Flow::server_inside_v6(1),
    ]
}

fn with_options(segment: &Segment, options: &[&[u8]]) -> Segment {
    Segment {
        options: options.concat(),
        ..segment.clone()
    }
}

/// The SYN of the client, and the answer of the server.
fn handshake(flow: &Flow) -> [Segment; 2] {
    let (first, second) = if flow.client_inside {
        (flow.egress(0, ""), flow.ingress(0, ""))
    } else {
        (flow.ingress(0, ""), flow.egress(0, ""))
    };
    [
        first.flags(flags::SYN),
        second.flags(flags::SYN | flags::ACK),
    ]
}

#[test]
fn every_kind_of_it_becomes_no_operation() {
    bench(|bench| {
        for flow in flows() {
            for segment in handshake(&flow) {
                for option in [&CAPABLE[..], &CAPABLE_WITH_KEY, &JOIN] {
                    let blank = vec![1; option.len()];
                    for (sent, expected) in [
                        ([&TIMESTAMPS, option], [&TIMESTAMPS[..], &blank]),
                        ([option, &TIMESTAMPS], [&blank[..], &TIMESTAMPS]),
                        ([option, option], [&blank[..], &blank]),
                    ] {
                        bench.becomes(
                            &with_options(&segment, &sent),
                            &with_options(&segment, &expected),
                        );
                        bench.counted(&[(Reason::Multipath, 1)]);
                    }
                }
            }
        }
        Ok(())
    });
}

/// A header as long as headers get.
#[test]
fn in_the_last_byte_of_the_header() {
    bench(|bench| {
        let [syn, _] = handshake(&Flow::client_inside(1));
        let sent = [&TIMESTAMPS[..], &JOIN, &CAPABLE_WITH_KEY, &CAPABLE];
        let expected = [&TIMESTAMPS[..], &[1; 28]];
        bench.becomes(&with_options(&syn, &sent), &with_options(&syn, &expected));
        // As many as fit.
        let many = [&[30, 2][..]; 20];
        bench.becomes(&with_options(&syn, &many), &with_options(&syn, &[&[1; 40]]));
        Ok(())
    });
}

/// What others read as no option, or not as this one.
#[test]
fn options_that_are_none() {
    bench(|bench| {
        let [syn, answer] = handshake(&Flow::client_inside(1));
        for options in [
            // Behind the end of the list.
            [&[0, 0, 0, 0][..], &CAPABLE],
            // Inside of another option.
            [&[254, 8, 1, 1], &CAPABLE],
            // Too long, too short, and without a length.
            [&[1, 1, 30, 8], &[0; 4]],
            [&[30, 1, 30, 4], &[0; 4]],
            [&[30, 0, 30, 4], &[0; 4]],
            [&[1, 1, 1, 1], &[1, 1, 1, 30]],
            // Behind one of a wrong length.
            [&[3, 0, 1, 1], &CAPABLE],
        ] {
            bench.unchanged(&with_options(&syn, &options));
            bench.unchanged(&with_options(&answer, &options));
        }
        bench.unchanged(&with_options(&syn, &[]));
        bench.counted(&[]);
        Ok(())
    });
}

fn stays(bench: &mut Bench, flow: &Flow) {
    for segment in handshake(flow) {
        bench.unchanged(&with_options(&segment, &[&CAPABLE]));
    }
    bench.counted(&[]);
}

/// Connections that are not helped keep it, and so do those that began without the helper.
#[test]
fn it_stays_where_there_is_no_help() {
    bench(|bench| {
        let flow = Flow::client_inside(1);
        stays(bench, &flow.peer_port(2121));
        bench.open(&flow)?;
        let data = with_options(&flow.egress(0, "NOOP\r\n"), &[&TIMESTAMPS, &CAPABLE]);
        bench.unchanged(&data);
        let port = ControlPort {
            ifindex: IFINDEX,
            port: 21,
            reserved: 0,
        };
        let ports = &mut bench.datapath.maps.control_ports;
        ports.insert(&port, &control_port::DRAINING)?;
        stays(bench, &flow);
        bench.datapath.maps.control_ports.insert(&port, &1)?;
        Ok(())
    });
}

/// The connection is helped like any other.
#[test]
fn the_connection_is_helped() {
    bench(|bench| {
        for flow in flows() {
            for segment in handshake(&flow) {
                let sequence = segment.sequence.wrapping_sub(1);
                let mut segment = Segment {
                    sequence,
                    ..segment
                };
                if segment.flags == flags::SYN {
                    segment.acknowledgment = 0;
                }
                bench.becomes(
                    &with_options(&segment, &[&CAPABLE]),
                    &with_options(&segment, &[&[1; 4]]),
                );
            }
            let third = if flow.client_inside {
                flow.egress(0, "")
            } else {
                flow.ingress(0, "")
            };
            bench.unchanged(&third.flags(flags::ACK));
            bench.session(&flow)?;
        }
        bench.counted(&[
            (Reason::Multipath, 8),
            (Reason::SessionOpened, 4),
            (Reason::ConntrackMissing, 4),
        ]);
        Ok(())
    });
}
