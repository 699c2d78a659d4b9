//! What to do about an announced endpoint.

use ftp_helper_common::{
    address::{Address, Endpoint},
    grammar::{Kind, TEXT, Text},
    interface::flags as interface_flags,
    reason::Reason,
    rewrite::Rewrite,
    session::{Direction, flags},
};

use crate::{
    event,
    expectation::{self, Creation},
    frame::Frame,
    fxp, journal, port,
};

/// Nanoseconds per second.
const SECOND: u64 = 1_000_000_000;

/// True when an announcement in this direction may have to be rewritten, so that
/// it is worth holding.
#[inline(always)]
pub(crate) fn may_rewrite(frame: &mut Frame) -> bool {
    let outside = outside_address(frame);
    let session = frame.session();
    let translated = session.inside.address != outside;
    let decided = session.flags & flags::CANDIDATE == 0;
    frame.direction() == Direction::Egress && translated && decided
}

/// The address under which the inside host is announced.
#[inline(always)]
fn outside_address(frame: &mut Frame) -> Address {
    let work = frame.work();
    work.interface.announces(work.key.outside.address)
}

/// The parser found an announcement.
#[inline(never)]
pub(crate) fn handle(frame: &mut Frame) {
    // The end of this very line decides whether it is one of FTP's at all.
    if frame.session().flags & flags::CANDIDATE != 0 {
        return;
    }
    frame.work().announcement = frame.stream().parser.announcement();
    let kind = frame.work().announcement.kind;
    match judge(frame) {
        Ok(()) => {}
        // Its data connection does not come here.
        Err(Reason::ThirdParty) if may_name(frame) => {
            note(frame, Reason::FxpAccepted, kind);
            return;
        }
        Err(reason) => {
            refuse(frame, reason, kind);
            return;
        }
    }
    let helped = match frame.direction() {
        Direction::Egress => help_inside(frame),
        Direction::Ingress => help_outgoing(frame),
    };
    if let Err(reason) = helped {
        refuse(frame, reason, kind);
    }
}

/// The announcement names a third party that may take part.
#[inline(never)]
fn may_name(frame: &mut Frame) -> bool {
    let work = frame.work();
    fxp::is_on(&work.interface) && fxp::allows(&work.announcement.endpoint.address)
}

/// The security rules that need no table.
#[inline(never)]
fn judge(frame: &mut Frame) -> Result<(), Reason> {
    let kind = frame.work().announcement.kind;
    let require_login = frame.work().interface.flags & interface_flags::REQUIRE_LOGIN != 0;
    let direction = frame.direction();
    let own = match direction {
        Direction::Egress => frame.session().inside.address,
        Direction::Ingress => frame.work().key.peer.address,
    };
    let known_as = match direction {
        Direction::Egress => frame.work().key.outside.address,
        Direction::Ingress => frame.session().seen_peer.address,
    };
    let advertised = frame.work().interface.advertise;
    let session = frame.session();
    if session.flags & flags::GREETED == 0 {
        return Err(Reason::NotGreeted);
    }
    // What the server says to `REIN` decides, and is not known yet.
    let is_logged_in =
        session.flags & flags::LOGGED_IN != 0 && session.outstanding != Kind::RESTART.0;
    if require_login && !is_logged_in {
        return Err(Reason::NotLoggedIn);
    }
    let is_reply = kind == Kind::REPLY_227 || kind == Kind::REPLY_229;
    if is_reply && session.outstanding != Kind::PASV.0 && session.outstanding != Kind::EPSV.0 {
        return Err(Reason::Unsolicited);
    }
    if session.flags & flags::EPSV_ALL != 0 && kind != Kind::REPLY_229 {
        return Err(Reason::EpsvAll);
    }
    let Endpoint { address, port, .. } = frame.work().announcement.endpoint;
    // 229 carries no address; 0.0.0.0 in a 227 stands for the sender itself.
    let implied = kind == Kind::REPLY_229 || (kind == Kind::REPLY_227 && address.is_unspecified());
    if !implied {
        if address.is_v4() != own.is_v4() {
            return Err(Reason::WrongFamily);
        }
        let is_own = address == own
            || address == known_as
            || (direction == Direction::Egress
                && !advertised.is_unspecified()
                && address == advertised);
        if !is_own {
            return Err(Reason::ThirdParty);
        }
    }
    if port == 0 {
        return Err(Reason::BadPort);
    }
    if port < 1024 {
        return Err(Reason::LowPort);
    }
    if port::is_denied(port) {
        return Err(Reason::DeniedPort);
    }
    Ok(())
}

