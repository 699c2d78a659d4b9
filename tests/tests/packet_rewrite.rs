//! Announcements of the inside host, rewritten.

use std::ops::Range;

use anyhow::Result;
use etherparse::IpNumber;
use ftp_helper_common::{
    grammar::Kind, reason::Reason, session::Direction, session::flags as session_flags,
};
use ftp_helper_tests::packets::{
    bench::{Bench, Fate, Fated as _, bench_with},
    flow::{Flow, address, endpoint},
    segment::{Segment, flags},
};

/// What is counted for one rewritten announcement.
const ONE: [(Reason, u64); 2] = [
    (Reason::AnnouncementRewritten, 1),
    (Reason::ExpectationCreated, 1),
];

/// The session's first segment is `sent`, and `expected` goes on.
#[track_caller]
fn first(bench: &mut Bench, flow: &Flow, sent: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) {
    let segment = flow.egress(0, sent);
    bench.becomes(&segment, &segment.clone().payload(expected));
    bench.counted(&ONE);
}

/// A `PORT` line with text of even and odd length before and behind it, up to
/// several of the pieces in which bytes are moved.
fn among_other_lines(inside: &'static str, sent: &str, expected: &str) {
    let flow = |start| Flow::client_inside(start).addresses(inside, "203.0.113.1");
    let filler = |len: usize| format!("SITE {}\r\n", "abcdefghijk".repeat(200).split_at(len - 7).0);
    let before = ["", "NOOP\r\n", "PWD\r\n"].map(str::to_owned);
    let behind: Vec<_> = ["", "NOOP\r\n", "PWD\r\n", "P"]
        .into_iter()
        .map(str::to_owned)
        .chain([255, 256, 257, 512, 1025, 1300].map(filler))
        .collect();
    bench_with(flow, |bench, flow| {
        for before in &before {
            for behind in &behind {
                bench.open(flow)?;
                first(
                    bench,
                    flow,
                    format!("{before}{sent}{behind}"),
                    format!("{before}{expected}{behind}"),
                );
            }
        }
        Ok(())
    });
}

#[test]
fn three_bytes_longer() {
    among_other_lines(
        "10.0.0.2",
        "PORT 10,0,0,2,195,149\r\n",
        "PORT 203,0,113,1,195,149\r\n",
    );
}

#[test]
fn two_bytes_longer() {
    among_other_lines(
        "10.0.0.20",
        "PORT 10,0,0,20,195,149\r\n",
        "PORT 203,0,113,1,195,149\r\n",
    );
}

#[test]
fn as_long_as_before() {
    among_other_lines(
        "192.168.1.2",
        "PORT 192,168,1,2,195,149\r\n",
        "PORT 203,0,113,1,195,149\r\n",
    );
}

#[test]
fn a_byte_shorter() {
    among_other_lines(
        "192.168.10.2",
        "PORT 192,168,10,2,195,149\r\n",
        "PORT 203,0,113,1,195,149\r\n",
    );
}

#[test]
fn four_bytes_shorter() {
    among_other_lines(
        "192.168.100.200",
        "PORT 192,168,100,200,195,149\r\n",
        "PORT 203,0,113,1,195,149\r\n",
    );
}

