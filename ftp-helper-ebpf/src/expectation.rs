//! Awaited data connections: created by an announcement, used up by a SYN.

use aya_ebpf::bindings::{__sk_buff, BPF_ANY, BPF_NOEXIST};
use ftp_helper_common::{
    address::Address,
    expectation::{Expectation, ExpectationKey},
    grammar::Kind,
    interface::{Interface, flags as interface_flags},
    reason::Reason,
    session::flags,
};

use crate::{
    conntrack::{self, Entry, Options, Rival},
    event,
    frame::{Frame, Work},
    fxp, journal,
    maps::{EXPECTATIONS, INTERFACES},
};

/// Creates the expectation in the working memory; false when the map is full. One of the
/// same inside host gives way.
#[inline(always)]
pub(crate) fn create(frame: &mut Frame) -> bool {
    let work = frame.work();
    EXPECTATIONS
        .insert(&work.awaited, &work.expectation, BPF_ANY.into())
        .is_ok()
}

/// What became of an expectation.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creation {
    /// It is there.
    Done,
    /// A connection is awaited there already.
    Taken,
    /// The map is full.
    NoRoom,
}

/// `-EEXIST`
const EXISTS: i32 = -17;

/// Creates an expectation where there is none: of two processors that want the same
/// endpoint, one gets it.
#[inline(always)]
pub(crate) fn claim(key: &ExpectationKey, expectation: &Expectation) -> Creation {
    match EXPECTATIONS.insert(key, expectation, BPF_NOEXIST.into()) {
        Ok(()) => Creation::Done,
        Err(EXISTS) => Creation::Taken,
        Err(_) => Creation::NoRoom,
    }
}

/// Creates the expectation in the working memory, at an endpoint that is the inside host's
/// own. What is there of its own, or out of time, gives way.
#[inline(always)]
pub(crate) fn claim_own(frame: &mut Frame) -> Creation {
    let work = frame.work();
    let first = claim(&work.awaited, &work.expectation);
    if first != Creation::Taken || is_taken(frame) {
        return first;
    }
    let work = frame.work();
    let _ = EXPECTATIONS.remove(&work.awaited);
    claim(&work.awaited, &work.expectation)
}

/// Notes the expectation in the working memory, which was created, in the session.
#[inline(always)]
pub(crate) fn note(frame: &mut Frame) {
    let awaited: *const ExpectationKey = &raw const frame.work().awaited;
    let session = frame.session();
    // SAFETY: another map value.
    session.expectation = unsafe { *awaited };
    frame.set(flags::EXPECTING);
}

/// Another inside host awaits a connection to the endpoint in `work.awaited`: one whose
/// address is translated to that of the gateway, which speaks FTP itself.
#[inline(always)]
fn is_taken(frame: &mut Frame) -> bool {
    let own = frame.session().inside.address;
    let Some(expectation) = EXPECTATIONS.get_ptr(&frame.work().awaited) else {
        return false;
    };
    // SAFETY: memory of the map, see `maps`.
    let expectation = unsafe { &*expectation };
    expectation.target.address != own && event::now() < expectation.expires
}

/// Removes the live expectation of the session, if it is still there.
#[inline(never)]
pub(crate) fn remove(frame: &mut Frame, reason: Reason) {
    if frame.session().flags & flags::EXPECTING == 0 {
        return;
    }
    frame.clear(flags::EXPECTING);
    let Some(expectation) = EXPECTATIONS.get_ptr(&frame.session().expectation) else {
        return;
    };
    // SAFETY: memory of the map, see `maps`.
    let expectation = unsafe { &*expectation };
    // Used up in the meantime, and the same endpoint is awaited by another one.
    if expectation.master != frame.work().key {
        return;
    }
    if EXPECTATIONS.remove(&frame.session().expectation).is_ok() {
        report(reason, &frame.session().expectation, expectation);
    }
}

/// The server approved the announcement: in strict mode its data connection may
/// come from now on.
#[inline(always)]
pub(crate) fn approve(frame: &mut Frame) {
    if frame.session().flags & flags::EXPECTING == 0 {
        return;
    }
    if let Some(expectation) = EXPECTATIONS.get_ptr_mut(&frame.session().expectation) {
        // SAFETY: memory of the map, see `maps`.
        let expectation = unsafe { &mut *expectation };
        if expectation.master == frame.work().key {
            expectation.unapproved = 0;
        }
    }
}

