//! Control connections: from the handshake to the end.

use aya_ebpf::bindings::{__sk_buff, BPF_ANY};
use ftp_helper_common::{
    address::Address,
    grammar::{Kind, LineParser},
    interface::flags as interface_flags,
    reason::Reason,
    session::{Direction, Handshake, Session, flags},
    straight,
    stream::{Stream, flags as stream_flags},
};

use crate::{
    Verdict, atomic,
    conntrack::{self, Beginner, Options},
    control, event, expectation,
    frame::{Frame, Work},
    maps::{ADVERTISED, CLIENTS, HANDSHAKES, INTERFACES, NEW_SESSION, SESSIONS},
    multipath,
    packet::{self, tcp_flags},
    piece, seen,
};

/// Most bytes that a client sends before anybody answers.
const FIRST_FLIGHT: u32 = u16::MAX as u32;

/// A TCP packet of a control connection, or of one that may become one.
#[inline(always)]
pub(crate) fn handle(skb: *mut __sk_buff, work: &mut Work, direction: Direction) -> Verdict {
    // SAFETY: the context is valid for the run of the program.
    let ifindex = unsafe { (*skb).ifindex };
    let packet = &work.packet;
    if packet.is_fragment {
        event::count(Reason::Fragment);
        return Verdict::Drop;
    }
    set_key(work, direction);
    work.ifindex = ifindex;
    if !prepare(skb, work) {
        return Verdict::Next;
    }
    if work.interface.flags & interface_flags::FROZEN != 0 {
        return Verdict::Drop;
    }
    // A stack that checks its packets drops this one too; we must not guess.
    // SAFETY: the context is valid for the run of the program.
    let present = unsafe { (*skb).len };
    if work.len == u32::MAX || work.payload + work.len > present {
        event::count(Reason::Malformed);
        return Verdict::Drop;
    }
    // SAFETY: the context is valid for the run of the program.
    work.segment = unsafe { (*skb).gso_size };
    // What comes in would not come by again before others did.
    if direction == Direction::Egress && !piece::take(skb, work) {
        event::count(Reason::RewriteFailed);
        return Verdict::Drop;
    }
    if work.packet.has(tcp_flags::SYN) {
        if work.is_open == 1 && !multipath::remove(skb, work) {
            event::count(Reason::RewriteFailed);
            return Verdict::Drop;
        }
        seen::note(&work.key);
        handshake(work, direction);
        return Verdict::Next;
    }
    let Some(session) = find(skb, work, direction) else {
        return Verdict::Next;
    };
    let mut frame = Frame::new(skb, work, session, direction);
    frame.session().last_seen = event::now();
    frame.stream().window = frame.work().packet.window;
    if frame.work().packet.has(tcp_flags::ACK) {
        let acknowledgment = frame.work().packet.acknowledgment;
        let delta = match direction {
            Direction::Egress => 0,
            Direction::Ingress => frame.rewrites().delta(),
        };
        frame.reverse().hear(acknowledgment, delta);
    }
    let verdict = control::handle(&mut frame);
    if frame.work().packet.flags & (tcp_flags::FIN | tcp_flags::RST) != 0 {
        close(&mut frame);
    }
    if frame.session().flags & flags::REJECTED != 0 {
        release_client(&mut frame);
        let _ = SESSIONS.remove(&frame.work().key);
    }
    verdict
}

/// The key of the packet's session.
#[inline(always)]
pub(crate) fn set_key(work: &mut Work, direction: Direction) {
    let packet = &work.packet;
    (work.key.outside, work.key.peer) = match direction {
        Direction::Egress => (packet.source, packet.destination),
        Direction::Ingress => (packet.destination, packet.source),
    };
}

