//! Sequence, acknowledgment and SACK numbers behind a rewrite.

use std::slice;

use anyhow::Result;
use etherparse::TcpOptionElement::{self, Noop, SelectiveAcknowledgement, Timestamp};
use ftp_helper_common::reason::Reason;
use ftp_helper_tests::packets::{
    bench::{Bench, bench_with},
    flow::Flow,
    segment::{Segment, flags},
};

/// The line that is rewritten first: its text is at 5 to 21, and at 5 to 24 on
/// the wire.
const SENT: &str = "PORT 10,0,0,2,195,149\r\n";
const WIRE: &str = "PORT 203,0,113,1,195,149\r\n";

/// The line is sent, and everything behind it shifts by 3.
fn longer(bench: &mut Bench, flow: &Flow) {
    bench.becomes(&flow.egress(0, SENT), &flow.egress(0, WIRE));
}

/// The same numbers with more digits, and everything behind them shifts by -4:
/// the text is at 5 to 28, and at 5 to 24 on the wire.
fn shorter(bench: &mut Bench, flow: &Flow) {
    let sent = "PORT 010,000,000,002,195,149\r\n";
    bench.becomes(&flow.egress(0, sent), &flow.egress(0, WIRE));
}

/// Positions on the wire, and what the sender has to hear of them.
const LONGER: [(u32, u32); 10] = [
    (0, 0),
    (1, 1),
    (5, 5),
    // Inside of the text: the sender has to repeat all of it.
    (6, 5),
    (22, 5),
    (23, 5),
    (24, 21),
    (25, 22),
    (26, 23),
    (1026, 1023),
];

const SHORTER: [(u32, u32); 8] = [
    (0, 0),
    (5, 5),
    (6, 5),
    (23, 5),
    (24, 28),
    (25, 29),
    (26, 30),
    (1026, 1030),
];

#[test]
fn later_segments_are_shifted() {
    bench_with(Flow::client_inside, |bench, flow| {
        longer(bench, flow);
        // A keep-alive repeats the last number without a byte.
        for (offset, wire) in [(22, 25), (23, 26), (24, 27)] {
            let empty = flow.egress(offset, "").flags(flags::ACK);
            bench.becomes(&empty, &flow.egress(wire, "").flags(flags::ACK));
        }
        bench.becomes(&flow.egress(23, "LIST\r\n"), &flow.egress(26, "LIST\r\n"));
        bench.becomes(&flow.egress(29, "QUIT\r\n"), &flow.egress(32, "QUIT\r\n"));
        let fin = flow.egress(35, "").flags(flags::ACK | flags::FIN);
        let expected = flow.egress(38, "").flags(flags::ACK | flags::FIN);
        bench.becomes(&fin, &expected);
        // A reset has no acknowledgment that would be valid.
        let reset = flow.egress(36, "").flags(flags::RST);
        bench.becomes(&reset, &flow.egress(39, "").flags(flags::RST));
        Ok(())
    });
}

#[test]
fn later_segments_are_shifted_back() {
    bench_with(Flow::client_inside, |bench, flow| {
        shorter(bench, flow);
        bench.becomes(&flow.egress(30, "LIST\r\n"), &flow.egress(26, "LIST\r\n"));
        Ok(())
    });
}

/// Acknowledgments in pure ones, in those with data, and in a reset.
fn acknowledged(bench: &mut Bench, flow: &Flow, positions: &[(u32, u32)]) -> Result<()> {
    let reply = "200 PORT command successful.\r\n";
    for (wire, sender) in positions {
        bench.becomes(
            &flow.peer_acknowledges(*wire),
            &flow.peer_acknowledges(*sender),
        );
        let with = |position: &u32| {
            let acknowledgment = flow.egress_start.wrapping_add(*position);
            flow.ingress(0, reply).acknowledgment(acknowledgment)
        };
        bench.becomes(&with(wire), &with(sender));
        let reset = |position: &u32| {
            flow.peer_acknowledges(*position)
                .flags(flags::ACK | flags::RST)
        };
        let (from, to) = (reset(wire), reset(sender));
        let session = bench.session(flow)?;
        bench.becomes(&from, &to);
        bench.set_session(flow, &session)?;
    }
    // Without the flag the field means nothing.
    bench.unchanged(&flow.peer_acknowledges(26).flags(flags::RST));
    Ok(())
}