#[test]
fn every_spelling_keeps_the_text_around_the_numbers() {
    let lines: [(&[u8], &[u8]); 9] = [
        (
            b"port 10,0,0,2,195,149\r\n",
            b"port 203,0,113,1,195,149\r\n",
        ),
        (
            b"pOrT 10,0,0,2,195,149\r\n",
            b"pOrT 203,0,113,1,195,149\r\n",
        ),
        (b"PORT 10,0,0,2,195,149\n", b"PORT 203,0,113,1,195,149\n"),
        (
            b"PORT\t10,0,0,2,195,149 \t \r\n",
            b"PORT\t203,0,113,1,195,149 \t \r\n",
        ),
        (
            b"PORT    10,0,0,2,195,149\r\n",
            b"PORT    203,0,113,1,195,149\r\n",
        ),
        (
            b"  PORT 10,0,0,2,195,149\r\n",
            b"  PORT 203,0,113,1,195,149\r\n",
        ),
        (
            b"PORT 010,000,0,02,195,149\r\n",
            b"PORT 203,0,113,1,195,149\r\n",
        ),
        // ABOR's preamble (RFC 959 section 4.1.3), and a Telnet option.
        (
            b"\xff\xf4\xff\xf2PORT 10,0,0,2,195,149\r\n",
            b"\xff\xf4\xff\xf2PORT 203,0,113,1,195,149\r\n",
        ),
        (
            b"\xff\xfd\x06PORT 10,0,0,2,195,149\r\n",
            b"\xff\xfd\x06PORT 203,0,113,1,195,149\r\n",
        ),
    ];
    bench_with(Flow::client_inside, |bench, flow| {
        for (sent, expected) in lines {
            bench.open(flow)?;
            first(bench, flow, sent, expected);
        }
        Ok(())
    });
}

#[test]
fn two_announcements_in_one_segment() {
    bench_with(Flow::client_inside, |bench, flow| {
        let segment = flow.egress(
            0,
            "PWD\r\nPORT 10,0,0,2,195,149\r\nNOOP\r\nPORT 10,0,0,2,195,150\r\nLIST\r\n",
        );
        let expected = "PWD\r\nPORT 203,0,113,1,195,149\r\nNOOP\r\n\
                        PORT 203,0,113,1,195,150\r\nLIST\r\n";
        bench.becomes(&segment, &segment.clone().payload(expected));
        bench.counted(&[
            (Reason::AnnouncementRewritten, 2),
            (Reason::ExpectationCreated, 2),
            (Reason::ExpectationReplaced, 1),
        ]);
        let awaited = bench.expectations()?;
        assert_eq!(awaited.len(), 1);
        assert_eq!(
            awaited[0].0.destination,
            endpoint(address("203.0.113.1:50070"))
        );
        Ok(())
    });
}

/// One run handles four announcements; what comes behind them comes by again.
#[test]
fn a_segment_with_more_announcements_than_fit() {
    bench_with(Flow::client_inside, |bench, flow| {
        let lines = |address: &str, ports: Range<u32>| {
            let line = |low| format!("PORT {address},195,{low}\r\n");
            ports.map(line).collect::<Vec<_>>().concat()
        };
        let sent = |ports| lines("10,0,0,2", ports);
        let wire = |ports| lines("203,0,113,1", ports);
        let segment = flow
            .egress(0, sent(100..106))
            .flags(flags::ACK | flags::FIN);
        let outcome = bench.run(Direction::Egress, &segment.bytes())?;
        assert_eq!(outcome.fate()?, Fate::Redirect);
        assert_eq!(outcome.packet, segment.bytes());
        // The packet that was redirected is cut down to the rest.
        let behind = u32::try_from(sent(100..104).len())?;
        let rest = flow
            .egress(behind + 4 * 3, wire(104..106))
            .flags(flags::ACK | flags::FIN);
        bench.becomes(&segment, &rest);
        // So is one that is sent again, with the end of the stream or without.
        let repeated = flow.egress(behind, sent(104..106)).flags(flags::ACK);
        bench.becomes(&repeated, &rest.flags(flags::ACK));
        bench.becomes(
            &flow.egress(0, sent(100..104)),
            &flow.egress(0, wire(100..104)),
        );
        Ok(())
    });
}

/// An announced port that must not be used outside is replaced; the text then
/// changes in both numbers.
#[test]
fn a_port_that_is_not_free_outside() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.reserve([50069])?;
        bench.configure(|interface| {
            (interface.first_port, interface.last_port) = (10_007, 10_007);
        })?;
        // 10007 is 39 * 256 + 23.
        first(
            bench,
            flow,
            "PORT 10,0,0,2,195,149\r\n",
            "PORT 203,0,113,1,39,23\r\n",
        );
        let expectation = bench.expectation(flow, address("203.0.113.1:10007"))?;
        let expectation = expectation.expect("the data connection is awaited");
        assert_eq!(expectation.target, endpoint(address("10.0.0.2:50069")));
        Ok(())
    });
}

