//! The peer: puts the stream together and says what it has.

use etherparse::TcpOptionElement::{Noop, SelectiveAcknowledgement, Timestamp};

use crate::{
    flow::Flow,
    segment::{Segment, flags},
};

/// What arrived, by position behind the first byte.
#[derive(Debug, Default)]
pub struct Receiver {
    bytes: Vec<Option<u8>>,
    /// Everything before this position is there.
    pub next: usize,
    /// Position of the FIN.
    pub end: Option<usize>,
}

impl Receiver {
    /// Takes a segment that arrived.
    pub fn take(&mut self, flow: &Flow, segment: &Segment) {
        // Sequence numbers wrap; what arrives is never far away.
        let offset = segment.sequence.wrapping_sub(flow.egress_start);
        let mut position = i64::from(offset.cast_signed());
        for byte in &segment.payload {
            // What it has is not looked at any more.
            match usize::try_from(position) {
                Ok(index) if index >= self.next => self.put(index, *byte),
                _ => {}
            }
            position += 1;
        }
        if segment.flags & flags::FIN != 0 {
            let end = usize::try_from(position).expect("the FIN is behind the start");
            assert!(
                self.end.is_none_or(|known| known == end),
                "the FIN was at {:?} and is at {end} now",
                self.end
            );
            self.end = Some(end);
        }
        while self.bytes.get(self.next).is_some_and(Option::is_some) {
            self.next += 1;
        }
    }

    fn put(&mut self, index: usize, byte: u8) {
        if self.bytes.len() <= index {
            self.bytes.resize(index + 1, None);
        }
        let known = self.bytes[index].replace(byte);
        assert!(
            known.is_none_or(|known| known == byte),
            "position {index} was {:?} and is {:?} now",
            known.map(char::from),
            char::from(byte)
        );
    }

    /// The stream so far.
    pub fn stream(&self) -> Vec<u8> {
        self.bytes[..self.next].iter().flatten().copied().collect()
    }

    /// True when these bytes arrived.
    pub fn has(&self, range: std::ops::Range<usize>) -> bool {
        range.end <= self.next
            || self
                .bytes
                .get(range)
                .is_some_and(|bytes| bytes.iter().all(Option::is_some))
    }

    /// True when FIN and everything before it arrived.
    pub fn is_done(&self) -> bool {
        self.end == Some(self.next)
    }

    /// The acknowledgment of what arrived, as the receiver counts.
    pub fn acknowledgment(&self) -> usize {
        self.next + usize::from(self.is_done())
    }

    /// The pieces that arrived behind a gap, the last ones first.
    pub fn pieces(&self) -> Vec<(usize, usize)> {
        let mut pieces = Vec::new();
        let mut start = None;
        for index in self.next..=self.bytes.len() {
            let there = self.bytes.get(index).is_some_and(Option::is_some);
            match (there, start) {
                (true, None) => start = Some(index),
                (false, Some(first)) => {
                    pieces.push((first, index));
                    start = None;
                }
                _ => {}
            }
        }
        pieces.reverse();
        pieces
    }

    /// The segment that says so, `sent` bytes into the peer's own stream.
    pub fn answer(&self, flow: &Flow, sent: u32, payload: &[u8]) -> Segment {
        let number = |position: usize| {
            let position = u32::try_from(position).expect("a short stream");
            flow.egress_start.wrapping_add(position)
        };
        let mut options = vec![Noop, Noop, Timestamp(7, 8)];
        let mut pieces = self
            .pieces()
            .into_iter()
            .map(|(start, end)| (number(start), number(end)));
        if let Some(first) = pieces.next() {
            let rest = [pieces.next(), pieces.next(), None];
            options.extend([Noop, Noop, SelectiveAcknowledgement(first, rest)]);
        }
        let mut segment = flow.ingress(sent, payload).options(&options);
        segment.acknowledgment = number(self.acknowledgment());
        if payload.is_empty() {
            segment.flags = flags::ACK;
        }
        segment
    }
}