#[test]
fn acknowledgments_of_a_longer_text() {
    bench_with(Flow::client_inside, |bench, flow| {
        longer(bench, flow);
        acknowledged(bench, flow, &LONGER)
    });
}

#[test]
fn acknowledgments_of_a_shorter_text() {
    bench_with(Flow::client_inside, |bench, flow| {
        shorter(bench, flow);
        acknowledged(bench, flow, &SHORTER)
    });
}

/// The peer's acknowledgment with these SACK blocks.
fn selective(flow: &Flow, before: &[TcpOptionElement], blocks: &[(u32, u32)]) -> Segment {
    let number = |offset: u32| flow.egress_start.wrapping_add(offset);
    let mut blocks = blocks.iter().map(|(l, r)| (number(*l), number(*r)));
    let first = blocks.next().expect("at least one block");
    let rest = [blocks.next(), blocks.next(), blocks.next()];
    let options = [before, &[SelectiveAcknowledgement(first, rest)]].concat();
    flow.peer_acknowledges(0).options(&options)
}

#[test]
fn sack_blocks() {
    // Each block on the wire, and for the sender. A text that arrived in part is
    // left out, so that its sender repeats it.
    let blocks = [
        // Before, up to and across the text.
        ((1, 4), (1, 4)),
        ((1, 5), (1, 5)),
        ((1, 20), (1, 5)),
        ((1, 24), (1, 21)),
        ((1, 26), (1, 23)),
        // From the text on.
        ((5, 24), (5, 21)),
        ((5, 23), (5, 5)),
        ((6, 24), (21, 21)),
        ((6, 26), (21, 23)),
        ((24, 26), (21, 23)),
        // Behind it.
        ((26, 40), (23, 37)),
        ((1026, 3026), (1023, 3023)),
    ];
    bench_with(Flow::client_inside, |bench, flow| {
        longer(bench, flow);
        for (index, (wire, sender)) in blocks.into_iter().enumerate() {
            bench.becomes(
                &selective(flow, &[Noop, Noop], &[wire]),
                &selective(flow, &[Noop, Noop], &[sender]),
            );
            // Together with others, up to the four that fit.
            for count in 2..=4 {
                let pairs: Vec<_> = blocks.iter().cycle().skip(index).take(count).collect();
                let wire: Vec<_> = pairs.iter().map(|(wire, _)| *wire).collect();
                let sender: Vec<_> = pairs.iter().map(|(_, sender)| *sender).collect();
                bench.becomes(
                    &selective(flow, &[Noop, Noop], &wire),
                    &selective(flow, &[Noop, Noop], &sender),
                );
            }
        }
        Ok(())
    });
}

/// Nothing obliges a stack to align its options (RFC 9293 section 3.1).
#[test]
fn sack_blocks_wherever_they_are() {
    let timestamps = Timestamp(0xdead_beef, 0x0505_0505);
    let before: [&[TcpOptionElement]; 8] = [
        &[],
        &[Noop],
        &[Noop, Noop],
        &[Noop, Noop, Noop],
        slice::from_ref(&timestamps),
        &[Noop, timestamps.clone()],
        &[timestamps.clone(), Noop],
        &[Noop, Noop, timestamps.clone(), Noop],
    ];
    let wire = [(26, 40), (1, 24), (100, 200)];
    let sender = [(23, 37), (1, 21), (97, 197)];
    bench_with(Flow::client_inside, |bench, flow| {
        longer(bench, flow);
        for before in before {
            for count in 1..=3 {
                bench.becomes(
                    &selective(flow, before, &wire[..count]),
                    &selective(flow, before, &sender[..count]),
                );
            }
        }
        Ok(())
    });
}