/// The gateway's provider translates once more: what is announced is not the
/// packet's own address, but the connection arrives there.
#[test]
fn another_address_is_advertised() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.configure(|interface| {
            interface.advertise = endpoint(address("192.0.2.99:0")).address;
        })?;
        first(
            bench,
            flow,
            "PORT 10,0,0,2,195,149\r\n",
            "PORT 192,0,2,99,195,149\r\n",
        );
        assert!(
            bench
                .expectation(flow, address("203.0.113.1:50069"))?
                .is_some()
        );
        Ok(())
    });
}

/// A gateway with both IP versions announces another address of one of them only.
#[test]
fn what_is_advertised_is_of_another_ip_version() {
    bench_with(Flow::client_inside_v6, |bench, flow| {
        bench.configure(|interface| {
            interface.advertise = endpoint(address("192.0.2.99:0")).address;
        })?;
        first(
            bench,
            flow,
            "EPRT |2|fd00::2|50069|\r\n",
            "EPRT |2|2001:db8:1::1|50069|\r\n",
        );
        Ok(())
    });
}

/// Nothing is translated: the line is right already.
#[test]
fn an_inside_host_without_translation() {
    let flow = |start| Flow::client_inside(start).addresses("203.0.113.1", "203.0.113.1");
    bench_with(flow, |bench, flow| {
        bench.unchanged(&flow.egress(0, "PORT 203,0,113,1,195,149\r\n"));
        bench.counted(&[
            (Reason::AnnouncementAccepted, 1),
            (Reason::ExpectationCreated, 1),
        ]);
        assert!(
            bench
                .expectation(flow, address("203.0.113.1:50069"))?
                .is_some()
        );
        Ok(())
    });
}

/// A client that knows its outside address already gets only the expectation.
#[test]
fn a_client_that_announces_its_outside_address() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.unchanged(&flow.egress(0, "PORT 203,0,113,1,195,149\r\n"));
        bench.counted(&[
            (Reason::AnnouncementAccepted, 1),
            (Reason::ExpectationCreated, 1),
        ]);
        let expectation = bench.expectation(flow, address("203.0.113.1:50069"))?;
        let expectation = expectation.expect("the data connection is awaited");
        assert_eq!(expectation.target, endpoint(address("10.0.0.2:50069")));
        Ok(())
    });
}

#[test]
fn eprt() {
    let lines = [
        (
            "EPRT |1|10.0.0.2|50069|\r\n",
            "EPRT |1|203.0.113.1|50069|\r\n",
        ),
        (
            "eprt !1!10.0.0.2!50069!\r\n",
            "eprt !1!203.0.113.1!50069!\r\n",
        ),
        ("EPRT $1$10.0.0.2$50069$\n", "EPRT $1$203.0.113.1$50069$\n"),
    ];
    bench_with(Flow::client_inside, |bench, flow| {
        for (sent, expected) in lines {
            bench.open(flow)?;
            first(bench, flow, sent, expected);
        }
        Ok(())
    });
}

#[test]
fn eprt_over_ipv6() {
    let lines = [
        (
            "EPRT |2|fd00::2|50069|\r\n",
            "EPRT |2|2001:db8:1::1|50069|\r\n",
        ),
        (
            "EPRT ~2~FD00:0:0:0:0:0:0:2~50069~\r\nLIST\r\n",
            "EPRT ~2~2001:db8:1::1~50069~\r\nLIST\r\n",
        ),
    ];
    bench_with(Flow::client_inside_v6, |bench, flow| {
        for (sent, expected) in lines {
            bench.open(flow)?;
            first(bench, flow, sent, expected);
            let expectation = bench.expectation(flow, address("[2001:db8:1::1]:50069"))?;
            let expectation = expectation.expect("the data connection is awaited");
            assert_eq!(expectation.target, endpoint(address("[fd00::2]:50069")));
        }
        Ok(())
    });
}