/// Fills the working memory; false when the interface is not configured.
#[inline(always)]
pub(crate) fn prepare(skb: *mut __sk_buff, work: &mut Work) -> bool {
    let Some(interface) = INTERFACES.get_ptr(&work.ifindex) else {
        return false;
    };
    // SAFETY: only the agent writes it, and never removes a live one.
    work.interface = unsafe { *interface };
    if work.interface.flags & interface_flags::PER_ENDPOINT != 0 {
        choose_advertised(work);
    }
    work.conntrack = Options::new(work.interface.ct_zone);
    let link = match work.interface.link_header {
        0 => packet::link_header(skb, work),
        link => link.into(),
    };
    let link = link + work.packet.tags;
    work.transport = link + work.packet.transport;
    work.payload = work.transport + work.packet.transport_len;
    work.len = work.packet.payload_len;
    work.declared = work.packet.payload_len;
    work.from = work.packet.sequence;
    work.wire = work.packet.sequence;
    work.to = work.packet.sequence.wrapping_add(work.packet.payload_len);
    work.rewrites = 0;
    work.fault = 0;
    work.split = 0;
    true
}

/// The outside endpoint may be announced under an address of its own. A function of
/// its own, behind which the verifier's paths meet.
#[inline(never)]
fn choose_advertised(work: &mut Work) {
    if let Some(address) = ADVERTISED.get_ptr(work.key.outside) {
        // SAFETY: only the agent writes it; an entry that it removes meanwhile is
        // kept until the program ends.
        work.interface.advertise = unsafe { *address };
    }
}

/// Notes SYN and SYN-ACK. Nothing else remembers them: see [`Handshake`].
#[inline(always)]
pub(crate) fn handshake(work: &mut Work, direction: Direction) {
    let to_server = work.to_server == 1;
    if work.packet.is_pure_syn() && to_server {
        let client_inside = (direction == Direction::Egress).into();
        if !is_repeated(work, client_inside) {
            work.handshake = Handshake {
                initiator: work.packet.sequence,
                responder: 0,
                client_inside,
                answered: 0,
                reserved: [0; 2],
            };
            // A failure means no memory; then the connection goes on without help.
            let _ = HANDSHAKES.insert(&work.key, &work.handshake, BPF_ANY.into());
        }
        if let Some(session) = SESSIONS.get_ptr_mut(&work.key) {
            // SAFETY: memory of the map, see `maps`.
            atomic::set(unsafe { &mut (*session).flags }, flags::RESTARTING);
        }
    } else if work.packet.has(tcp_flags::SYN | tcp_flags::ACK) && !to_server {
        let Some(entry) = HANDSHAKES.get_ptr_mut(&work.key) else {
            return;
        };
        // SAFETY: plain numbers; an LRU element may be reused for another
        // handshake meanwhile, which then does not match its third segment.
        let entry = unsafe { &mut *entry };
        if work.packet.acknowledgment == entry.initiator.wrapping_add(1) {
            entry.responder = work.packet.sequence;
            entry.answered = 1;
        }
    }
}

/// Whether the SYN is noted already. Its sender may repeat it in the moment in which
/// the SYN-ACK arrives, which has to stay known.
#[inline(always)]
fn is_repeated(work: &Work, client_inside: u8) -> bool {
    HANDSHAKES.get_ptr(&work.key).is_some_and(|entry| {
        // SAFETY: as in `handshake`.
        let entry = unsafe { &*entry };
        entry.initiator == work.packet.sequence && entry.client_inside == client_inside
    })
}

