//! Packets of a control connection that can not be read, or come too early.

use etherparse::{IpNumber, TcpHeader};
use ftp_helper_common::{
    reason::Reason,
    session::Direction,
    stash::{STASH, place_of},
};
use ftp_helper_tests::packets::{
    bench::{Bench, Fate, Fated as _, bench, bench_with},
    flow::Flow,
    segment::flags,
};

const SENT: &str = "PORT 10,0,0,2,195,149\r\n";
const WIRE: &str = "PORT 203,0,113,1,195,149\r\n";

/// The packet goes no further, for this reason; nothing of it is remembered.
#[track_caller]
fn refused(bench: &mut Bench, flow: &Flow, direction: Direction, packet: &[u8], reason: Reason) {
    let before = bench.session(flow).expect("the session is there");
    bench.packet_dropped(direction, packet);
    bench.counted(&[(reason, 1)]);
    let mut after = bench.session(flow).expect("the session is there");
    after.last_seen = before.last_seen;
    for (after, before) in after.streams.iter_mut().zip(&before.streams) {
        // What a segment says of the other direction counts in any case.
        after.window = before.window;
        after.acknowledged = before.acknowledged;
        after.heard = before.heard;
        assert_eq!(after.flags, before.flags, "the packet left flags behind");
        assert_eq!(after.next, before.next, "the packet was read");
    }
    // Too long to be shown.
    assert!(after == before, "the packet left something behind");
}

/// The checksum of the IPv4 header of a frame, anew.
fn seal_v4(frame: &mut [u8]) {
    frame[24..26].fill(0);
    let sum: u32 = frame[14..34]
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded");
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn the_first_fragment() {
    bench_with(Flow::client_inside, |bench, flow| {
        for segment in [flow.egress(0, SENT), flow.ingress(0, "220 hello\r\n")] {
            let mut frame = segment.bytes();
            // More fragments follow, instead of "do not fragment".
            frame[20] = 0x20;
            seal_v4(&mut frame);
            refused(bench, flow, segment.direction, &frame, Reason::Fragment);
        }
        Ok(())
    });
}

/// Without the first one it never becomes a packet.
#[test]
fn a_later_fragment_goes_on() {
    bench_with(Flow::client_inside, |bench, flow| {
        let mut frame = flow.egress(0, SENT).bytes();
        frame[20..22].copy_from_slice(&[0, 4]);
        seal_v4(&mut frame);
        bench.packet_unchanged(Direction::Egress, &frame);
        bench.counted(&[]);
        Ok(())
    });
}

#[test]
fn ipv6_fragments() {
    bench_with(Flow::client_inside_v6, |bench, flow| {
        for segment in [flow.egress(0, "LIST\r\n"), flow.ingress(0, "220 hello\r\n")] {
            let fragment = |offset: u16, more: u16| {
                let mut fragment = segment.clone();
                let mut header = vec![0; 8];
                header[2..4].copy_from_slice(&((8 * offset) | more).to_be_bytes());
                fragment.extensions = vec![(IpNumber::IPV6_FRAGMENTATION_HEADER, header)];
                fragment.bytes()
            };
            let (direction, first) = (segment.direction, fragment(0, 1));
            refused(bench, flow, direction, &first, Reason::Fragment);
            bench.packet_unchanged(direction, &fragment(3, 1));
            bench.packet_unchanged(direction, &fragment(3, 0));
            bench.counted(&[]);
        }
        Ok(())
    });
}

/// The TCP header says that it is shorter than it can be, or longer than the
/// packet.
#[test]
fn a_wrong_header_length() {
    bench_with(Flow::client_inside, |bench, flow| {
        for segment in [flow.egress(0, "LIST\r\n"), flow.ingress(0, "220 hello\r\n")] {
            for words in [0, 4, 15] {
                let mut frame = segment.bytes();
                frame[46] = words << 4;
                refused(bench, flow, segment.direction, &frame, Reason::Malformed);
            }
        }
        Ok(())
    });
}

/// The IP header promises more than the packet has, or not even a TCP header.
#[test]
fn a_wrong_total_length() {
    let long = format!("{SENT}{}\r\n", "SITE x\r\n".repeat(60));
    bench_with(Flow::client_inside, |bench, flow| {
        for segment in [
            flow.egress(0, SENT),
            flow.egress(0, &long),
            flow.ingress(0, "220 hello\r\n"),
            flow.ingress(0, ""),
        ] {
            let frame = segment.bytes();
            let total = u16::try_from(frame.len() - 14)?;
            for wrong in [
                0,
                19,
                20,
                39,
                51,
                total + 1,
                total + 14,
                total + 100,
                0xffff,
            ] {
                let mut frame = frame.clone();
                frame[16..18].copy_from_slice(&wrong.to_be_bytes());
                seal_v4(&mut frame);
                refused(bench, flow, segment.direction, &frame, Reason::Malformed);
            }
        }
        Ok(())
    });
}

#[test]
fn a_wrong_payload_length_of_ipv6() {
    bench_with(Flow::client_inside_v6, |bench, flow| {
        for segment in [flow.egress(0, "LIST\r\n"), flow.ingress(0, "220 hello\r\n")] {
            let frame = segment.bytes();
            let len = u16::try_from(frame.len() - 54)?;
            for wrong in [0, 19, 31, len + 1, len + 14, 0xffff] {
                let mut frame = frame.clone();
                frame[18..20].copy_from_slice(&wrong.to_be_bytes());
                refused(bench, flow, segment.direction, &frame, Reason::Malformed);
            }
        }
        Ok(())
    });
}

/// Cut off in the options or in the payload.
#[test]
fn a_truncated_segment() {
    bench_with(Flow::client_inside, |bench, flow| {
        for segment in [flow.egress(0, SENT), flow.ingress(0, "220 hello\r\n")] {
            let frame = segment.bytes();
            for len in 14 + 20 + TcpHeader::MIN_LEN..frame.len() {
                let direction = segment.direction;
                refused(bench, flow, direction, &frame[..len], Reason::Malformed);
            }
        }
        bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
        Ok(())
    });
}

/// A segment that overtook another: it waits for it, and goes on with it.
#[test]
fn overtaken() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.dropped(&flow.egress(23, "LIST\r\n"));
        bench.counted(&[(Reason::Reordered, 1)]);
        bench.becomes(
            &flow.egress(0, SENT),
            &flow.egress(0, format!("{WIRE}LIST\r\n")),
        );
        bench.counted(&[
            (Reason::AnnouncementRewritten, 1),
            (Reason::ExpectationCreated, 1),
        ]);
        // Its sender may repeat it, and goes on.
        bench.becomes(&flow.egress(23, "LIST\r\n"), &flow.egress(26, "LIST\r\n"));
        bench.becomes(&flow.egress(29, "QUIT\r\n"), &flow.egress(32, "QUIT\r\n"));
        // The other direction, where nothing is ever rewritten.
        bench.dropped(&flow.ingress(11, "331 who?\r\n"));
        let both = flow.ingress(0, "220 hello\r\n331 who?\r\n");
        bench.becomes(&flow.ingress(0, "220 hello\r\n"), &both);
        Ok(())
    });
}

