//! Retransmissions: the same bytes again, however the segments are cut.

use ftp_helper_common::reason::Reason;
use ftp_helper_tests::packets::{
    bench::{Bench, bench_with},
    flow::Flow,
    segment::{Segment, flags},
};

/// Bytes that were replaced.
struct Place {
    start: usize,
    end: usize,
    text: &'static str,
}

/// What a sender said, and which of it was replaced.
struct Stream {
    sent: &'static str,
    places: &'static [Place],
}

/// One announcement between other lines.
const ONE: Stream = Stream {
    sent: "PWD\r\nPORT 10,0,0,2,195,149\r\nLIST\r\n",
    places: &[Place {
        start: 10,
        end: 26,
        text: "203,0,113,1,195,149",
    }],
};

/// Two announcements, one that gets longer and one that gets shorter.
const TWO: Stream = Stream {
    sent: "PORT 10,0,0,2,195,149\r\nNOOP\r\nPORT 010,000,0,02,195,150\r\n",
    places: &[
        Place {
            start: 5,
            end: 21,
            text: "203,0,113,1,195,149",
        },
        Place {
            start: 34,
            end: 54,
            text: "203,0,113,1,195,150",
        },
    ],
};

impl Stream {
    /// The bytes from `from` to `to` as they have to go on, and their offset. A
    /// text that they touch is always there as a whole.
    fn wire(&self, from: usize, to: usize) -> (usize, Vec<u8>) {
        let plain = |start: usize, end: usize, wired: usize| {
            let (first, last) = (start.max(from), end.min(to));
            let bytes = self.sent.as_bytes().get(first..last)?;
            (!bytes.is_empty()).then_some((wired + first - start, bytes))
        };
        let (mut at, mut wired) = (0, 0);
        let mut pieces = Vec::new();
        for place in self.places {
            pieces.extend(plain(at, place.start, wired));
            wired += place.start - at;
            if from < place.end && place.start < to {
                pieces.push((wired, place.text.as_bytes()));
            }
            wired += place.text.len();
            at = place.end;
        }
        pieces.extend(plain(at, self.sent.len(), wired));
        let bytes = pieces.iter().flat_map(|(_, bytes)| *bytes).copied();
        (pieces[0].0, bytes.collect())
    }

    fn segment(&self, flow: &Flow, from: usize, to: usize) -> Segment {
        flow.egress(number(from), &self.sent[from..to])
    }

    fn expected(&self, flow: &Flow, from: usize, to: usize) -> Segment {
        let (offset, bytes) = self.wire(from, to);
        flow.egress(number(offset), bytes)
    }

    /// Sends this part of it.
    #[track_caller]
    fn send(&self, bench: &Bench, flow: &Flow, from: usize, to: usize) {
        bench.becomes(
            &self.segment(flow, from, to),
            &self.expected(flow, from, to),
        );
    }

    /// How many texts this part touches.
    fn touched(&self, from: usize, to: usize) -> u64 {
        let touched = |place: &&Place| from < place.end && place.start < to;
        self.places.iter().filter(touched).count() as u64
    }
}

fn number(offset: usize) -> u32 {
    u32::try_from(offset).expect("a short stream")
}

/// The whole of it at once, then every part of it again.
fn every_part(stream: &Stream) {
    bench_with(Flow::client_inside, |bench, flow| {
        let len = stream.sent.len();
        stream.send(bench, flow, 0, len);
        bench.forget();
        for from in 0..len {
            for to in from + 1..=len {
                stream.send(bench, flow, from, to);
                match stream.touched(from, to) {
                    0 => bench.counted(&[]),
                    count => bench.counted(&[(Reason::RewriteRepeated, count)]),
                }
            }
        }
        // Nothing was announced a second time.
        assert_eq!(bench.session(flow)?.helped, number(stream.places.len()));
        assert_eq!(bench.expectations()?.len(), 1);
        Ok(())
    });
}

#[test]
fn every_part_of_a_line() {
    every_part(&ONE);
}

#[test]
fn every_part_of_two_lines() {
    every_part(&TWO);
}

/// Repeated bytes and new ones in one segment, cut at every place at which a
/// line is whole.
#[test]
fn repeated_together_with_new_bytes() {
    bench_with(Flow::client_inside, |bench, flow| {
        let len = TWO.sent.len();
        for first in [23, 29] {
            for from in 0..=first {
                bench.open(flow)?;
                TWO.send(bench, flow, 0, first);
                TWO.send(bench, flow, from, len);
                bench.forget();
                TWO.send(bench, flow, 0, len);
                bench.counted(&[(Reason::RewriteRepeated, 2)]);
                assert_eq!(bench.session(flow)?.helped, 2);
            }
        }
        Ok(())
    });
}

/// The sender closes, and repeats that together with the line before.
#[test]
fn repeated_together_with_a_fin() {
    bench_with(Flow::client_inside, |bench, flow| {
        let len = ONE.sent.len();
        ONE.send(bench, flow, 0, len);
        let fin = flags::FIN | flags::ACK;
        bench.becomes(
            &flow.egress(number(len), "").flags(fin),
            &flow.egress(number(len) + 3, "").flags(fin),
        );
        for from in [0, 12, 30] {
            bench.becomes(
                &ONE.segment(flow, from, len).flags(fin),
                &ONE.expected(flow, from, len).flags(fin),
            );
        }
        Ok(())
    });
}

/// The same place with other bytes: somebody wants the parser and the receiver to
/// see different commands.
#[test]
fn other_bytes_at_the_place_of_a_text() {
    bench_with(Flow::client_inside, |bench, flow| {
        let len = ONE.sent.len();
        ONE.send(bench, flow, 0, len);
        bench.forget();
        let others = [
            "PWD\r\nPORT 10,0,0,2,195,148\r\nLIST\r\n",
            "PWD\r\nPORT 10,0,0,9,195,149\r\nLIST\r\n",
            "PWD\r\nSTORx10,0,0,2,195 149\r\nLIST\r\n",
        ];
        for other in others {
            for (from, to) in [(0, len), (10, 26), (5, 28), (10, len)] {
                let segment = flow.egress(number(from), &other[from..to]);
                bench.dropped(&segment);
                bench.counted(&[(Reason::OverlapMismatch, 1)]);
            }
            // A part of the place: the text goes out, whatever was there.
            for (from, to) in [(0, 25), (11, len), (12, 14)] {
                let segment = flow.egress(number(from), &other[from..to]);
                let (offset, bytes) = ONE.wire(from, to);
                let outside = &other.as_bytes()[from..to.min(10).max(from)];
                let expected = [outside, &bytes[outside.len()..]].concat();
                bench.becomes(&segment, &flow.egress(number(offset), expected));
                bench.counted(&[(Reason::RewriteRepeated, 1)]);
            }
        }
        // The honest one still gets through.
        ONE.send(bench, flow, 0, len);
        Ok(())
    });
}

/// Two lines, of which only one was changed: the segment goes no further.
#[test]
fn other_bytes_at_one_of_two_places() {
    bench_with(Flow::client_inside, |bench, flow| {
        let len = TWO.sent.len();
        TWO.send(bench, flow, 0, len);
        bench.forget();
        let first = TWO.sent.replace("149", "148");
        let second = TWO.sent.replace("150", "151");
        bench.dropped(&flow.egress(0, first));
        bench.counted(&[(Reason::OverlapMismatch, 1), (Reason::RewriteRepeated, 1)]);
        bench.dropped(&flow.egress(0, second));
        bench.counted(&[(Reason::OverlapMismatch, 1)]);
        TWO.send(bench, flow, 0, len);
        Ok(())
    });
}
