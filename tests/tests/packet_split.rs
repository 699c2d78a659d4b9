//! Announcements that arrive in pieces.

use std::ops::Range;

use etherparse::TcpOptionElement::{
    MaximumSegmentSize, Noop, SelectiveAcknowledgement, SelectiveAcknowledgementPermitted,
    Timestamp,
};
use ftp_helper_common::reason::Reason;
use ftp_helper_tests::packets::{
    bench::{Bench, bench_with},
    flow::Flow,
    segment::{Segment, flags},
};

/// A line that is rewritten, and what is known of it beforehand.
#[derive(Clone, Copy)]
struct Line {
    sent: &'static str,
    /// The numbers.
    start: usize,
    end: usize,
    /// The byte that tells that they are complete.
    last: usize,
    text: &'static str,
}

const PORT: Line = Line {
    sent: "PORT 10,0,0,2,195,149\r\n",
    start: 5,
    end: 21,
    last: 22,
    text: "203,0,113,1,195,149",
};

/// It gets shorter, and there is text behind the numbers.
const SHORTER: Line = Line {
    sent: "port 010,000,000,002,195,149 \t\r\n",
    start: 5,
    end: 28,
    last: 31,
    text: "203,0,113,1,195,149",
};

const EPRT: Line = Line {
    sent: "EPRT !1!10.0.0.2!50069!\r\n",
    start: 8,
    end: 22,
    last: 24,
    text: "203.0.113.1!50069",
};

const EPRT_V6: Line = Line {
    sent: "EPRT |2|fd00::2|50069|\r\n",
    start: 8,
    end: 21,
    last: 23,
    text: "2001:db8:1::1|50069",
};

const REPLY: Line = Line {
    sent: "227 Entering Passive Mode (10,0,0,3,195,149).\r\n",
    start: 27,
    end: 43,
    last: 43,
    text: "203,0,113,1,195,149",
};

const ACCEPTED: Line = Line {
    sent: "229 Entering Extended Passive Mode (|||50069|)\r\n",
    start: 39,
    end: 44,
    last: 44,
    text: "50069",
};

fn number(offset: usize) -> u32 {
    u32::try_from(offset).expect("a short line")
}

impl Line {
    fn len(&self) -> usize {
        self.sent.len()
    }

    /// What the receiver gets.
    fn wire(&self) -> String {
        let (before, behind) = (&self.sent[..self.start], &self.sent[self.end..]);
        format!("{before}{}{behind}", self.text)
    }

    /// Where a place behind the numbers is on the wire.
    fn wired(&self, offset: usize) -> usize {
        offset + self.text.len() + self.start - self.end
    }

    fn segment(&self, flow: &Flow, range: Range<usize>) -> Segment {
        flow.egress(number(range.start), &self.sent[range])
    }

    /// Sends a piece that nobody saw before. `held` is true when bytes before it
    /// were held.
    #[track_caller]
    fn send(&self, bench: &Bench, flow: &Flow, range: Range<usize>) {
        let segment = self.segment(flow, range.clone());
        let wire = self.wire();
        let Range {
            start: from,
            end: to,
        } = range;
        if from > self.last {
            let expected = flow.egress(number(self.wired(from)), &self.sent[from..to]);
            bench.becomes(&segment, &expected);
        } else if to > self.last {
            // Complete: what was held goes in front.
            let first = from.min(self.start);
            let expected = flow.egress(number(first), &wire[first..self.wired(to)]);
            bench.becomes(&segment, &expected);
        } else if to <= self.start {
            bench.unchanged(&segment);
        } else if from < self.start {
            let expected = flow.egress(number(from), &self.sent[from..self.start]);
            bench.becomes(&segment, &expected);
            acknowledged(bench, flow, self.start, to);
        } else {
            // The peer has everything before the numbers.
            acknowledged(bench, flow, self.start, from);
            let answer = flow.peer_acknowledges(number(self.start));
            bench.answered(&segment, &answer);
            bench.becomes(&answer, &flow.peer_acknowledges(number(to)));
        }
    }

    /// Nothing has to be replaced.
    fn is_accepted(&self) -> bool {
        self.text == &self.sent[self.start..self.end]
    }

