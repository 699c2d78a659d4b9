//! What goes on: texts in their places, numbers translated.

use ftp_helper_common::{
    grammar::{LineParser, TEXT},
    reason::Reason,
    rewrite::REWRITES,
    session::{Direction, Session},
    stream::before,
};

use super::{Fate, Gateway, Link, Stop, Work, count, held, is_plain};
use crate::segment::flags;

/// A TCP header without options.
const HEADER: usize = 20;
/// Option kinds.
const END: u8 = 0;
const NOP: u8 = 1;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// Most payload of one frame.
pub(super) fn limit(link: Link, work: &Work) -> u32 {
    let segment = &work.segment;
    let headers = segment.network_len() + HEADER + segment.options.len();
    let interface = link.mtu.saturating_sub(count(headers));
    let every_path = if segment.source.is_ipv4() { 536 } else { 1220 };
    match work.merged {
        0 => interface,
        merged => interface.min(merged.max(every_path)),
    }
}

impl Gateway {
    /// The segment in its wire form.
    pub(super) fn send(&mut self, session: &mut Session, work: &mut Work) -> Fate {
        let len = work.segment.payload.len();
        let whole = work.to == work.from.wrapping_add(count(len)) && len == work.declared;
        if whole && is_plain(session, work.direction) {
            return self.translate(session, work);
        }
        if held(session, work.direction) > 0 {
            let start = session.rewrites.hold_start;
            if !before(work.from, start) {
                return Self::acknowledge(session, work);
            }
            if before(start, work.to) {
                work.to = start;
            }
        }
        let goes_out = work.direction == Direction::Egress;
        if goes_out && self.put_in_place(session, work).is_err() {
            return Fate::Drop;
        }
        self.translate_numbers(session, work);
        Fate::Next(work.segment.clone())
    }

    /// Only numbers change, if anything.
    pub(super) fn translate(&mut self, session: &Session, work: &mut Work) -> Fate {
        if work.direction == Direction::Egress {
            work.wire = session.rewrites.to_wire(work.from);
        }
        self.translate_numbers(session, work);
        Fate::Next(work.segment.clone())
    }

    /// Every text that the segment touches, in the place of what it stands for.
    fn put_in_place(&mut self, session: &Session, work: &mut Work) -> Result<(), Stop> {
        let rewrites = &session.rewrites;
        self.fit(session, work)?;
        let keep = work.to.wrapping_sub(work.from) as usize;
        if keep < work.segment.payload.len() {
            work.segment.payload.truncate(keep);
            work.segment.flags &= !flags::FIN;
        }
        let (from, to) = (work.from, work.to);
        work.wire = rewrites.to_wire(from);
        for age in 0..count(REWRITES) {
            let Some(rewrite) = rewrites.rewrite(age) else {
                break;
            };
            if !rewrite.touches(from, to) {
                continue;
            }
            let clamp = |number: u32| {
                if before(number, from) {
                    0
                } else if before(to, number) {
                    to.wrapping_sub(from) as usize
                } else {
                    number.wrapping_sub(from) as usize
                }
            };
            let place = clamp(rewrite.start)..clamp(rewrite.end());
            let payload = &mut work.segment.payload;
            if place.end > payload.len() {
                self.count(Reason::RewriteFailed);
                return Err(Stop);
            }
            let is_whole = place.len() == usize::from(rewrite.original_len);
            if is_whole && rewrite.digest_len > 0 {
                let known = payload[place.clone()]
                    .iter()
                    .chain([&0; TEXT])
                    .take(rewrite.digest_len.into())
                    .fold(LineParser::digest_basis(), |sum, byte| {
                        LineParser::digest_add(sum, *byte)
                    });
                if known != rewrite.digest {
                    self.count(Reason::OverlapMismatch);
                    return Err(Stop);
                }
            }
            if !before(from, rewrite.start) {
                work.wire = rewrite.wire_start();
            }
            let text = &rewrite.text[..rewrite.new_len.into()];
            payload.splice(place, text.iter().copied());
            if age >= work.rewrites {
                self.count(Reason::RewriteRepeated);
            }
        }
        Ok(())
    }

