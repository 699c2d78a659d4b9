//! One segment of a control connection.

use core::ffi::c_void;

use ftp_helper_common::{
    grammar::{ANNOUNCEMENT, Kind, LINE, LineParser, NOTHING, Role, TEXT},
    reason::Reason,
    rewrite::REWRITES,
    session::{Direction, flags},
    straight::{bytes_before, choose, is_less},
    stream::{before, flags as stream_flags},
};

use crate::{
    Verdict, announce, clear, conntrack, detect, event, expectation,
    frame::{CHUNK, Frame},
    hold, journal, lock, log,
    packet::tcp_flags,
    piece, rewrite, sequence, skb, stash,
};

/// Rewrites that one segment may bring. What comes behind them goes on as another
/// one, so that the ring always holds every rewrite of the segment at hand.
const REWRITES_PER_SEGMENT: u32 = 4;

/// The parser left the bytes that are held without an announcement.
const RELEASED: u32 = 4;

/// Takes a segment of a session through all stages.
#[inline(never)]
pub(crate) fn handle(frame: &mut Frame) -> Verdict {
    if frame.work().len == 0 && !closes(frame) {
        return translate(frame);
    }
    if !lock::take(frame) {
        event::count(Reason::Contended);
        return Verdict::Drop;
    }
    let verdict = data(frame);
    lock::give_back(frame);
    let size = frame.work().split;
    if size > 0 {
        event::count(Reason::SegmentSplit);
        return piece::split(frame, size);
    }
    log::segment(frame, verdict);
    if verdict != Verdict::Next {
        log::stopped(frame, verdict);
    }
    verdict
}

/// A FIN without data that needs more than other numbers: it carries what was held
/// in front of it, because nobody else will; and where it stands on the wire is
/// not known before everything in front of it was read. One that came too early may
/// not pass: it would not be repeated, and the session would never end.
#[inline(always)]
fn closes(frame: &mut Frame) -> bool {
    let from = frame.work().from;
    let stream = frame.stream();
    let is_positioned = stream.flags & stream_flags::POSITIONED != 0;
    let is_early = before(stream.next, from);
    let is_plain = frame.is_plain();
    frame.work().packet.has(tcp_flags::FIN) && is_positioned && (is_early || !is_plain)
}

/// Only the headers have to be changed, if anything.
#[inline(always)]
fn translate(frame: &mut Frame) -> Verdict {
    // An urgent pointer may reach over what will be rewritten.
    let is_urgent = frame.egress == 1 && frame.work().packet.has(tcp_flags::URG);
    if frame.rewrites().is_plain() && !is_urgent {
        return Verdict::Next;
    }
    if frame.direction() == Direction::Egress {
        let from = frame.work().from;
        frame.work().wire = sequence::to_wire(frame, from);
    }
    let result = sequence::translate(frame);
    finish(frame, result)
}

/// A packet that could not be changed as it has to be must not get out: half
/// of a change is worse than a loss.
#[inline(always)]
fn finish(frame: &mut Frame, result: Result<(), ()>) -> Verdict {
    if result.is_ok() {
        return Verdict::Next;
    }
    // The others were counted where they were found.
    let fault = frame.work().fault;
    if fault != rewrite::MISMATCH && fault != rewrite::TOO_LARGE {
        event::count(Reason::RewriteFailed);
    }
    Verdict::Drop
}

#[inline(always)]
fn data(frame: &mut Frame) -> Verdict {
    let (from, len) = (frame.work().from, frame.work().len);
    let stream = frame.stream();
    if stream.flags & stream_flags::POSITIONED == 0 && !position(frame) {
        return translate(frame);
    }
    if frame.session().flags & flags::OPAQUE != 0 && !clear::clears(frame) {
        return opaque(frame);
    }
    let next = frame.stream().next;
    if before(next, from) {
        if passed_unseen(frame) {
            return opaque(frame);
        }
        stash::keep(frame);
        return Verdict::Drop;
    }
    let seen = next.wrapping_sub(from);
    let seen = if seen < len { seen } else { len };
    if frame.stream().flags & stream_flags::STASHED != 0 && stash::append(frame).is_err() {
        event::count(Reason::RewriteFailed);
        return Verdict::Drop;
    }
    let len = frame.work().len;
    let closing = frame.work().packet.has(tcp_flags::FIN) && frame.held() > 0;
    if seen < len || closing && seen == next.wrapping_sub(from) {
        if !has_room(frame) {
            event::count(Reason::TooManyRewrites);
            return Verdict::Drop;
        }
        let work = frame.work();
        work.position = seen;
        work.chunk_start = 0;
        work.chunk_len = 0;
        frame.repeat(len + 1, next_event);
        if frame.work().fault != 0 {
            event::count(Reason::RewriteFailed);
            return Verdict::Drop;
        }
        let end = from.wrapping_add(frame.work().position);
        if frame.direction() == Direction::Egress {
            hold::settle(frame, end);
        }
        frame.work().to = end;
        frame.stream().next = end;
        // What the parser has not read yet comes by again.
        let position = frame.work().position;
        if position < len && position > 0 {
            frame.work().split = position;
            return Verdict::Drop;
        }
    }
    send(frame)
}