/// The session of the packet; made when this is the third segment of a
/// handshake, or when conntrack knows the connection.
#[inline(always)]
fn find(skb: *mut __sk_buff, work: &mut Work, direction: Direction) -> Option<*mut Session> {
    let known = SESSIONS.get_ptr_mut(&work.key);
    if let Some(session) = known {
        // SAFETY: memory of the map, see `maps`.
        if unsafe { (*session).flags } & flags::RESTARTING == 0 {
            return Some(session);
        }
    }
    work.is_proven = 0;
    work.is_candidate = 0;
    let noted = HANDSHAKES.get_ptr(&work.key);
    if let Some(entry) = noted {
        // SAFETY: as in `handshake`.
        work.handshake = unsafe { *entry };
        let proven = work.handshake.answered == 1
            && work.to_server == 1
            && is_early(work.packet.sequence, work.handshake.initiator)
            && work.packet.acknowledgment == work.handshake.responder.wrapping_add(1);
        work.is_proven = proven.into();
    }
    if known.is_some() && work.is_proven == 0 {
        return known;
    }
    if work.packet.flags & (tcp_flags::RST | tcp_flags::FIN) != 0 {
        // The handshake may have been that of the known session, and come twice.
        return known.filter(|session| {
            // SAFETY: memory of the map, see `maps`.
            let streams = unsafe { &(**session).streams };
            streams[direction as usize].next == work.packet.sequence
        });
    }
    if let Some(session) = known {
        // The ports are used again: nothing of the old one may touch the new one.
        end(&mut Frame::new(skb, work, session, direction));
        let _ = SESSIONS.remove(&work.key);
    }
    // Elsewhere the greeting decides.
    if work.is_open == 0 {
        return None;
    }
    // One that began under our eyes, and not as it should, is not an old one.
    if work.is_proven == 0 && (noted.is_some() || seen::is_noted(&work.key)) {
        return None;
    }
    let client_inside = (direction == Direction::Egress) == (work.to_server == 1);
    if !open(skb, work, client_inside) {
        return None;
    }
    SESSIONS.get_ptr_mut(&work.key)
}

/// Whether the segment is the initiator's first one, or came before it: what is missing
/// comes again.
#[inline(always)]
fn is_early(sequence: u32, initiator: u32) -> bool {
    sequence.wrapping_sub(initiator).wrapping_sub(1) <= FIRST_FLIGHT
}

/// Makes a session for the packet in the working memory.
#[inline(never)]
pub(crate) fn open(skb: *mut __sk_buff, work: &mut Work, client_inside: bool) -> bool {
    work.endpoints = [work.key.outside, work.key.peer];
    let beginner = conntrack::inside_of(skb, &work.key, &mut work.endpoints);
    let learned = beginner != Beginner::Unknown;
    if !learned {
        event::count(Reason::ConntrackMissing);
    }
    // Junk without a handshake must not fill the table; and a server does not begin a
    // control connection, whatever port it has.
    let client = if client_inside {
        Beginner::Inside
    } else {
        Beginner::Peer
    };
    if work.is_proven == 0 && beginner != client {
        return false;
    }
    if !admit_client(work, client_inside) {
        event::count(Reason::ClientLimit);
        return false;
    }
    let Some(session) = NEW_SESSION.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: a per-CPU value; programs of a CPU do not interrupt each other.
    let new = unsafe { &mut *session };
    // All-zero is the empty state.
    straight::clear(new);
    new.inside = work.endpoints[0];
    new.seen_peer = work.endpoints[1];
    new.ifindex = work.ifindex;
    new.created = event::now();
    new.last_seen = new.created;
    if learned {
        new.flags |= flags::LEARNED;
    }
    if client_inside {
        new.flags |= flags::CLIENT_INSIDE;
    }
    if work.is_candidate == 1 {
        new.flags |= flags::CANDIDATE;
    }
    let reason = if work.is_proven == 1 {
        let handshake = &work.handshake;
        let (egress, ingress) = if handshake.client_inside == 1 {
            (handshake.initiator, handshake.responder)
        } else {
            (handshake.responder, handshake.initiator)
        };
        position(&mut new.streams[0], egress.wrapping_add(1));
        position(&mut new.streams[1], ingress.wrapping_add(1));
        let _ = HANDSHAKES.remove(&work.key);
        Reason::SessionOpened
    } else {
        // Where its lines start is known from the next LF on; its greeting was
        // long ago.
        new.flags |= flags::PICKED_UP | flags::GREETED | flags::LOGGED_IN;
        new.streams[0].parser = LineParser::unsynchronised();
        new.streams[1].parser = LineParser::unsynchronised();
        Reason::SessionPickedUp
    };
    if SESSIONS.insert(&work.key, &*new, BPF_ANY.into()).is_err() {
        event::count(Reason::SessionTableFull);
        // Without a session, nobody counts it off.
        if work.interface.client_limit != 0 {
            uncount_client(&work.announced.address);
        }
        return false;
    }
    event::report(
        reason,
        Kind::OTHER,
        work.ifindex,
        &work.key,
        &new.inside,
        &work.key.outside,
        &Address::UNSPECIFIED,
    );
    true
}