    /// What gets too large goes on in pieces.
    fn fit(&self, session: &Session, work: &mut Work) -> Result<(), Stop> {
        let len = work.to.wrapping_sub(work.from);
        let touched = (0..count(REWRITES))
            .map_while(|age| session.rewrites.rewrite(age))
            .filter(|rewrite| rewrite.touches(work.from, work.to));
        let mut is_resized = len != count(work.segment.payload.len());
        let mut growth = 0;
        for rewrite in touched {
            is_resized |= rewrite.new_len != rewrite.original_len || rewrite.held_len > 0;
            growth += u32::from(rewrite.new_len.saturating_sub(rewrite.original_len));
            growth += u32::from(rewrite.held_len);
        }
        let is_piece = work.merged > 0 && self.link.merged == 0;
        let limit = limit(self.link, work);
        if !is_resized && !is_piece || len + growth <= limit {
            return Ok(());
        }
        let keep = limit.saturating_sub(growth + count(TEXT)).max(1);
        if keep >= len {
            return Ok(());
        }
        work.split = keep as usize;
        Err(Stop)
    }

    fn translate_numbers(&self, session: &Session, work: &mut Work) {
        match work.direction {
            Direction::Egress => self.translate_outgoing(session, work),
            Direction::Ingress => Self::translate_incoming(session, work),
        }
    }

    /// Sequence number, urgent pointer.
    fn translate_outgoing(&self, session: &Session, work: &mut Work) {
        let rewrites = &session.rewrites;
        let segment = &mut work.segment;
        let from = std::mem::replace(&mut segment.sequence, work.wire);
        if segment.flags & flags::URG == 0 {
            return;
        }
        let behind = from.wrapping_add(segment.urgent.into());
        let next = session.streams[work.direction as usize].next;
        let read = next.wrapping_sub(rewrites.hold_len.into());
        if before(read, behind) && self.may_rewrite(session, work.direction) {
            segment.flags &= !flags::URG;
            segment.urgent = 0;
        } else {
            let distance = rewrites.to_wire(behind).wrapping_sub(work.wire);
            segment.urgent = u16::try_from(distance & 0xffff).unwrap_or_default();
        }
    }

    /// Acknowledgment, SACK.
    fn translate_incoming(session: &Session, work: &mut Work) {
        let rewrites = &session.rewrites;
        let segment = &mut work.segment;
        if segment.flags & flags::ACK == 0 || rewrites.is_plain() {
            return;
        }
        segment.acknowledgment = rewrites.acknowledgment_to_sender(segment.acknowledgment);
        if rewrites.done == 0 {
            return;
        }
        for (index, place) in edges(&segment.options).into_iter().enumerate() {
            let edge: &mut [u8] = &mut segment.options[place..place + 4];
            let number = edge
                .iter()
                .fold(0, |number, byte| number << 8 | u32::from(*byte));
            let number = rewrites.edge_to_sender(number, index & 1 == 0);
            edge.copy_from_slice(&number.to_be_bytes());
        }
    }

    /// Nothing of the segment may go on: the receiver's acknowledgment goes back.
    fn acknowledge(session: &Session, work: &mut Work) -> Fate {
        let [stream, reverse] = &session.streams;
        let wire = session.rewrites.to_wire(session.rewrites.hold_start);
        if !stream.has_arrived(wire) {
            return Fate::Drop;
        }
        let segment = &work.segment;
        let mut answer = segment.clone();
        answer.direction = Direction::Ingress;
        (answer.source, answer.destination) = (segment.destination, segment.source);
        answer.sequence = segment.acknowledgment;
        answer.acknowledgment = wire;
        answer.flags = flags::ACK;
        answer.window = reverse.window;
        answer.urgent = 0;
        answer.payload.clear();
        reflect(&mut answer.options);
        Fate::Answer(answer)
    }
}

/// Where the edges of SACK blocks are, at most four blocks.
fn edges(options: &[u8]) -> Vec<usize> {
    let mut at = 0;
    while at + 1 < options.len() {
        let (kind, len) = (options[at], usize::from(options[at + 1]));
        match kind {
            END => break,
            NOP => at += 1,
            _ if len < 2 || at + len > options.len() => break,
            SACK => {
                let places = (0..(len - 2) / 4).map(|index| at + 2 + index * 4);
                return places.take(8).collect();
            }
            _ => at += len,
        }
    }
    Vec::new()
}

/// Timestamps change places, every other option becomes no operation.
fn reflect(options: &mut [u8]) {
    let mut at = 0;
    while at < options.len() {
        if options[at] == TIMESTAMPS && at + 10 <= options.len() && options[at + 1] == 10 {
            let (value, echo) = options[at + 2..at + 10].split_at_mut(4);
            value.swap_with_slice(echo);
            at += 10;
        } else {
            options[at] = NOP;
            at += 1;
        }
    }
}