    /// The end of what is remembered as a rewrite, when the bytes up to `held`
    /// were held: those behind the numbers belong to it, and nothing else of a
    /// line that went on as it was.
    fn replaced(&self, held: usize) -> usize {
        if self.is_accepted() {
            held
        } else {
            self.end.max(held)
        }
    }

    /// Any part of the line again, when all of it went on and the bytes up to
    /// `held` were held.
    #[track_caller]
    fn again(&self, bench: &Bench, flow: &Flow, range: Range<usize>, held: usize) {
        let segment = self.segment(flow, range.clone());
        let wire = self.wire();
        let Range {
            start: from,
            end: to,
        } = range;
        // A piece that touches the text has all of it.
        let end = self.replaced(held);
        let touched = to > self.start && (from < end || from == end && held > 0);
        let expected = if touched {
            let first = from.min(self.start);
            let behind = self.wired(to.max(end));
            flow.egress(number(first), &wire[first..behind])
        } else if to <= self.start {
            segment.clone()
        } else {
            flow.egress(number(self.wired(from)), &self.sent[from..to])
        };
        bench.becomes(&segment, &expected);
    }
}

/// An acknowledgment of the peer, as the sender hears it.
#[track_caller]
fn acknowledged(bench: &Bench, flow: &Flow, wire: usize, sender: usize) {
    bench.becomes(
        &flow.peer_acknowledges(number(wire)),
        &flow.peer_acknowledges(number(sender)),
    );
}

/// The peer is heard of, and in case of a server asked for a passive connection.
fn begin(bench: &mut Bench, flow: &Flow) {
    let outstanding = if flow.client_inside { "" } else { "PASV\r\n" };
    bench.open(flow).expect("the session can be stored");
    bench.unchanged(&flow.ingress(0, outstanding));
    bench.forget();
}

/// The line in pieces, then any part of it again.
fn pieces(bench: &mut Bench, flow: &Flow, line: &Line, cuts: &[usize]) {
    begin(bench, flow);
    let mut from = 0;
    let mut held = 0;
    for to in cuts.iter().copied().chain([line.len()]) {
        line.send(bench, flow, from..to);
        if line.start < to && to <= line.last {
            held = to;
        }
        from = to;
    }
    let mut counted = vec![(Reason::ExpectationCreated, 1)];
    if line.is_accepted() {
        counted.push((Reason::AnnouncementAccepted, 1));
        if held > 0 {
            counted.push((Reason::LineReleased, 1));
        }
    } else {
        counted.push((Reason::AnnouncementRewritten, 1));
    }
    if held > 0 {
        counted.push((Reason::LineHeld, 1));
    }
    bench.counted(&counted);

    let session = bench.session(flow).expect("the session is there");
    assert_eq!(session.rewrites.hold_len, 0);
    let len = line.len();
    for range in [
        0..len,
        0..cuts[0],
        cuts[0]..len,
        cuts[cuts.len() - 1]..len,
        line.start..line.end,
        line.end..len,
    ] {
        line.again(bench, flow, range, held);
    }
    acknowledged(bench, flow, line.wired(len), len);
    // Of a text that arrived in part, the sender repeats what is its own.
    let end = line.wired(line.replaced(held).max(line.start));
    for wire in [line.start, line.start + 1, end.saturating_sub(1)] {
        if line.start <= wire && wire < end {
            let sender = if held > 0 { held } else { line.start };
            acknowledged(bench, flow, wire, sender);
        }
    }
    bench.becomes(
        &flow.egress(number(len), "NOOP\r\n"),
        &flow.egress(number(line.wired(len)), "NOOP\r\n"),
    );
}

fn every_cut(flow: impl Fn(u32) -> Flow + Sync, line: &Line) {
    bench_with(flow, |bench, flow| {
        for cut in 1..line.len() {
            pieces(bench, flow, line, &[cut]);
        }
        Ok(())
    });
}

fn byte_by_byte(flow: impl Fn(u32) -> Flow + Sync, line: &Line) {
    bench_with(flow, |bench, flow| {
        let cuts: Vec<_> = (1..line.len()).collect();
        pieces(bench, flow, line, &cuts);
        Ok(())
    });
}

#[test]
fn port_in_two_pieces() {
    every_cut(Flow::client_inside, &PORT);
    every_cut(Flow::client_inside, &SHORTER);
}