/// Counts the session for its client; false when it has too many.
#[inline(always)]
fn admit_client(work: &mut Work, client_inside: bool) -> bool {
    let limit = work.interface.client_limit;
    if limit == 0 {
        return true;
    }
    work.announced = if client_inside {
        work.endpoints[0]
    } else {
        work.key.peer
    };
    let client = &work.announced.address;
    if let Some(sessions) = CLIENTS.get_ptr_mut(client) {
        // SAFETY: memory of the map, see `maps`.
        let sessions = unsafe { &mut *sessions };
        if *sessions >= limit {
            return false;
        }
        *sessions += 1;
        return true;
    }
    // A full table counts nobody else, and must not shut anybody out.
    let _ = CLIENTS.insert(client, &1, BPF_ANY.into());
    true
}

/// A session of the client ended.
#[inline(always)]
fn release_client(frame: &mut Frame) {
    let client_inside = frame.session().flags & flags::CLIENT_INSIDE != 0;
    frame.work().announced = frame.session().inside;
    let work = frame.work();
    let client = if client_inside {
        &work.announced.address
    } else {
        &work.key.peer.address
    };
    uncount_client(client);
}

#[inline(always)]
fn uncount_client(client: &Address) {
    if let Some(sessions) = CLIENTS.get_ptr_mut(client) {
        // SAFETY: memory of the map, see `maps`.
        let sessions = unsafe { &mut *sessions };
        *sessions = sessions.saturating_sub(1);
    }
}

#[inline(always)]
fn position(stream: &mut Stream, next: u32) {
    stream.next = next;
    stream.flags = stream_flags::POSITIONED;
}

/// Notes the end of a direction. The session itself stays for retransmissions
/// and late acknowledgments; the agent removes it.
#[inline(always)]
fn close(frame: &mut Frame) {
    let from = frame.work().from;
    let over = if frame.work().packet.has(tcp_flags::RST) {
        // Only an exact one counts (RFC 5961 section 3.2).
        frame.stream().next == from
    } else {
        // One that came too early, or was cut off, comes again.
        let end = from.wrapping_add(frame.work().packet.payload_len);
        let stream = frame.stream();
        if stream.flags & stream_flags::POSITIONED == 0 || stream.next == end {
            stream.flags |= stream_flags::FINISHED;
        }
        // The other side may end on another processor at this moment: at least one of the
        // two has to see both marks.
        atomic::barrier();
        let both = frame.stream().flags & frame.reverse().flags;
        both & stream_flags::FINISHED != 0
    };
    if over {
        end(frame);
    }
}

/// The connection is over; what was awaited for it is not awaited any more.
#[inline(never)]
fn end(frame: &mut Frame) {
    // Also what was announced behind an end that one side did not take for one.
    expectation::remove(frame, Reason::ExpectationTornDown);
    if frame.set(flags::CLOSED) & flags::CLOSED != 0 {
        return;
    }
    release_client(frame);
    frame.work().announced = frame.session().inside;
    let work = frame.work();
    event::report(
        Reason::SessionClosed,
        Kind::OTHER,
        work.ifindex,
        &work.key,
        &work.announced,
        &work.key.outside,
        &Address::UNSPECIFIED,
    );
}
