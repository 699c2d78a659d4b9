//! A gateway on the host: what the programs do with the segments of one control
//! connection, written a second time, in plain Rust.
//!
//! The state is the very [`Session`] that lives in the kernel's map, and grammar,
//! texts, ring of rewrites and translation of numbers are the code of
//! `ftp-helper-common` that the programs are compiled from. What is written anew is what
//! the programs do with packets: there it works on a socket buffer by helper
//! functions, in steps that the verifier can follow; here on a vector of bytes. So
//! both can be compared after every segment, down to the last byte of the session.
//!
//! * [`lines`]: reading new bytes, decisions, rewrites.
//! * [`wire`]: what goes on: texts in place, numbers translated.
//!
//! * [`rules`]: what the administrator has set.
//!
//! Not in the model, because no fuzzer sets them: connections that are older than the
//! programs, ports of servers that nobody told us of (but for what becomes of a session
//! there), and the chance in the search for a free port.

mod lines;
mod multipath;
pub mod rules;
mod wire;

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use ftp_helper_common::{
    address::Address,
    grammar::{LineParser, TEXT},
    reason::Reason,
    rewrite::Rewrites,
    session::{Direction, Handshake, Session, SessionKey, flags as session_flags},
    stash::STASH,
    stream::{Stream, before, flags as stream_flags},
};
use zerocopy::FromZeros as _;

use self::rules::{Awaited, Rules};
use crate::{
    segment::{Segment, flags},
    stream::network::{Middle, Passed},
};

/// Rewrites that one segment may bring.
const REWRITES_PER_SEGMENT: u32 = 4;

/// Most bytes that a client sends before anybody answers.
const FIRST_FLIGHT: u32 = 0xffff;

/// What an interface does to segments.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Most bytes of a packet behind the link header.
    pub mtu: u32,
    /// Size of the segments that the packet at hand was merged from, 0 for none.
    pub merged: u32,
}

/// What becomes of a segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It goes on, like this.
    Next(Segment),
    /// It goes no further.
    Drop,
    /// It goes back as the receiver's acknowledgment.
    Answer(Segment),
    /// It has to come by again in pieces, the first of this many bytes.
    Split(Segment, usize),
}

/// The gateway and one control connection.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Both ends, as they are seen outside.
    pub key: SessionKey,
    /// Its entry in the table.
    pub session: Option<Session>,
    /// The handshake that is under way.
    pub handshake: Option<Handshake>,
    /// The connection began before the gateway's eyes.
    pub has_begun: bool,
    /// The awaited data connection, if there is one.
    pub awaited: Option<Awaited>,
    /// Settings.
    pub rules: Rules,
    /// What was counted.
    pub counts: BTreeMap<&'static str, u64>,
    /// The interface.
    pub link: Link,
    /// The client is counted for this session.
    pub clients: u32,
    /// The part of the next packet that is due.
    piece: Option<Piece>,
    /// What came too early, by direction.
    stashes: [Option<Stash>; 2],
}

/// A segment that came too early.
#[derive(Clone, Debug)]
struct Stash {
    start: u32,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    sequence: u32,
    offset: usize,
    len: usize,
    /// Of the packet that it is a part of.
    merged: u32,
}

/// A segment under way through the gateway.
#[derive(Clone, Debug)]
struct Work {
    segment: Segment,
    direction: Direction,
    /// Sender's numbers of the first byte, and behind the last one to be sent.
    from: u32,
    to: u32,
    /// Payload bytes as the packet had them.
    declared: usize,
    /// Payload bytes that the parser has seen.
    position: usize,
    /// Rewrites that it brings.
    rewrites: u32,
    /// Its first byte on the wire.
    wire: u32,
    /// It has to go on in pieces.
    split: usize,
    /// Size of the segments that it was merged from, or that what it was cut out of was.
    merged: u32,
}

/// Why a segment can not go on.
struct Stop;