/// Options that contradict themselves are for the host to judge.
#[test]
fn malformed_options_are_left_alone() {
    let lists: [&[u8]; 7] = [
        // Longer than the header.
        &[1, 1, 5, 200, 0, 0, 0, 26, 0, 0, 0, 40],
        // Too short to be an option.
        &[5, 0, 5, 10, 0, 0, 0, 26, 0, 0, 0, 40],
        &[5, 1, 5, 10, 0, 0, 0, 26, 0, 0, 0, 40],
        // Behind the end of the list.
        &[0, 0, 5, 10, 0, 0, 0, 26, 0, 0, 0, 40],
        // Not one whole edge.
        &[1, 5, 5, 0, 0, 26, 1, 1],
        &[1, 1, 5, 2],
        // Nothing but the kind.
        &[1, 1, 1, 5],
    ];
    bench_with(Flow::client_inside, |bench, flow| {
        longer(bench, flow);
        for list in lists {
            let mut wire = flow.peer_acknowledges(26);
            wire.options = list.to_vec();
            let mut sender = flow.peer_acknowledges(23);
            sender.options = list.to_vec();
            bench.becomes(&wire, &sender);
        }
        Ok(())
    });
}

#[test]
fn urgent_data() {
    bench_with(Flow::client_inside, |bench, flow| {
        // In the segment that is rewritten: before, in and behind the text.
        for (urgent, expected) in [(1, 1), (5, 5), (6, 5), (20, 5), (21, 24), (23, 26)] {
            bench.open(flow)?;
            bench.becomes(
                &flow.egress(0, SENT).urgent(urgent),
                &flow.egress(0, WIRE).urgent(expected),
            );
        }
        // Behind it, with and without data.
        let abort = b"\xff\xf4\xff\xf2ABOR\r\n";
        bench.becomes(
            &flow.egress(23, abort).urgent(4),
            &flow.egress(26, abort).urgent(4),
        );
        // Over bytes that may still be rewritten: not before they come.
        bench.becomes(&flow.egress(33, "").urgent(7), &flow.egress(36, ""));
        // Announced before it is sent: across the text.
        bench.becomes(
            &flow.egress(0, "POR").urgent(23),
            &flow.egress(0, "POR").urgent(26),
        );
        Ok(())
    });
}

/// A replaced text, as far as numbers are concerned.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
    wire_start: u32,
    wire_end: u32,
}

/// Sends `count` announcements that get longer and shorter in turns, four to a
/// segment. The peer has acknowledged all but those of the last two segments
/// before the next one is sent.
fn several(bench: &mut Bench, flow: &Flow, count: u32) -> Vec<Place> {
    let len = |text: &str| u32::try_from(text.len()).expect("a short text");
    let (mut sent, mut wired) = (0, 0);
    let (mut lines, mut expected) = (String::new(), String::new());
    let mut places = Vec::new();
    let mut ends = Vec::new();
    for index in 0..count {
        let numbers = match index % 3 {
            0 => format!("10,0,0,2,195,{}", 100 + index),
            1 => format!("010,000,000,002,195,{}", 100 + index),
            _ => format!("010,000,0,2,195,{}", 100 + index),
        };
        let text = format!("203,0,113,1,195,{}", 100 + index);
        let (start, wire_start) = (sent + len(&lines) + 5, wired + len(&expected) + 5);
        places.push(Place {
            start,
            end: start + len(&numbers),
            wire_start,
            wire_end: wire_start + len(&text),
        });
        lines.extend(["PORT ", &numbers, "\r\n"]);
        expected.extend(["PORT ", &text, "\r\n"]);
        if index % 4 < 3 && index + 1 < count {
            continue;
        }
        if let [.., (wire, sender), _] = ends[..] {
            bench.becomes(
                &flow.peer_acknowledges(wire),
                &flow.peer_acknowledges(sender),
            );
        }
        bench.becomes(&flow.egress(sent, &lines), &flow.egress(wired, &expected));
        (sent, wired) = (sent + len(&lines), wired + len(&expected));
        ends.push((wired, sent));
        lines.clear();
        expected.clear();
    }
    if let [.., (wire, sender), _] = ends[..] {
        bench.becomes(
            &flow.peer_acknowledges(wire),
            &flow.peer_acknowledges(sender),
        );
    }
    bench.becomes(
        &flow.egress(sent, "LIST\r\n"),
        &flow.egress(wired, "LIST\r\n"),
    );
    places
}