/// The announcement itself was early, in part or as a whole.
#[test]
fn an_announcement_that_overtook() {
    bench_with(Flow::client_inside, |bench, flow| {
        for cut in 1..22 {
            for before in ["NOOP\r\n", "PWD\r\n"] {
                bench.open(flow)?;
                let len = u32::try_from(before.len())?;
                let (head, tail) = SENT.split_at(cut);
                let early = flow.egress(len + u32::try_from(cut)?, tail);
                bench.dropped(&early);
                bench.counted(&[(Reason::Reordered, 1)]);
                bench.becomes(
                    &flow.egress(0, format!("{before}{head}")),
                    &flow.egress(0, format!("{before}{WIRE}")),
                );
            }
        }
        Ok(())
    });
}

/// What was kept is of use only if the gap is filled exactly.
#[test]
fn a_gap_that_is_filled_otherwise() {
    bench_with(Flow::client_inside, |bench, flow| {
        // The gap is filled in two parts.
        bench.dropped(&flow.egress(12, "QUIT\r\n"));
        bench.unchanged(&flow.egress(0, "NOOP\r\n"));
        bench.becomes(
            &flow.egress(6, "LIST\r\n"),
            &flow.egress(6, "LIST\r\nQUIT\r\n"),
        );
        // It is filled, and more: the newer bytes count.
        bench.open(flow)?;
        bench.dropped(&flow.egress(12, "QUIT\r\n"));
        bench.unchanged(&flow.egress(0, "NOOP\r\nLIST\r\nPASV\r\n"));
        bench.unchanged(&flow.egress(18, "STAT\r\n"));
        // Two were early: the later of them is the one that is kept.
        bench.open(flow)?;
        bench.dropped(&flow.egress(6, "LIST\r\n"));
        bench.dropped(&flow.egress(12, "QUIT\r\n"));
        bench.unchanged(&flow.egress(0, "NOOP\r\n"));
        bench.becomes(
            &flow.egress(6, "LIST\r\n"),
            &flow.egress(6, "LIST\r\nQUIT\r\n"),
        );
        Ok(())
    });
}