impl Gateway {
    /// A gateway that knows this connection.
    pub fn new(key: SessionKey, session: Session) -> Self {
        Self {
            session: Some(session),
            ..Self::empty(key)
        }
    }

    /// A gateway that knows nothing yet.
    pub fn empty(key: SessionKey) -> Self {
        Self {
            key,
            session: None,
            handshake: None,
            has_begun: false,
            awaited: None,
            rules: Rules::default(),
            counts: BTreeMap::new(),
            link: Link {
                mtu: 65536,
                merged: 0,
            },
            clients: 0,
            piece: None,
            stashes: [None, None],
        }
    }

    /// Forgets the piece that is due, as when another packet came in between.
    pub fn forget_piece(&mut self) {
        self.piece = None;
    }

    /// Takes a segment through the gateway.
    pub fn run(&mut self, segment: &Segment) -> Fate {
        let mut segment = segment.clone();
        let direction = segment.direction;
        let mut merged = self.link.merged;
        if direction == Direction::Egress
            && let Some(piece) = self.cut_out(&mut segment)
        {
            merged = piece.merged;
        }
        if segment.flags & flags::SYN != 0 {
            if multipath::remove(&mut segment.options) {
                self.count(Reason::Multipath);
            }
            self.shake_hands(&segment);
            return Fate::Next(segment);
        }
        if !self.find(&segment) {
            return Fate::Next(segment);
        }
        let Some(mut session) = self.session.take() else {
            return Fate::Next(segment);
        };
        let at = direction as usize;
        session.streams[at].window = segment.window;
        if segment.flags & flags::ACK != 0 {
            let delta = match direction {
                Direction::Egress => 0,
                Direction::Ingress => session.rewrites.delta(),
            };
            session.streams[1 - at].hear(segment.acknowledgment, delta);
        }
        let mut work = Work {
            from: segment.sequence,
            to: segment.sequence.wrapping_add(length(&segment.payload)),
            declared: segment.payload.len(),
            position: 0,
            rewrites: 0,
            wire: segment.sequence,
            split: 0,
            merged,
            direction,
            segment,
        };
        let from = work.from;
        let declared = length(&work.segment.payload);
        let fate = self.control(&mut session, &mut work);
        // What pieces mean is the business of the one that carries it.
        let ends = match fate {
            Fate::Split(..) => 0,
            _ => work.segment.flags & (flags::FIN | flags::RST),
        };
        if ends != 0 {
            self.close(&mut session, direction, ends, from, declared);
        }
        if session.flags & session_flags::REJECTED != 0 {
            self.clients = self.clients.saturating_sub(1);
        } else {
            self.session = Some(session);
        }
        fate
    }

    /// Another `amount` of this.
    fn count(&mut self, reason: Reason) {
        *self.counts.entry(reason.word()).or_default() += 1;
    }

    /// The piece that is due, which is made a segment of its own.
    fn cut_out(&mut self, segment: &mut Segment) -> Option<Piece> {
        let piece = self.piece.take()?;
        let end = piece.offset + piece.len;
        if segment.sequence != piece.sequence || end > segment.payload.len() {
            return None;
        }
        // The kernel takes a packet that gets another length for one that was not merged.
        self.link.merged = 0;
        if end < segment.payload.len() {
            segment.payload.truncate(end);
            segment.flags &= !flags::FIN;
        }
        if piece.offset == 0 {
            return Some(piece);
        }
        segment.payload.drain(..piece.offset);
        let offset = count(piece.offset);
        segment.sequence = segment.sequence.wrapping_add(offset);
        if segment.flags & flags::URG == 0 {
            return Some(piece);
        }
        if u32::from(segment.urgent) <= offset {
            // A pointer without the flag means nothing.
            segment.flags &= !flags::URG;
        } else {
            segment.urgent -= u16::try_from(offset).unwrap_or_default();
        }
        Some(piece)
    }

