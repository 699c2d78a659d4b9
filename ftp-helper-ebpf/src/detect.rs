//! Control connections on ports that nobody told us of.
//!
//! Both sides have to speak FTP at the very start of their streams: the server
//! with a 220 in its first bytes, the client with a first line that logs in or
//! negotiates. A page that makes a browser send FTP commands to a server of its
//! choice (NAT slipstreaming) can not choose the first bytes of a connection;
//! SMTP also greets with 220, but its client starts with EHLO.

use aya_ebpf::bindings::__sk_buff;
use ftp_helper_common::{
    grammar::Kind,
    interface::flags as interface_flags,
    reason::Reason,
    session::{Direction, flags},
};

use crate::{
    announce,
    frame::{Frame, Work},
    maps::{HANDSHAKES, INTERFACES, SESSIONS},
    packet::tcp_flags,
    session, skb,
};

/// True when a packet on no control port belongs to a session all the same; one
/// that starts like a server of FTP makes it.
#[inline(always)]
pub(crate) fn find(skb: *mut __sk_buff, work: &mut Work, direction: Direction) -> bool {
    // SAFETY: the context is valid for the run of the program.
    work.ifindex = unsafe { (*skb).ifindex };
    let Some(interface) = INTERFACES.get_ptr(&work.ifindex) else {
        return false;
    };
    // SAFETY: only the agent writes it, and never removes a live one.
    let settings = unsafe { (*interface).flags };
    if settings & interface_flags::DETECT == 0 {
        return false;
    }
    session::set_key(work, direction);
    if work.packet.has(tcp_flags::SYN) {
        work.to_server = work.packet.is_pure_syn().into();
        session::handshake(work, direction);
        return false;
    }
    let client_inside = if let Some(session) = SESSIONS.get_ptr(&work.key) {
        // SAFETY: memory of the map, see `maps`.
        unsafe { (*session).flags & flags::CLIENT_INSIDE != 0 }
    } else {
        if settings & interface_flags::FROZEN != 0 {
            // It may be a greeting, which nobody would look at again.
            return HANDSHAKES.get_ptr(&work.key).is_some();
        }
        let Some(client_inside) = greets(skb, work, direction) else {
            return false;
        };
        work.is_proven = 1;
        work.is_candidate = 1;
        if !session::open(skb, work, client_inside) {
            return false;
        }
        client_inside
    };
    work.to_server = ((direction == Direction::Egress) == client_inside).into();
    true
}

/// Whether the packet starts the stream of a server with a 220; if so, whether
/// the client is inside. A connection that starts otherwise is forgotten.
#[inline(always)]
fn greets(skb: *mut __sk_buff, work: &mut Work, direction: Direction) -> Option<bool> {
    let entry = HANDSHAKES.get_ptr(&work.key)?;
    // SAFETY: plain numbers; an LRU element may be reused for another handshake
    // meanwhile, which then does not fit the packet.
    work.handshake = unsafe { *entry };
    let packet = &work.packet;
    if packet.payload_len == 0 {
        return None;
    }
    let client_inside = work.handshake.client_inside == 1;
    let from_server = (direction == Direction::Egress) != client_inside;
    let greets = from_server
        && work.handshake.answered == 1
        && packet.sequence == work.handshake.responder.wrapping_add(1)
        && packet.acknowledgment == work.handshake.initiator.wrapping_add(1)
        && starts_with_220(skb, work);
    if greets {
        return Some(client_inside);
    }
    let _ = HANDSHAKES.remove(&work.key);
    None
}

#[inline(always)]
fn starts_with_220(skb: *mut __sk_buff, work: &mut Work) -> bool {
    if work.packet.payload_len < 4 || !session::prepare(skb, work) {
        return false;
    }
    let Ok([b'2', b'2', b'0', separator]) = skb::read::<4>(skb, work.payload) else {
        return false;
    };
    separator == b' ' || separator == b'-'
}

/// The client's first line says whether the session is one.
#[inline(always)]
pub(crate) fn decide(frame: &mut Frame, kind: Kind) {
    frame.clear(flags::CANDIDATE);
    if kind == Kind::LOGIN || kind == Kind::AUTH || kind == Kind::RESTART {
        announce::note(frame, Reason::SessionDetected, kind);
    } else {
        frame.set(flags::REJECTED | flags::OPAQUE);
    }
}