#[test]
fn port_in_three_pieces() {
    bench_with(Flow::client_inside, |bench, flow| {
        for first in 1..PORT.len() {
            for second in first + 1..PORT.len() {
                pieces(bench, flow, &PORT, &[first, second]);
            }
        }
        Ok(())
    });
}

#[test]
fn port_byte_by_byte() {
    byte_by_byte(Flow::client_inside, &PORT);
    byte_by_byte(Flow::client_inside, &SHORTER);
}

#[test]
fn eprt_in_two_pieces() {
    every_cut(Flow::client_inside, &EPRT);
    every_cut(Flow::client_inside_v6, &EPRT_V6);
}

#[test]
fn eprt_byte_by_byte() {
    byte_by_byte(Flow::client_inside, &EPRT);
    byte_by_byte(Flow::client_inside_v6, &EPRT_V6);
}

#[test]
fn replies_in_two_pieces() {
    every_cut(Flow::server_inside, &REPLY);
    every_cut(Flow::server_inside, &ACCEPTED);
}

#[test]
fn replies_byte_by_byte() {
    byte_by_byte(Flow::server_inside, &REPLY);
    byte_by_byte(Flow::server_inside, &ACCEPTED);
}

/// Pipelined lines before and behind the one that is cut.
#[test]
fn among_other_lines() {
    bench_with(Flow::client_inside, |bench, flow| {
        for cut in 1..PORT.len() {
            begin(bench, flow);
            let before = "PWD\r\n";
            let passed = cut.min(PORT.start);
            let first = format!("{before}{}", &PORT.sent[..cut]);
            let second = format!("{}LIST\r\n", &PORT.sent[cut..]);
            let passed = if cut > PORT.last { cut } else { passed };
            bench.becomes(
                &flow.egress(0, &first),
                &flow.egress(0, format!("{before}{}", &PORT.sent[..passed])),
            );
            let expected = format!("{}LIST\r\n", &PORT.wire()[passed..]);
            let segment = flow.egress(number(first.len()), &second);
            let expected = flow.egress(number(before.len() + passed), expected);
            bench.becomes(&segment, &expected);
            // The finishing segment again, also with what follows.
            bench.becomes(&segment, &expected);
            let longer = |segment: &Segment| {
                let payload = [&segment.payload[..], b"QUIT\r\n"].concat();
                segment.clone().payload(payload)
            };
            bench.becomes(&longer(&segment), &longer(&expected));
        }
        Ok(())
    });
}

/// Our acknowledgment got lost: the held bytes come again, alone or together with
/// the rest.
#[test]
fn held_bytes_again() {
    bench_with(Flow::client_inside, |bench, flow| {
        for cut in PORT.start + 1..=PORT.last {
            begin(bench, flow);
            PORT.send(bench, flow, 0..cut);
            bench.forget();
            // The whole of what was sent, then the held part of it, then pieces.
            for _ in 0..2 {
                let passed = flow.egress(0, &PORT.sent[..PORT.start]);
                bench.becomes(&PORT.segment(flow, 0..cut), &passed);
                let answer = flow.peer_acknowledges(number(PORT.start));
                for from in PORT.start..cut {
                    bench.answered(&PORT.segment(flow, from..cut), &answer);
                    bench.answered(&PORT.segment(flow, from..from + 1), &answer);
                }
            }
            bench.counted(&[]);
            // With the rest: from before, at and inside of what is held.
            for from in 0..=cut {
                begin(bench, flow);
                PORT.send(bench, flow, 0..cut);
                let first = from.min(PORT.start);
                let expected = flow.egress(number(first), &PORT.wire()[first..]);
                bench.becomes(&PORT.segment(flow, from..PORT.len()), &expected);
            }
        }
        Ok(())
    });
}

/// Other bytes at the place of those that are held.
#[test]
fn held_bytes_that_change() {
    bench_with(Flow::client_inside, |bench, flow| {
        begin(bench, flow);
        PORT.send(bench, flow, 0..10);
        bench.forget();
        bench.dropped(&flow.egress(5, "10,9,0,2,195,149\r\n"));
        bench.counted(&[
            (Reason::AnnouncementRewritten, 1),
            (Reason::ExpectationCreated, 1),
            (Reason::OverlapMismatch, 1),
        ]);
        // The line as the parser saw it.
        let expected = flow.egress(5, &PORT.wire()[5..]);
        bench.becomes(&PORT.segment(flow, 5..23), &expected);
        Ok(())
    });
}

