//! What `ftp-helper explain` will tell of a session.

use ftp_helper_common::{
    address::Endpoint,
    grammar::Kind,
    journal::{Entry, Moment, origin, origin_of},
    reason::Reason,
    session::{Session, SessionKey},
};

use crate::{event, frame::Frame, maps::SESSIONS};

/// Notes a complete line, in the entry of the decision about it if there was one. Of
/// a multi-line reply only the last line counts.
#[inline(always)]
pub(crate) fn line(frame: &mut Frame, kind: Kind, code: u16) {
    let direction = frame.direction();
    let origin = origin_of(frame.session().role(direction));
    let verb = frame.stream().parser.verb();
    let journal = &mut frame.session().journal;
    let newest = journal.newest();
    let is_decided = newest.kind == kind.0
        && newest.origin == origin
        && newest.verb == 0
        && newest.code == 0
        && newest.decision != 0;
    if is_decided {
        newest.verb = verb;
        newest.code = code;
        return;
    }
    // The text of a greeting would leave no room for anything else.
    let is_inner = origin == origin::SERVER && code == 0;
    if is_inner {
        return;
    }
    let entry = journal.append();
    fill(entry, 0, kind, origin);
    entry.inside = Endpoint::UNKNOWN;
    entry.outside = Endpoint::UNKNOWN;
    entry.verb = verb;
    entry.code = code;
}

/// Notes a decision about the line at hand, with the endpoints that are in the
/// working memory.
#[inline(always)]
pub(crate) fn decision(frame: &mut Frame, reason: Reason, kind: Kind) {
    let direction = frame.direction();
    let origin = origin_of(frame.session().role(direction));
    let endpoints: *const [Endpoint; 2] = &raw const frame.work().endpoints;
    let entry = frame.session().journal.append();
    // SAFETY: another map value.
    let [inside, outside] = unsafe { &*endpoints };
    fill(entry, reason as u8 + 1, kind, origin);
    entry.inside = *inside;
    entry.outside = *outside;
    entry.verb = 0;
    entry.code = 0;
}

/// Notes what became of an awaited data connection, if its session is still there.
#[inline(always)]
pub(crate) fn outcome(
    session: &SessionKey,
    reason: Reason,
    kind: Kind,
    inside: &Endpoint,
    outside: &Endpoint,
) {
    let Some(session) = SESSIONS.get_ptr_mut(session) else {
        return;
    };
    // SAFETY: memory of the map, see `maps`.
    let session: &mut Session = unsafe { &mut *session };
    let entry = session.journal.append();
    fill(entry, reason as u8 + 1, kind, origin::OTHER);
    entry.inside = *inside;
    entry.outside = *outside;
    entry.verb = 0;
    entry.code = 0;
}

#[inline(always)]
fn fill(entry: &mut Entry, decision: u8, kind: Kind, origin: u8) {
    entry.time = Moment::at(event::now());
    entry.kind = kind.0;
    entry.decision = decision;
    entry.origin = origin;
}