/// A server behind a port forwarding was asked for a passive connection.
fn asked(bench: &mut Bench, flow: &Flow, command: &str) -> Result<u32> {
    bench.open(flow)?;
    bench.unchanged(&flow.ingress(0, command));
    bench.counted(&[]);
    Ok(u32::try_from(command.len())?)
}

#[test]
fn replies_227_of_a_server_inside() {
    let lines = [
        (
            "227 Entering Passive Mode (10,0,0,3,195,149).\r\n",
            "227 Entering Passive Mode (203,0,113,1,195,149).\r\n",
        ),
        ("227 10,0,0,3,195,149\r\n", "227 203,0,113,1,195,149\r\n"),
        (
            "227 Passive 7 =10,0,0,3,195,149\n",
            "227 Passive 7 =203,0,113,1,195,149\n",
        ),
    ];
    bench_with(Flow::server_inside, |bench, flow| {
        for (sent, expected) in lines {
            let heard = asked(bench, flow, "PASV\r\n")?;
            let reply = flow
                .egress(0, sent)
                .acknowledgment(flow.ingress_start.wrapping_add(heard));
            bench.becomes(&reply, &reply.clone().payload(expected));
            bench.counted(&ONE);
            let expectation = bench.expectation(flow, address("203.0.113.1:50069"))?;
            let expectation = expectation.expect("the data connection is awaited");
            assert_eq!(expectation.target, endpoint(address("10.0.0.3:50069")));
            assert_eq!(expectation.kind, Kind::REPLY_227.0);
            let session = bench.session(flow)?;
            assert_eq!(session.flags & session_flags::CLIENT_INSIDE, 0);
        }
        Ok(())
    });
}

/// `0.0.0.0` stands for the server's own address (as some servers say it behind
/// a translation); only the port is of interest.
#[test]
fn a_227_without_address() {
    bench_with(Flow::server_inside, |bench, flow| {
        asked(bench, flow, "PASV\r\n")?;
        bench.unchanged(&flow.egress(0, "227 ok (0,0,0,0,195,149)\r\n"));
        bench.counted(&[
            (Reason::AnnouncementAccepted, 1),
            (Reason::ExpectationCreated, 1),
        ]);
        Ok(())
    });
}

/// A 229 has no address: while the port is free outside, nothing changes.
#[test]
fn replies_229_of_a_server_inside() {
    for flow in [Flow::server_inside, Flow::server_inside_v6] {
        bench_with(flow, |bench, flow| {
            let sent = "229 Entering Extended Passive Mode (|||50069|)\r\n";
            asked(bench, flow, "EPSV\r\n")?;
            bench.unchanged(&flow.egress(0, sent));
            bench.counted(&[
                (Reason::AnnouncementAccepted, 1),
                (Reason::ExpectationCreated, 1),
            ]);

            bench.reserve([50069])?;
            bench.configure(|interface| {
                (interface.first_port, interface.last_port) = (2048, 2048);
            })?;
            asked(bench, flow, "EPSV\r\n")?;
            let expected = "229 Entering Extended Passive Mode (|||2048|)\r\n";
            first(bench, flow, sent, expected);
            bench.reserve([])?;
            bench.configure(|_| {})
        });
    }
}

/// Every place that an option can be in moves the payload.
#[test]
fn headers_of_every_length() {
    use etherparse::TcpOptionElement::{Noop, Timestamp};
    bench_with(Flow::client_inside, |bench, flow| {
        for words in 0..=10 {
            bench.open(flow)?;
            let options = match words {
                0 => vec![],
                1 | 2 => vec![Noop; 4 * words],
                _ => [vec![Timestamp(1, 2)], vec![Noop; 4 * words - 10]].concat(),
            };
            let segment = flow
                .egress(0, "PORT 10,0,0,2,195,149\r\n")
                .options(&options);
            assert_eq!(segment.options.len(), 4 * words);
            let expected = segment.clone().payload("PORT 203,0,113,1,195,149\r\n");
            bench.becomes(&segment, &expected);
        }
        for words in 1..=10 {
            bench.open(flow)?;
            let mut segment = flow.egress(0, "PORT 10,0,0,2,195,149\r\n");
            // No operation, but for the last word, which ends the list.
            segment.ip_options = vec![1; 4 * words];
            segment.ip_options[4 * words - 1] = 0;
            let expected = segment.clone().payload("PORT 203,0,113,1,195,149\r\n");
            bench.becomes(&segment, &expected);
        }
        Ok(())
    });
}