/// The first segment of a session that was picked up in the middle tells where its
/// stream is; but anybody can send one under the peer's address, and an inside host may
/// repeat an old one, or a byte that is none of its stream (RFC 1122 section 4.2.3.6).
#[inline(always)]
fn position(frame: &mut Frame) -> bool {
    let (skb, direction) = (frame.skb, frame.direction());
    let work = frame.work();
    let from = work.from;
    let closes = work.packet.has(tcp_flags::FIN);
    let end = work.to.wrapping_add(closes.into());
    if !conntrack::expects(skb, &work.key, direction, from, end) {
        return false;
    }
    let stream = frame.stream();
    stream.next = from;
    stream.flags |= stream_flags::POSITIONED;
    true
}

/// What lies between the last segment and this one has arrived, so nobody repeats it: it
/// passed while no program was attached. Or the peer says so of what it never got: to read
/// on from here would let it choose what is read.
#[inline(always)]
fn passed_unseen(frame: &mut Frame) -> bool {
    let (skb, direction) = (frame.skb, frame.direction());
    let work = frame.work();
    let from = work.from;
    // What is held was acknowledged, and has not arrived.
    if !conntrack::has_arrived(skb, &work.key, direction, from) || frame.held() > 0 {
        return false;
    }
    stash::forget(frame);
    frame.set(flags::OPAQUE | flags::FOREIGN);
    announce::refuse(frame, Reason::Unseen, Kind::OTHER);
    expectation::remove(frame, Reason::ExpectationTornDown);
    true
}

/// The segment may push [`REWRITES_PER_SEGMENT`] rewrites out of the ring. The
/// receiver must have their texts: a retransmission would go out without them.
#[inline(always)]
fn has_room(frame: &mut Frame) -> bool {
    if frame.direction() == Direction::Ingress {
        return true;
    }
    let age = REWRITES as u32 - REWRITES_PER_SEGMENT;
    let Some(newest) = frame.rewrites().rewrite(age) else {
        return true;
    };
    let wire = newest.wire_end();
    frame.stream().has_arrived(wire)
}

/// Encrypted data: no line to read, positions are translated as before. What is
/// still held of the last line goes out in front of it.
#[inline(always)]
fn opaque(frame: &mut Frame) -> Verdict {
    if frame.held() > 0 {
        if !has_room(frame) {
            event::count(Reason::TooManyRewrites);
            return Verdict::Drop;
        }
        hold::release(frame);
    }
    let to = frame.work().to;
    if before(frame.stream().next, to) {
        frame.stream().next = to;
    }
    send(frame)
}

/// Puts the segment into its wire form: without held bytes, with every rewrite
/// that it touches.
#[inline(always)]
fn send(frame: &mut Frame) -> Verdict {
    let work = frame.work();
    let whole = work.to == work.from.wrapping_add(work.len) && work.len == work.declared;
    if whole && frame.is_plain() {
        return translate(frame);
    }
    if frame.direction() == Direction::Ingress {
        // Something was appended to it.
        let result = rewrite::set_lengths(frame).and_then(|()| sequence::translate(frame));
        return finish(frame, result);
    }
    if frame.held() > 0 {
        let (start, from) = (frame.rewrites().hold_start, frame.work().from);
        if !before(from, start) {
            return hold::acknowledge(frame);
        }
        if before(start, frame.work().to) {
            frame.work().to = start;
        }
    }
    let result = rewrite::apply(frame).and_then(|()| sequence::translate(frame));
    finish(frame, result)
}

/// Reads on to the next thing that the parser has to say, and sees to it.
unsafe extern "C" fn next_event(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: called by `Frame::repeat`.
    let frame = unsafe { Frame::of(context) };
    let work = frame.work();
    work.step = NOTHING;
    let left = work.len.wrapping_sub(work.position);
    frame.repeat(left.wrapping_add(1) & 0x1ffff, next_byte);
    let step = frame.work().step;
    if step == NOTHING || frame.work().fault != 0 {
        return 1;
    }
    if step & ANNOUNCEMENT != 0 {
        announce::handle(frame);
    }
    // What was held and is not part of a rewrite goes out with this segment.
    hold::release(frame);
    if step & LINE != 0 {
        line(frame);
        if frame.session().flags & flags::OPAQUE != 0 {
            // What comes behind this line is not read any more.
            let work = frame.work();
            work.position = work.len;
            return 1;
        }
    }
    (frame.work().rewrites >= REWRITES_PER_SEGMENT).into()
}