    fn shake_hands(&mut self, segment: &Segment) {
        self.has_begun = true;
        let kind = segment.flags & (flags::SYN | flags::ACK | flags::RST | flags::FIN);
        let to_server = is_to_server(segment);
        let is_repeated = self
            .handshake
            .is_some_and(|handshake| handshake.initiator == segment.sequence);
        if kind == flags::SYN && to_server {
            // A repeated one may have been answered meanwhile.
            if !is_repeated {
                self.handshake = Some(Handshake {
                    initiator: segment.sequence,
                    client_inside: (segment.direction == Direction::Egress).into(),
                    ..Handshake::default()
                });
            }
            if let Some(session) = &mut self.session {
                session.flags |= session_flags::RESTARTING;
            }
        } else if segment.flags & flags::ACK != 0
            && !to_server
            && let Some(handshake) = &mut self.handshake
            && segment.acknowledgment == handshake.initiator.wrapping_add(1)
        {
            handshake.responder = segment.sequence;
            handshake.answered = 1;
        }
    }

    /// Whether the segment belongs to a session; a handshake that it completes makes
    /// one.
    fn find(&mut self, segment: &Segment) -> bool {
        if let Some(session) = &self.session
            && session.flags & session_flags::RESTARTING == 0
        {
            return true;
        }
        let proven = self.handshake.filter(|handshake| {
            handshake.answered == 1
                && is_to_server(segment)
                && is_early(segment.sequence, handshake.initiator)
                && segment.acknowledgment == handshake.responder.wrapping_add(1)
        });
        if self.session.is_some() && proven.is_none() {
            return true;
        }
        if segment.flags & (flags::RST | flags::FIN) != 0 {
            // The handshake may have been that of the known session, and come twice.
            return self.session.as_ref().is_some_and(|session| {
                session.streams[segment.direction as usize].next == segment.sequence
            });
        }
        if let Some(mut old) = self.session.take() {
            self.end(&mut old);
        }
        if proven.is_none() && self.has_begun {
            return false;
        }
        // There is no conntrack entry; without a handshake that is the end of it.
        self.count(Reason::ConntrackMissing);
        let Some(handshake) = proven else {
            return false;
        };
        self.open(segment, &handshake);
        true
    }

    fn open(&mut self, segment: &Segment, handshake: &Handshake) {
        let mut session = Session::new_zeroed();
        session.inside = self.key.outside;
        session.seen_peer = self.key.peer;
        session.ifindex = crate::flow::IFINDEX;
        let client_inside = segment.direction == Direction::Egress;
        if client_inside {
            session.flags |= session_flags::CLIENT_INSIDE;
        }
        let (egress, ingress) = if handshake.client_inside == 1 {
            (handshake.initiator, handshake.responder)
        } else {
            (handshake.responder, handshake.initiator)
        };
        session.streams = [egress, ingress].map(|first| Stream {
            next: first.wrapping_add(1),
            flags: stream_flags::POSITIONED,
            parser: LineParser::default(),
            ..Stream::default()
        });
        self.handshake = None;
        self.clients += 1;
        self.count(Reason::SessionOpened);
        self.session = Some(session);
    }

    /// The end of a direction, or of the connection.
    fn close(
        &mut self,
        session: &mut Session,
        direction: Direction,
        ends: u8,
        from: u32,
        declared: u32,
    ) {
        let at = direction as usize;
        let over = if ends & flags::RST != 0 {
            session.streams[at].next == from
        } else {
            let end = from.wrapping_add(declared);
            let stream = &mut session.streams[at];
            if stream.flags & stream_flags::POSITIONED == 0 || stream.next == end {
                stream.flags |= stream_flags::FINISHED;
            }
            let both = session.streams[0].flags & session.streams[1].flags;
            both & stream_flags::FINISHED != 0
        };
        if over {
            self.end(session);
        }
    }