/// What comes behind a gap waits, and does not disturb the hold.
#[test]
fn a_piece_that_overtakes() {
    bench_with(Flow::client_inside, |bench, flow| {
        begin(bench, flow);
        PORT.send(bench, flow, 0..10);
        bench.dropped(&PORT.segment(flow, 15..23));
        let expected = flow.egress(5, &PORT.wire()[5..]);
        bench.becomes(&PORT.segment(flow, 10..15), &expected);
        bench.counted(&[
            (Reason::LineHeld, 1),
            (Reason::Reordered, 1),
            (Reason::AnnouncementRewritten, 1),
            (Reason::ExpectationCreated, 1),
        ]);
        Ok(())
    });
}

/// Pure acknowledgments and resets while bytes are held: they stand where the
/// receiver is.
#[test]
fn empty_segments_during_a_hold() {
    bench_with(Flow::client_inside, |bench, flow| {
        begin(bench, flow);
        PORT.send(bench, flow, 0..10);
        for kind in [flags::ACK, flags::RST] {
            let segment = |offset| flow.egress(offset, "").flags(kind);
            bench.becomes(&segment(10), &segment(5));
        }
        Ok(())
    });
}

/// The line turns out to be of no interest: what was held goes on as it was.
#[test]
fn a_held_line_that_can_not_be_parsed() {
    let lines = [
        ("PORT 10,0", ",0,2,x\r\n", Reason::BadSyntax),
        ("PORT 10,0", "\r\n", Reason::BadSyntax),
        ("PORT 10,0,0,2,195,149", ",1\r\n", Reason::BadSyntax),
        ("PORT 10,0,0,2,195,149 ", "x\r\n", Reason::BadSyntax),
        ("PORT 10,0,0,2,25", "6,1\r\n", Reason::BadSyntax),
        // Refused in the end.
        ("PORT 10,0,0,9,195", ",149\r\n", Reason::ThirdParty),
        ("PORT 10,0,0,2,0", ",149\r\n", Reason::LowPort),
        ("EPRT |1|10.0.0.2|500", "xx|\r\n", Reason::BadSyntax),
        ("EPRT |1|10.0.0.2|500", "699|\r\n", Reason::BadPort),
    ];
    bench_with(Flow::client_inside, |bench, flow| {
        for (first, second, reason) in lines {
            begin(bench, flow);
            let start = first.find(char::is_numeric).expect("there are numbers");
            let family = if first.starts_with("EPRT") { 2 } else { 0 };
            let start = start + family;
            bench.becomes(&flow.egress(0, first), &flow.egress(0, &first[..start]));
            let segment = flow.egress(number(first.len()), second);
            let held = &first[start..];
            let expected = flow.egress(number(start), format!("{held}{second}"));
            bench.becomes(&segment, &expected);
            bench.counted(&[
                (Reason::LineHeld, 1),
                (Reason::LineReleased, 1),
                (reason, 1),
            ]);
            let session = bench.session(flow)?;
            assert_eq!(session.last_refusal, reason as u8 + 1);
            assert_eq!((session.refused, session.helped), (1, 0));
            assert!(bench.expectations()?.is_empty());
            // Again, cut in other ways.
            bench.becomes(&segment, &expected);
            let whole = flow.egress(0, format!("{first}{second}"));
            bench.unchanged(&whole);
            bench.unchanged(&flow.egress(0, first));
            // Everything is where its sender believes it to be.
            let len = number(first.len() + second.len());
            bench.unchanged(&flow.egress(len, "NOOP\r\n"));
            bench.unchanged(&flow.peer_acknowledges(len));
            let partly = flow.peer_acknowledges(number(start));
            bench.becomes(&partly, &flow.peer_acknowledges(number(first.len())));
        }
        Ok(())
    });
}