/// The inside host awaits a data connection from the peer: finds it an outside
/// port, expects the connection there, and replaces the endpoint in the line.
#[inline(always)]
fn help_inside(frame: &mut Frame) -> Result<(), Reason> {
    // An announcement takes the place of the one before it.
    expectation::remove(frame, Reason::ExpectationReplaced);
    let inside_address = frame.session().inside.address;
    let seen_peer = frame.session().seen_peer.address;
    let work = frame.work();
    let port = work.announcement.endpoint.port;
    let kind = work.announcement.kind;
    let anybody =
        fxp::is_on(&work.interface) && (kind == Kind::REPLY_227 || kind == Kind::REPLY_229);
    // A client may hand the endpoint of a server on to another one.
    work.awaited.source = if anybody {
        Address::UNSPECIFIED
    } else {
        work.key.peer.address
    };
    work.awaited.destination = Endpoint::new(work.key.outside.address, port);
    work.expectation.target = Endpoint::new(inside_address, port);
    work.expectation.outgoing = 0;
    let (known, outside) = (work.key.peer.address, work.key.outside.address);
    set_new_source(frame, known, seen_peer);
    prepare(frame);
    // Without translation the inside host itself gets the packet.
    let creation = if inside_address == outside {
        expectation::claim_own(frame)
    } else {
        port::allocate(frame)
    };
    match creation {
        Creation::Done => expect(frame),
        Creation::Taken => return Err(Reason::NoFreePort),
        Creation::NoRoom => return Err(Reason::ExpectationTableFull),
    }
    let outside = outside_address(frame);
    let work = frame.work();
    let carries_address = work.announcement.kind != Kind::REPLY_229
        && !work.announcement.endpoint.address.is_unspecified();
    work.announced = Endpoint::new(
        if carries_address {
            outside
        } else {
            work.announcement.endpoint.address
        },
        work.awaited.destination.port,
    );
    if work.announced == work.announcement.endpoint {
        accepted(frame, Reason::AnnouncementAccepted);
    } else {
        accepted(frame, Reason::AnnouncementRewritten);
        replace(frame);
    }
    Ok(())
}

/// The inside host will open this data connection to the peer, with the numbers
/// of the line. Where inside interfaces are watched, it is expected there, and
/// leaves from the address of the control connection.
#[inline(always)]
fn help_outgoing(frame: &mut Frame) -> Result<(), Reason> {
    if frame.work().interface.flags & interface_flags::OUTGOING == 0 {
        let kind = frame.work().announcement.kind;
        note(frame, Reason::AnnouncementAccepted, kind);
        return Ok(());
    }
    expectation::remove(frame, Reason::ExpectationReplaced);
    let inside = frame.session().inside.address;
    let seen_peer = frame.session().seen_peer.address;
    let work = frame.work();
    let Endpoint { address, port, .. } = work.announcement.endpoint;
    let named = if address.is_unspecified() {
        seen_peer
    } else {
        address
    };
    work.awaited.source = inside;
    work.awaited.destination = Endpoint::new(named, port);
    work.expectation.target = Endpoint::new(work.key.peer.address, port);
    work.expectation.outgoing = 1;
    let outside = work.key.outside.address;
    set_new_source(frame, inside, outside);
    prepare(frame);
    if !expectation::create(frame) {
        return Err(Reason::ExpectationTableFull);
    }
    expect(frame);
    accepted(frame, Reason::AnnouncementAccepted);
    Ok(())
}

/// The target of the awaited connection shall see its source, which is `known`
/// under one address, under another one.
#[inline(always)]
fn set_new_source(frame: &mut Frame, known: Address, seen: Address) {
    frame.work().expectation.new_source = if seen == known {
        Address::UNSPECIFIED
    } else {
        seen
    };
}