    fn end(&mut self, session: &mut Session) {
        self.forget_awaited(session, Reason::ExpectationTornDown);
        if session.flags & session_flags::CLOSED != 0 {
            return;
        }
        session.flags |= session_flags::CLOSED;
        self.clients = self.clients.saturating_sub(1);
        self.count(Reason::SessionClosed);
    }

    /// Nothing is awaited for the session any more.
    fn forget_awaited(&mut self, session: &mut Session, reason: Reason) {
        if session.flags & session_flags::EXPECTING == 0 {
            return;
        }
        session.flags &= !session_flags::EXPECTING;
        if self.awaited.take().is_some() {
            self.count(reason);
        }
    }

    /// A segment of the session.
    fn control(&mut self, session: &mut Session, work: &mut Work) -> Fate {
        if work.segment.payload.is_empty() && !Self::closes(session, work) {
            return self.translate(session, work);
        }
        let sent = self.data(session, work);
        if work.split > 0 {
            self.count(Reason::SegmentSplit);
            // The others have been sent on their way by then.
            self.piece = Some(self.last_piece(work));
            return Fate::Split(work.segment.clone(), work.split);
        }
        sent
    }

    /// What is left behind the first piece is cut into frames.
    fn last_piece(&self, work: &Work) -> Piece {
        let limit = wire::limit(self.link, work) as usize;
        let size = limit.saturating_sub(2 * TEXT).max(1);
        let len = work.segment.payload.len();
        let others = (len - work.split).div_ceil(size);
        let offset = work.split + others.saturating_sub(1) * size;
        Piece {
            sequence: work.segment.sequence,
            offset,
            len: len - offset,
            merged: work.merged,
        }
    }

    /// A FIN without data that is more than a number.
    fn closes(session: &Session, work: &Work) -> bool {
        let stream = &session.streams[work.direction as usize];
        let is_positioned = stream.flags & stream_flags::POSITIONED != 0;
        let is_early = before(stream.next, work.from);
        let is_plain = is_plain(session, work.direction);
        work.segment.flags & flags::FIN != 0 && is_positioned && (is_early || !is_plain)
    }

    /// Something in this direction may get another text.
    fn may_rewrite(&self, session: &Session, direction: Direction) -> bool {
        let decided = session.flags & session_flags::CANDIDATE == 0;
        direction == Direction::Egress
            && session.inside.address != self.outside_address()
            && decided
    }

    fn data(&mut self, session: &mut Session, work: &mut Work) -> Fate {
        let at = work.direction as usize;
        let stream = &mut session.streams[at];
        if stream.flags & stream_flags::POSITIONED == 0 {
            stream.next = work.from;
            stream.flags |= stream_flags::POSITIONED;
        }
        if session.flags & session_flags::OPAQUE != 0 && !self.clears(session, work) {
            return self.opaque(session, work);
        }
        let stream = &mut session.streams[at];
        let next = stream.next;
        if before(next, work.from) {
            self.stash(session, work);
            return Fate::Drop;
        }
        let len = work.segment.payload.len();
        let seen = (next.wrapping_sub(work.from) as usize).min(len);
        self.take_stash(session, work);
        let len = work.segment.payload.len();
        let closing = work.segment.flags & flags::FIN != 0 && held(session, work.direction) > 0;
        let reaches = seen == next.wrapping_sub(work.from) as usize;
        if seen < len || closing && reaches {
            if !lines::has_room(session, work.direction) {
                self.count(Reason::TooManyRewrites);
                return Fate::Drop;
            }
            work.position = seen;
            self.read(session, work);
            let end = work.from.wrapping_add(count(work.position));
            if work.direction == Direction::Egress {
                let held = self.settle(session, work);
                let start = end.wrapping_sub(held.into());
                session.rewrites.hold(start, held);
            }
            work.to = end;
            session.streams[at].next = end;
            if 0 < work.position && work.position < len {
                work.split = work.position;
                return Fate::Drop;
            }
        }
        self.send(session, work)
    }