/// A number in the text of a reply may be the start of an endpoint, until it is
/// not: several holds in one line.
#[test]
fn numbers_before_the_endpoint() {
    let sent = "227 Server 7 of 10, port (10,0,0,3,195,149)\r\n";
    let wire = "227 Server 7 of 10, port (203,0,113,1,195,149)\r\n";
    bench_with(Flow::server_inside, |bench, flow| {
        for cut in 1..sent.len() {
            begin(bench, flow);
            let first = flow.egress(0, &sent[..cut]);
            let second = flow.egress(number(cut), &sent[cut..]);
            let outcome = bench.run(first.direction, &first.bytes())?;
            let passed = outcome.packet.len() + cut - first.bytes().len();
            assert_eq!(outcome.packet, flow.egress(0, &wire[..passed]).bytes());
            bench.becomes(&second, &flow.egress(number(passed), &wire[passed..]));
        }
        Ok(())
    });
}

/// A line without its end at the end of the stream.
#[test]
fn a_fin_behind_a_partial_line() {
    let fin = flags::FIN | flags::ACK;
    bench_with(Flow::client_inside, |bench, flow| {
        for cut in 6..PORT.len() {
            // All in one segment.
            begin(bench, flow);
            let whole = PORT.segment(flow, 0..cut).flags(fin);
            bench.unchanged(&whole);
            bench.unchanged(&whole);
            // The last piece has the FIN.
            for last in 6..cut {
                begin(bench, flow);
                PORT.send(bench, flow, 0..last);
                let segment = PORT.segment(flow, last..cut).flags(fin);
                let expected = PORT.segment(flow, 5..cut).flags(fin);
                bench.becomes(&segment, &expected);
                bench.becomes(&segment, &expected);
                bench.unchanged(&flow.peer_acknowledges(number(cut) + 1));
            }
            // The FIN comes alone.
            begin(bench, flow);
            PORT.send(bench, flow, 0..cut);
            bench.forget();
            let segment = flow.egress(number(cut), "").flags(fin);
            let expected = PORT.segment(flow, 5..cut).flags(fin);
            bench.becomes(&segment, &expected);
            bench.counted(&[(Reason::LineReleased, 1)]);
            bench.becomes(&segment, &expected);
            bench.becomes(
                &flow.peer_acknowledges(5),
                &flow.peer_acknowledges(number(cut)),
            );
            bench.unchanged(&flow.peer_acknowledges(number(cut) + 1));
        }
        Ok(())
    });
}

/// The same with a line that was complete: its text must be behind the FIN's
/// number, whoever repeats it.
#[test]
fn a_fin_behind_a_line_that_was_held() {
    let fin = flags::FIN | flags::ACK;
    bench_with(Flow::client_inside, |bench, flow| {
        begin(bench, flow);
        PORT.send(bench, flow, 0..10);
        PORT.send(bench, flow, 10..23);
        bench.becomes(
            &flow.egress(23, "").flags(fin),
            &flow.egress(26, "").flags(fin),
        );
        bench.becomes(&flow.peer_acknowledges(27), &flow.peer_acknowledges(24));
        Ok(())
    });
}

/// More than what can be held: it goes on, and is not helped.
#[test]
fn a_line_that_is_too_long_to_be_held() {
    let blanks = " \t".repeat(100);
    let all = format!("{}{blanks}\r\n", &PORT.sent[..PORT.end]);
    // As many bytes as are held.
    let most = PORT.end + 19;
    bench_with(Flow::client_inside, |bench, flow| {
        for first in [most - 10, most - 1, most] {
            for extra in [most + 1, most + 7, most + 70, all.len() - 1] {
                begin(bench, flow);
                bench.becomes(&flow.egress(0, &all[..first]), &flow.egress(0, "PORT "));
                let segment = flow.egress(number(first), &all[first..extra]);
                let expected = flow.egress(5, &all[5..extra]);
                bench.becomes(&segment, &expected);
                bench.counted(&[
                    (Reason::LineHeld, 1),
                    (Reason::LineReleased, 1),
                    (Reason::LineTooLong, 1),
                ]);
                bench.becomes(&segment, &expected);
                bench.unchanged(&flow.egress(number(extra), &all[extra..]));
            }
        }
        // At once, nothing has to be held.
        begin(bench, flow);
        bench.unchanged(&flow.egress(0, &all[..=most]));
        bench.counted(&[(Reason::LineTooLong, 1)]);
        Ok(())
    });
}