/// Completes the expectation in the working memory.
#[inline(always)]
fn prepare(frame: &mut Frame) {
    let now = event::now();
    let work = frame.work();
    let kind = work.announcement.kind;
    let strict = work.interface.flags & interface_flags::STRICT != 0;
    let expectation = &mut work.expectation;
    expectation.master = work.key;
    expectation.kind = kind.0;
    expectation.unapproved = (strict && (kind == Kind::PORT || kind == Kind::EPRT)).into();
    expectation.ifindex = work.ifindex;
    expectation.created = now;
    expectation.expires = now + u64::from(work.interface.expectation_timeout) * SECOND;
}

/// The expectation was created.
#[inline(always)]
fn expect(frame: &mut Frame) {
    port::note_awaited(frame.work().awaited.destination.port);
    expectation::note(frame);
    event::count(Reason::ExpectationCreated);
}

/// Reports an announcement that is helped.
#[inline(always)]
fn accepted(frame: &mut Frame, reason: Reason) {
    let work = frame.work();
    work.endpoints[0] = work.expectation.inside(&work.awaited);
    event::report(
        reason,
        work.announcement.kind,
        work.ifindex,
        &work.key,
        &work.endpoints[0],
        &work.awaited.destination,
        &work.awaited.source,
    );
    work.endpoints[1] = work.awaited.destination;
    let kind = work.announcement.kind;
    journal::decision(frame, reason, kind);
    let session = frame.session();
    session.helped = session.helped.wrapping_add(1);
}

/// Files the rewrite of an announcement, with what was held of it.
#[inline(always)]
fn replace(frame: &mut Frame) {
    let held = frame.held();
    let capture: *const [u8; TEXT] = &raw const frame.rewrites().capture;
    let work = frame.work();
    let announcement = &work.announcement;
    let mut text = Text::new(&mut work.rewrite.text, &mut work.text);
    text.endpoint(announcement.kind, announcement.delimiter, &work.announced);
    // Held bytes behind the numbers (blanks, CR) belong to the rewrite as well:
    // nobody else sends them.
    for index in 0..TEXT as u32 {
        let position = announcement.len.wrapping_add(index);
        if position >= held {
            break;
        }
        // SAFETY: another map value; the index is inside the array.
        text.push(unsafe { (*capture)[position as usize & (TEXT - 1)] });
    }
    let original = if held > announcement.len {
        held
    } else {
        announcement.len
    };
    let behind = work.from.wrapping_add(work.position);
    work.rewrite.start = behind.wrapping_sub(announcement.distance);
    work.rewrite.original_len = original as u16;
    work.rewrite.new_len = work.text.len as u16;
    work.rewrite.digest = announcement.digest;
    work.rewrite.digest_len = announcement.len as u16;
    work.rewrite.held_len = held as u16;
    push(frame);
}

/// Appends the rewrite under construction to the ring.
#[inline(always)]
pub(crate) fn push(frame: &mut Frame) {
    let rewrite: *const Rewrite = &raw const frame.work().rewrite;
    // SAFETY: another map value.
    frame.rewrites().push(unsafe { &*rewrite });
    frame.work().rewrites += 1;
}

/// Counts and reports a refusal; the line goes on as it is.
#[inline(never)]
pub(crate) fn refuse(frame: &mut Frame, reason: Reason, kind: Kind) {
    let session = frame.session();
    session.refused = session.refused.wrapping_add(1);
    session.last_refusal = reason as u8 + 1;
    note(frame, reason, kind);
}

/// Counts and reports something about the line at hand.
#[inline(never)]
pub(crate) fn note(frame: &mut Frame, reason: Reason, kind: Kind) {
    frame.work().announced = frame.stream().parser.announcement().endpoint;
    let work = frame.work();
    event::report(
        reason,
        kind,
        work.ifindex,
        &work.key,
        &work.announced,
        &work.key.outside,
        &Address::UNSPECIFIED,
    );
    work.endpoints = [work.announced, Endpoint::UNKNOWN];
    journal::decision(frame, reason, kind);
}