    /// Encrypted data: what is held goes out in front of it.
    fn opaque(&mut self, session: &mut Session, work: &mut Work) -> Fate {
        let at = work.direction as usize;
        if held(session, work.direction) > 0 {
            if !lines::has_room(session, work.direction) {
                self.count(Reason::TooManyRewrites);
                return Fate::Drop;
            }
            self.release(session, work);
        }
        let stream = &mut session.streams[at];
        if before(stream.next, work.to) {
            stream.next = work.to;
        }
        self.send(session, work)
    }

    /// Keeps a short segment that came too early.
    fn stash(&mut self, session: &mut Session, work: &Work) {
        let bytes = work.segment.payload.clone();
        let special = flags::FIN | flags::RST | flags::URG;
        if bytes.len() > STASH || work.segment.flags & special != 0 {
            self.count(Reason::OutOfOrder);
            return;
        }
        let at = work.direction as usize;
        let start = work.from;
        self.stashes[at] = Some(Stash { start, bytes });
        session.streams[at].flags |= stream_flags::STASHED;
        self.count(Reason::Reordered);
    }

    /// Appends what came too early, if it starts where the segment ends.
    fn take_stash(&mut self, session: &mut Session, work: &mut Work) {
        let limit = wire::limit(self.link, work);
        let at = work.direction as usize;
        let len = length(&work.segment.payload);
        let end = work.from.wrapping_add(len);
        if session.streams[at].flags & stream_flags::STASHED == 0 {
            return;
        }
        let is_due = |stash: &mut Stash| !before(end, stash.start);
        let Some(stash) = self.stashes[at].take_if(is_due) else {
            return;
        };
        session.streams[at].flags &= !stream_flags::STASHED;
        let extra = length(&stash.bytes);
        if stash.start == end && len + extra <= limit {
            work.segment.payload.extend_from_slice(&stash.bytes);
            work.to = work.from.wrapping_add(len + extra);
            self.link.merged = 0;
        }
    }

    /// The address under which the inside host is announced.
    fn outside_address(&self) -> Address {
        let (outside, advertise) = (self.key.outside.address, self.rules.advertise);
        let is_meant = !advertise.is_unspecified() && advertise.is_v4() == outside.is_v4();
        if is_meant { advertise } else { outside }
    }
}

/// Bytes of this direction that are held.
fn held(session: &Session, direction: Direction) -> u16 {
    let rewrites = session.rewrites_of(direction);
    rewrites.map_or(0, |rewrites| rewrites.hold_len)
}

/// No position of this direction is shifted, and nothing is held.
fn is_plain(session: &Session, direction: Direction) -> bool {
    let rewrites = session.rewrites_of(direction);
    rewrites.is_none_or(Rewrites::is_plain)
}

impl Middle for Gateway {
    fn pass(&mut self, segment: &Segment) -> Result<Passed> {
        Ok(match self.run(segment) {
            Fate::Next(segment) => Passed::Next(segment),
            Fate::Drop => Passed::Drop,
            Fate::Answer(segment) => Passed::Answer(segment),
            Fate::Split(segment, size) => {
                // The pieces are made by who asked.
                self.piece = None;
                Passed::Split(segment, size)
            }
        })
    }
}

impl Gateway {
    /// The session; an error when there is none.
    pub fn known(&self) -> Result<&Session> {
        match &self.session {
            Some(session) => Ok(session),
            None => bail!("the gateway does not know the connection"),
        }
    }
}

/// Whether a segment is the initiator's first one, or a later one that came before it.
fn is_early(sequence: u32, initiator: u32) -> bool {
    sequence.wrapping_sub(initiator.wrapping_add(1)) <= FIRST_FLIGHT
}

/// The server's port is the only control port there is.
fn is_to_server(segment: &Segment) -> bool {
    segment.destination.port() == 21
}

/// A length as the programs count.
fn length(bytes: &[u8]) -> u32 {
    count(bytes.len())
}

/// A number as the programs count; segments are far shorter than its limit.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