/// As long as it may be: blanks are part of what is held, and not lost.
#[test]
fn blanks_behind_the_numbers() {
    bench_with(Flow::client_inside, |bench, flow| {
        for blanks in [1, 2, 7, 18] {
            let tail = format!("{}\r\n", &" \t".repeat(50)[..blanks]);
            let all = format!("{}{tail}", &PORT.sent[..PORT.end]);
            for first in PORT.end..all.len() {
                begin(bench, flow);
                bench.becomes(&flow.egress(0, &all[..first]), &flow.egress(0, "PORT "));
                bench.becomes(
                    &flow.egress(number(first), &all[first..]),
                    &flow.egress(5, format!("{}{tail}", PORT.text)),
                );
            }
            // More of them in the finishing segment than can be held.
            for first in PORT.end..all.len() - 1 {
                begin(bench, flow);
                bench.becomes(&flow.egress(0, &all[..first]), &flow.egress(0, "PORT "));
                let rest = format!("{}\r\n", "\t ".repeat(60));
                bench.becomes(
                    &flow.egress(number(first), &rest),
                    &flow.egress(5, format!("{}{}{rest}", PORT.text, &all[PORT.end..first])),
                );
            }
        }
        Ok(())
    });
}

/// A text can only take so many of them along: with more, the line is not
/// helped, but nothing of it is lost.
#[test]
fn more_blanks_than_a_text_can_take() {
    bench_with(Flow::client_inside, |bench, flow| {
        for blanks in 1..=47 {
            let all = format!(
                "{}{}\r\n",
                &PORT.sent[..PORT.end],
                &" \t".repeat(50)[..blanks]
            );
            begin(bench, flow);
            let first = flow.egress(0, &all[..all.len() - 1]);
            let outcome = bench.run(first.direction, &first.bytes())?;
            let passed = outcome.packet.len() + all.len() - 1 - first.bytes().len();
            let last = flow.egress(number(all.len() - 1), "\n");
            if passed == PORT.start {
                assert_eq!(outcome.packet, flow.egress(0, "PORT ").bytes());
                let rest = &all[PORT.end..];
                let expected = flow.egress(5, format!("{}{rest}", PORT.text));
                bench.becomes(&last, &expected);
            } else {
                assert!(blanks > 15, "{blanks} blanks are not that many");
                assert_eq!(outcome.packet, first.bytes());
                bench.unchanged(&last);
                bench.counted(&[(Reason::LineTooLong, 1)]);
            }
        }
        Ok(())
    });
}

/// The acknowledgment in the peer's name: everything that must not stay of the
/// segment that it is made of.
#[test]
fn our_own_acknowledgment() {
    let clocks = (0xaabb_ccdd, 0x1122_3344);
    let timestamps = Timestamp(clocks.0, clocks.1);
    let swapped = Timestamp(clocks.1, clocks.0);
    let sack = SelectiveAcknowledgement((1, 2), [Some((3, 4)), None, None]);
    let options = [
        (vec![], vec![]),
        (vec![Noop; 4], vec![Noop; 4]),
        (
            vec![Noop, Noop, timestamps.clone()],
            vec![Noop, Noop, swapped.clone()],
        ),
        (
            vec![timestamps.clone(), Noop, Noop],
            vec![swapped.clone(), Noop, Noop],
        ),
        (
            vec![Noop, timestamps.clone(), Noop],
            vec![Noop, swapped.clone(), Noop],
        ),
        (
            vec![Noop, Noop, timestamps.clone(), Noop, Noop, sack.clone()],
            [vec![Noop, Noop, swapped.clone()], vec![Noop; 20]].concat(),
        ),
        (vec![Noop, Noop, sack], vec![Noop; 20]),
        (
            vec![
                MaximumSegmentSize(1460),
                SelectiveAcknowledgementPermitted,
                timestamps,
            ],
            [vec![Noop; 6], vec![swapped]].concat(),
        ),
    ];
    let flows = [
        Flow::client_inside(u32::MAX - 8),
        Flow::client_inside_v6(u32::MAX - 8),
    ];
    for (flow, line) in flows.iter().zip([PORT, EPRT_V6]) {
        bench_with(
            |_| *flow,
            |bench, flow| {
                begin(bench, flow);
                let start = line.start;
                line.send(bench, flow, 0..start);
                for (index, (sent, expected)) in options.iter().enumerate() {
                    let at = start + index;
                    let window = 777 + u16::try_from(index)?;
                    // The peer's latest window is passed on.
                    let mut heard = flow.peer_acknowledges(number(start));
                    heard.window = window;
                    let mut heard_of = flow.peer_acknowledges(number(at));
                    heard_of.window = window;
                    bench.becomes(&heard, &heard_of);

                    let mut segment = line.segment(flow, at..at + 1).options(sent);
                    segment.acknowledgment = flow.ingress_start.wrapping_add(number(index));
                    let mut answer = flow.peer_acknowledges(number(start)).options(expected);
                    answer.window = window;
                    answer.sequence = segment.acknowledgment;
                    // Padding of the list ends it, and becomes no operation.
                    answer.options.iter_mut().for_each(|byte| {
                        if sent.len() == 3 && index == 7 && *byte == 0 {
                            *byte = 1;
                        }
                    });
                    bench.answered(&segment, &answer);
                }
                // Urgent data is data; the pointer does not go back.
                let at = start + options.len();
                let segment = line.segment(flow, at..at + 1);
                let answer = flow.peer_acknowledges(number(start));
                let mut answer = answer;
                answer.window = 777 + u16::try_from(options.len())? - 1;
                bench.answered(&segment.clone().urgent(1), &answer);
                // VLAN tags and a link header are the same on the way back.
                let mut tagged = segment;
                tagged.tags = 1;
                answer.tags = 1;
                bench.answered(&tagged, &answer);
                Ok(())
            },
        );
    }
}

