//! Control connections that leave encryption again.
//!
//! `CCC` (RFC 4217 section 6) and its answer are encrypted themselves, so the
//! moment can only be recognised by what follows: a segment of the client that
//! is one plain command with an endpoint. A TLS record starts with a byte from 20
//! to 24 and can not be taken for one. Only where the configuration asks for it.

use ftp_helper_common::{
    grammar::{Kind, LineParser, Role},
    interface::flags as interface_flags,
    reason::Reason,
    session::flags,
};

use crate::{announce, frame::Frame, skb};

/// True when the segment shows that the connection is readable again; then both
/// directions are read on from here.
#[inline(always)]
pub(crate) fn clears(frame: &mut Frame) -> bool {
    let direction = frame.direction();
    let encrypted = frame.session().flags & flags::FOREIGN == 0;
    let wanted = encrypted && frame.work().interface.flags & interface_flags::CCC != 0;
    let in_order = frame.work().from == frame.stream().next;
    if !wanted || !in_order || frame.session().role(direction) != Role::Client {
        return false;
    }
    let (payload, len) = (frame.work().payload, frame.work().len);
    if len < 6 {
        return false;
    }
    let skb = frame.skb;
    let (Ok(verb), Ok([end])) = (
        skb::read::<5>(skb, payload),
        skb::read::<1>(skb, payload + len - 1),
    ) else {
        return false;
    };
    let separated = verb[4] == b' ' || verb[4] == b'\r' || verb[4] == b'\n';
    let letters = u32::from_be_bytes([
        verb[0] & 0xdf,
        verb[1] & 0xdf,
        verb[2] & 0xdf,
        verb[3] & 0xdf,
    ]);
    let announces = [*b"PORT", *b"EPRT", *b"PASV", *b"EPSV"]
        .iter()
        .any(|wanted| letters == u32::from_be_bytes(*wanted));
    if !announces || !separated || end != b'\n' {
        return false;
    }
    // That of the server stopped behind the line with which encryption began.
    frame.stream().parser = LineParser::default();
    let session = frame.session();
    // How many encrypted commands were answered is not known.
    session.replies = session.commands;
    session.outstanding = 0;
    frame.clear(flags::OPAQUE);
    frame.set(flags::CLEARED);
    announce::note(frame, Reason::Cleared, Kind::CCC);
    true
}