/// Longer than what is kept, or more than bytes: its sender has to repeat it.
#[test]
fn too_early_to_be_kept() {
    bench_with(Flow::client_inside, |bench, flow| {
        let long = "x".repeat(STASH + 1);
        let early = [
            flow.egress(6, &long),
            flow.egress(6, "QUIT\r\n").flags(flags::ACK | flags::FIN),
            flow.egress(6, "QUIT\r\n").flags(flags::ACK | flags::RST),
            flow.egress(6, "ABOR\r\n").urgent(1),
            flow.ingress(6, &long),
        ];
        for segment in &early {
            refused(
                bench,
                flow,
                segment.direction,
                &segment.bytes(),
                Reason::OutOfOrder,
            );
        }
        bench.unchanged(&flow.egress(0, "NOOP\r\n"));
        bench.unchanged(&flow.egress(6, &long));
        Ok(())
    });
}

/// There are only so many places for what comes early. The later one of two connections
/// has the place that they share; what the other one sent is sent again.
#[test]
fn connections_that_meet_in_one_place() {
    bench(|bench| {
        let place = |flow: &Flow| place_of(&flow.key(), Direction::Egress);
        let first = Flow::client_inside(1000);
        let mut second = Flow::client_inside(1000);
        while place(&second) != place(&first) || second.key() == first.key() {
            second.outside.set_port(second.outside.port() + 1);
        }
        bench.open(&first)?;
        bench.set_session(&second, &second.session())?;
        bench.dropped(&first.egress(6, "LIST\r\n"));
        bench.dropped(&second.egress(6, "QUIT\r\n"));
        bench.unchanged(&first.egress(0, "NOOP\r\n"));
        bench.becomes(
            &second.egress(0, "HELP\r\n"),
            &second.egress(0, "HELP\r\nQUIT\r\n"),
        );
        bench.unchanged(&first.egress(6, "LIST\r\n"));
        assert_eq!(bench.datapath.maps.stashes.used()?, []);
        Ok(())
    });
}

/// What is kept together with what it follows must fit the interface.
#[test]
fn kept_bytes_that_no_longer_fit() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("ip link set lo mtu 600")?;
        let long = format!("SITE {}\r\n", "x".repeat(400));
        let next = u32::try_from(long.len())?;
        bench.dropped(&flow.egress(next, &long[..STASH]));
        bench.unchanged(&flow.egress(0, &long));
        bench.unchanged(&flow.egress(next, &long));
        Ok(())
    });
}

/// A segment that gets too long for the interface goes on in pieces, which come
/// by again; see also the tests of `pieces`.
#[test]
fn too_long_for_the_interface() {
    bench_with(Flow::client_inside, |bench, flow| {
        bench.shell("ip link set lo mtu 600")?;
        // The interface takes 548 bytes behind the headers.
        let filler = |len: usize| format!("SITE {}\r\n", "x".repeat(len - 7));
        let fits = format!("{SENT}{}", filler(548 - 26));
        let expected = format!("{WIRE}{}", filler(548 - 26));
        bench.becomes(&flow.egress(0, fits), &flow.egress(0, expected));
        bench.open(flow)?;
        let segment = flow.egress(0, format!("{SENT}{}", filler(548 - 26 + 1)));
        let segment = segment.bytes();
        let outcome = bench.run(Direction::Egress, &segment)?;
        assert_eq!(outcome.fate()?, Fate::Redirect);
        assert_eq!(outcome.packet, segment);
        bench.counted(&[
            (Reason::AnnouncementRewritten, 1),
            (Reason::ExpectationCreated, 1),
            (Reason::SegmentSplit, 1),
        ]);
        Ok(())
    });
}