/// What was passed on may still get lost behind the gateway: nobody may tell its
/// sender that it arrived.
#[test]
fn no_acknowledgment_of_what_the_peer_may_not_have() {
    bench_with(Flow::client_inside, |bench, flow| {
        for arrived in 0..PORT.start {
            begin(bench, flow);
            PORT.send(bench, flow, 0..PORT.start);
            acknowledged(bench, flow, arrived, arrived);
            let piece = PORT.segment(flow, 5..10);
            bench.dropped(&piece);
            bench.counted(&[(Reason::LineHeld, 1)]);
            // Of what was never sent, nobody can have anything.
            bench.run(
                piece.direction.reverse(),
                &flow.peer_acknowledges(1000).bytes(),
            )?;
            bench.dropped(&piece);
            // The rest can not wait for that.
            let rest = PORT.segment(flow, 10..23);
            let expected = flow.egress(5, &PORT.wire()[5..]);
            bench.becomes(&rest, &expected);
            bench.becomes(&PORT.segment(flow, 0..5), &PORT.segment(flow, 0..5));
            bench.becomes(&rest, &expected);
        }
        // As soon as it has that, its own acknowledgment covers what is held.
        begin(bench, flow);
        PORT.send(bench, flow, 0..PORT.start);
        bench.dropped(&PORT.segment(flow, 5..10));
        acknowledged(bench, flow, 5, 10);
        let answer = flow.peer_acknowledges(5);
        bench.answered(&PORT.segment(flow, 5..10), &answer);
        bench.answered(&PORT.segment(flow, 10..12), &answer);
        acknowledged(bench, flow, 5, 12);
        Ok(())
    });
}

/// Without anything to replace, nothing is held.
#[test]
fn nothing_is_held_without_need() {
    // The host is not translated.
    let flow = |start| Flow::client_inside(start).addresses("203.0.113.1", "203.0.113.1");
    bench_with(flow, |bench, flow| {
        let sent = "PORT 203,0,113,1,195,149\r\n";
        for cut in 1..sent.len() {
            begin(bench, flow);
            bench.unchanged(&flow.egress(0, &sent[..cut]));
            bench.unchanged(&flow.egress(number(cut), &sent[cut..]));
        }
        Ok(())
    });
    // The other direction is read, and never changed.
    bench_with(Flow::client_inside, |bench, flow| {
        let sent = "227 Entering Passive Mode (198,51,100,7,195,149).\r\n";
        for cut in 1..sent.len() {
            bench.open(flow)?;
            bench.unchanged(&flow.egress(0, "PASV\r\n"));
            bench.unchanged(&flow.ingress(0, &sent[..cut]));
            bench.unchanged(&flow.ingress(number(cut), &sent[cut..]));
        }
        Ok(())
    });
}