/// Hardware takes tags out of the packet, but not always, and not the inner one.
#[test]
fn vlan_tags_in_the_packet() {
    for flow in [Flow::client_inside, Flow::client_inside_v6] {
        bench_with(flow, |bench, flow| {
            for tags in [1, 2] {
                bench.open(flow)?;
                let tagged = |mut segment: Segment| {
                    segment.tags = tags;
                    segment
                };
                let (sent, expected) = if flow.peer.is_ipv4() {
                    ("PORT 10,0,0,2,195,149\r\n", "PORT 203,0,113,1,195,149\r\n")
                } else {
                    (
                        "EPRT |2|fd00::2|50069|\r\n",
                        "EPRT |2|2001:db8:1::1|50069|\r\n",
                    )
                };
                bench.becomes(
                    &tagged(flow.egress(0, sent)),
                    &tagged(flow.egress(0, expected)),
                );
                let (sent, wire) = (u32::try_from(sent.len())?, u32::try_from(expected.len())?);
                bench.becomes(
                    &tagged(flow.peer_acknowledges(wire)),
                    &tagged(flow.peer_acknowledges(sent)),
                );
            }
            Ok(())
        });
    }
}

#[test]
fn ipv6_extension_headers() {
    let options = |words: u8| {
        // PadN, as long as it takes.
        let mut bytes = vec![0; 8 * (usize::from(words) + 1)];
        bytes[1] = words;
        bytes[2] = 1;
        bytes[3] = 8 * words + 4;
        bytes
    };
    // Payload length 4 in words of four bytes, less two; 12 bytes of check value.
    let authentication = {
        let mut bytes = vec![0; 24];
        bytes[1] = 4;
        bytes
    };
    let hop_by_hop = (IpNumber::IPV6_HEADER_HOP_BY_HOP, options(0));
    let destination = (IpNumber::IPV6_DESTINATION_OPTIONS, options(3));
    let whole = (IpNumber::IPV6_FRAGMENTATION_HEADER, vec![0; 8]);
    let authentication = (IpNumber::AUTHENTICATION_HEADER, authentication);
    let chains = [
        vec![hop_by_hop.clone()],
        vec![destination.clone()],
        vec![whole.clone()],
        vec![authentication.clone()],
        vec![hop_by_hop, destination, whole, authentication],
    ];
    bench_with(Flow::client_inside_v6, |bench, flow| {
        for chain in &chains {
            bench.open(flow)?;
            let mut segment = flow.egress(0, "EPRT |2|fd00::2|50069|\r\n");
            segment.extensions.clone_from(chain);
            let expected = segment.clone().payload("EPRT |2|2001:db8:1::1|50069|\r\n");
            bench.becomes(&segment, &expected);
            bench.counted(&ONE);
        }
        Ok(())
    });
}

/// Frames are filled up to 60 bytes; what lies behind the packet is not part of
/// the stream.
#[test]
fn a_padded_frame() {
    bench_with(Flow::client_inside, |bench, flow| {
        let segment = flow.egress(0, "PORT 10,0,0,2,195,149\r\n");
        let mut frame = segment.bytes();
        frame.extend([0xaa; 9]);
        let expected = segment.clone().payload("PORT 203,0,113,1,195,149\r\n");
        bench.packet_becomes(segment.direction, &frame, &expected.bytes());
        // Nothing to change: not even the padding goes.
        let other = flow.egress(23, "NOOP\r\n");
        let mut frame = other.bytes();
        frame.extend([0xaa; 9]);
        let mut expected = flow.egress(26, "NOOP\r\n").bytes();
        expected.extend([0xaa; 9]);
        bench.packet_becomes(other.direction, &frame, &expected);
        Ok(())
    });
}