/// Feeds one byte to the parser, or as many as it only passes over.
unsafe extern "C" fn next_byte(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: called by `Frame::repeat`.
    let frame = unsafe { Frame::of(context) };
    let skb = frame.skb;
    let direction = frame.direction();
    let role = frame.session().role(direction);
    let work = frame.work();
    if work.position >= work.len {
        return 1;
    }
    let mut within = work.position.wrapping_sub(work.chunk_start);
    if within >= work.chunk_len {
        let count = (work.len - work.position).min(CHUNK as u32);
        if skb::load(skb, work.payload + work.position, &mut work.chunk, count).is_err() {
            work.fault = rewrite::FAILURE;
            return 1;
        }
        work.chunk_start = work.position;
        work.chunk_len = count;
        within = 0;
    }
    let ahead = work.chunk.ahead(within);
    let byte = work.chunk[within as usize & (CHUNK - 1)];
    let there = work.chunk_len - within;
    let held = frame.held();
    let stream = frame.stream();
    // Of most lines only the end still matters. What is held is another matter: the
    // next byte has to release it.
    if stream.parser.skipping() && held == 0 {
        let plain = bytes_before(ahead, b'\n');
        let count = choose(is_less(plain, there), plain, there);
        if count > 0 {
            stream.parser.skip(count);
            frame.work().position += count;
            return 0;
        }
    }
    frame.work().position += 1;
    let stream = frame.stream();
    let mut step = match role {
        Role::Client => stream.parser.push(Role::Client, byte),
        Role::Server => stream.parser.push(Role::Server, byte),
    };
    let pending = stream.parser.pending();
    if pending > 0 {
        // Of a line that got too long, what is held already must stay.
        if frame.direction() == Direction::Egress && pending <= TEXT as u32 {
            frame.rewrites().keep_pending(pending - 1, byte);
        }
    } else if step == NOTHING && held > 0 {
        step = RELEASED;
    }
    frame.work().step = step;
    (step != NOTHING).into()
}

/// A line is complete.
#[inline(always)]
fn line(frame: &mut Frame) {
    let (kind, code, problem) = {
        let parser: &LineParser = &frame.stream().parser;
        (parser.kind(), parser.code(), parser.problem())
    };
    if let Some(problem) = problem {
        announce::refuse(frame, problem, kind);
    }
    journal::line(frame, kind, code);
    let direction = frame.direction();
    match frame.session().role(direction) {
        Role::Client => command(frame, kind),
        Role::Server => reply(frame, kind, code),
    }
}

/// Notes the commands whose replies matter.
#[inline(always)]
fn command(frame: &mut Frame, kind: Kind) {
    if frame.session().flags & flags::CANDIDATE != 0 {
        detect::decide(frame, kind);
    }
    // The end of its reply is not counted either.
    if kind == Kind::PART {
        return;
    }
    let session = frame.session();
    session.commands = session.commands.wrapping_add(1);
    if kind.is_question() {
        // Its reply would not be known.
        let restarts = session.outstanding == Kind::RESTART.0;
        session.outstanding = kind.0;
        session.outstanding_at = session.commands;
        if restarts {
            start_over(frame);
        }
    }
    match kind {
        Kind::RESTART => expectation::remove(frame, Reason::ExpectationReplaced),
        Kind::LONG => event::count(Reason::Unsupported),
        // A page made a browser speak to a server that it chose, and chooses the
        // lines of what is sent (NAT slipstreaming).
        Kind::HTTP => {
            frame.set(flags::OPAQUE | flags::FOREIGN);
            announce::refuse(frame, Reason::NotFtp, kind);
            expectation::remove(frame, Reason::ExpectationTornDown);
        }
        _ => {}
    }
}

/// Notes what a reply means for the session. `code` is 0 for a line inside a
/// multi-line reply.
#[inline(always)]
fn reply(frame: &mut Frame, kind: Kind, code: u16) {
    if kind == Kind::LONG {
        event::count(Reason::Unsupported);
    }
    if code == 220 && frame.session().flags & flags::GREETED == 0 {
        // The greeting answers no command, also when the client did not wait.
        frame.set(flags::GREETED);
        return;
    }
    if code == 230 || code == 232 {
        frame.set(flags::LOGGED_IN);
    }
    if code < 200 {
        return;
    }
    let session = frame.session();
    // An unasked 421 answers nothing.
    if session.replies == session.commands {
        return;
    }
    session.replies = session.replies.wrapping_add(1);
    let outstanding = Kind(session.outstanding);
    if outstanding == Kind::AUTH && (code == 234 || code == 334) {
        session.outstanding = 0;
        frame.set(flags::OPAQUE);
        announce::note(frame, Reason::Opaque, Kind::AUTH);
        expectation::remove(frame, Reason::ExpectationTornDown);
        return;
    }
    if outstanding == Kind::OTHER || session.replies != session.outstanding_at {
        return;
    }
    session.outstanding = 0;
    let announced = outstanding == Kind::PORT || outstanding == Kind::EPRT;
    if announced && code >= 400 {
        expectation::remove(frame, Reason::ExpectationTornDown);
    } else if announced {
        expectation::approve(frame);
    } else if code >= 400 {
        // Nothing was granted.
    } else if outstanding == Kind::EPSV_ALL {
        frame.set(flags::EPSV_ALL);
    } else if outstanding == Kind::RESTART {
        start_over(frame);
    }
}

/// Nobody is logged in any more.
#[inline(always)]
fn start_over(frame: &mut Frame) {
    frame.clear(flags::LOGGED_IN | flags::EPSV_ALL);
}