/// The expectation of the SYN at hand, with its key in `work.awaited`.
#[inline(always)]
fn find(interface: &Interface, work: &mut Work) -> Option<*const Expectation> {
    work.awaited.source = work.packet.source.address;
    work.awaited.destination = work.packet.destination;
    if let Some(expectation) = EXPECTATIONS.get_ptr(&work.awaited) {
        // An inside host must not pose as a peer, nor a peer as an inside host.
        let inside = interface.flags & interface_flags::INSIDE != 0;
        // SAFETY: memory of the map, see `maps`.
        let outgoing = unsafe { (*expectation).outgoing } == 1;
        return (inside == outgoing).then_some(expectation);
    }
    if !fxp::is_on(interface) {
        return None;
    }
    work.awaited.source = Address::UNSPECIFIED;
    let expectation = EXPECTATIONS.get_ptr(&work.awaited)?;
    let source = &work.packet.source.address;
    // SAFETY: memory of the map, see `maps`.
    let is_peer = unsafe { (*expectation).master.peer.address } == *source;
    (is_peer || fxp::allows(source)).then_some(expectation)
}

/// What was done about a SYN.
#[repr(u32)]
pub(crate) enum Admission {
    /// It is not awaited, and passes as it is: whether it may is the firewall's
    /// business.
    None,
    /// It is awaited, and was dealt with.
    Done,
    /// It is awaited, but the tables are on the move, or conntrack's is full.
    Later,
}

/// Admits an awaited SYN.
#[inline(never)]
pub(crate) fn admit(skb: *mut __sk_buff, work: &mut Work) -> Admission {
    // SAFETY: the context is valid for the run of the program.
    let ifindex = unsafe { (*skb).ifindex };
    let Some(interface) = INTERFACES.get_ptr(&ifindex) else {
        return Admission::None;
    };
    // SAFETY: only the agent writes it, and never removes a live one.
    let interface = unsafe { &*interface };
    let Some(expectation) = find(interface, work) else {
        return Admission::None;
    };
    if interface.flags & interface_flags::FROZEN != 0 {
        return Admission::Later;
    }
    work.conntrack = Options::new(interface.ct_zone);
    let key = &work.awaited;
    // SAFETY: memory of the map, see `maps`.
    let expectation = unsafe { &*expectation };
    if expectation.unapproved == 1 {
        event::count(Reason::NotApproved);
        return Admission::None;
    }
    let (source, destination) = (&work.packet.source, &key.destination);
    let target = &expectation.target;
    if conntrack::is_taken(skb, source, destination, target, Rival::InUse) {
        event::count(Reason::ConntrackInsertFailed);
        return Admission::None;
    }
    // One-shot: of two SYNs on two processors, the one that removes it wins.
    if EXPECTATIONS.remove(key).is_err() {
        return Admission::None;
    }
    let entry = if event::now() >= expectation.expires {
        None
    } else {
        let mark = interface.ct_mark;
        Some(conntrack::admit(skb, &work.packet, expectation, mark))
    };
    let reason = match entry {
        None => Reason::ExpectationExpired,
        Some(Entry::Made) => {
            // SAFETY: as above.
            unsafe {
                (*skb).mark = (*skb).mark & !interface.skb_mark_mask | interface.skb_mark;
            }
            Reason::ExpectationMatched
        }
        Some(Entry::Refused | Entry::NoRoom) => Reason::ConntrackInsertFailed,
    };
    report(reason, key, expectation);
    // Netfilter would have no entry for it either, or one that leads nowhere. It comes
    // again, and is awaited then as it was, unless another announcement has its place.
    if entry == Some(Entry::NoRoom) {
        let _ = EXPECTATIONS.insert(key, expectation, BPF_NOEXIST.into());
        return Admission::Later;
    }
    Admission::Done
}

#[inline(always)]
fn report(reason: Reason, key: &ExpectationKey, expectation: &Expectation) {
    let kind = Kind(expectation.kind);
    let inside = expectation.inside(key);
    event::report(
        reason,
        kind,
        expectation.ifindex,
        &expectation.master,
        &inside,
        &key.destination,
        &key.source,
    );
    journal::outcome(&expectation.master, reason, kind, &inside, &key.destination);
}