/// Each of the rewrites has its own shift.
fn every_place(bench: &mut Bench, flow: &Flow, places: &[Place]) {
    for place in places {
        for (wire, sender) in [
            (place.wire_start, place.start),
            (place.wire_start + 1, place.start),
            (place.wire_end - 1, place.start),
            (place.wire_end, place.end),
            (place.wire_end + 2, place.end + 2),
            (place.wire_end + 5, place.end + 5),
        ] {
            bench.becomes(
                &flow.peer_acknowledges(wire),
                &flow.peer_acknowledges(sender),
            );
        }
        // Another shift for each edge.
        let last = places[places.len() - 1];
        let segment = |acknowledgment, left, right| {
            let number = flow.egress_start.wrapping_add(acknowledgment);
            selective(flow, &[Noop, Noop], &[(left, right)]).acknowledgment(number)
        };
        bench.becomes(
            &segment(place.wire_start, place.wire_end, last.wire_end),
            &segment(place.start, place.end, last.end),
        );
    }
}

#[test]
fn several_rewrites_in_flight() {
    bench_with(Flow::client_inside, |bench, flow| {
        for count in [2, 3, 8] {
            bench.open(flow)?;
            let places = several(bench, flow, count);
            every_place(bench, flow, &places);
        }
        Ok(())
    });
}

/// The newest eight are known one by one, those before them by their sum.
#[test]
fn more_rewrites_than_are_remembered() {
    bench_with(Flow::client_inside, |bench, flow| {
        for count in [9, 16, 17, 50] {
            bench.open(flow)?;
            let places = several(bench, flow, count);
            every_place(bench, flow, &places[places.len() - 8..]);
        }
        Ok(())
    });
}

/// What would be forgotten is waited for: a retransmission of it must not go out
/// without its text.
#[test]
fn more_rewrites_than_are_remembered_at_once() {
    bench_with(Flow::client_inside, |bench, flow| {
        let segment = |index: u32| flow.egress(23 * index, SENT);
        let wire = |index: u32| flow.egress(26 * index, WIRE);
        for index in 0..5 {
            bench.becomes(&segment(index), &wire(index));
        }
        bench.forget();
        for arrived in [0, 5, 6, 23] {
            let (from, to) = (arrived, if arrived > 5 { 5 } else { arrived });
            bench.becomes(&flow.peer_acknowledges(from), &flow.peer_acknowledges(to));
            bench.dropped(&segment(5));
            bench.counted(&[(Reason::TooManyRewrites, 1)]);
        }
        // Nobody has to wait with what was sent before.
        bench.becomes(&segment(0), &wire(0));
        bench.becomes(&segment(4), &wire(4));
        bench.becomes(&flow.peer_acknowledges(24), &flow.peer_acknowledges(21));
        bench.becomes(&segment(5), &wire(5));
        bench.dropped(&segment(6));
        bench.becomes(&flow.peer_acknowledges(52), &flow.peer_acknowledges(46));
        bench.becomes(&segment(6), &wire(6));
        Ok(())
    });
}
