//! Reading new bytes: what the parser says, and what follows from it.

use ftp_helper_common::{
    address::{Address, Endpoint},
    expectation::ExpectationKey,
    grammar::{
        ANNOUNCEMENT, Announcement, Kind, LINE, LineParser, NOTHING, Progress, Role, TEXT, Text,
    },
    interface::flags as interface_flags,
    reason::Reason,
    rewrite::{REWRITES, Rewrite},
    session::{Direction, Session, flags as session_flags},
};

use super::{Gateway, REWRITES_PER_SEGMENT, Work, count, held, rules::DENIED};
use crate::segment::flags;

/// Most bytes behind the numbers of an unfinished line that are held.
pub(super) const TRAILING: u32 = 19;

/// No text that may be needed again can be pushed out of the ring by one segment.
pub(super) fn has_room(session: &Session, direction: Direction) -> bool {
    let age = count(REWRITES) - REWRITES_PER_SEGMENT;
    let rewrites = session.rewrites_of(direction);
    match rewrites.and_then(|rewrites| rewrites.rewrite(age)) {
        Some(rewrite) => session.streams[direction as usize].has_arrived(rewrite.wire_end()),
        None => true,
    }
}

impl Gateway {
    /// Reads on from `work.position`, to the end or to the last rewrite that the
    /// segment may bring.
    pub(super) fn read(&mut self, session: &mut Session, work: &mut Work) {
        let at = work.direction as usize;
        let role = session.role(work.direction);
        while work.position < work.segment.payload.len() {
            let byte = work.segment.payload[work.position];
            work.position += 1;
            let stream = &mut session.streams[at];
            let step = stream.parser.push(role, byte);
            let pending = stream.parser.pending() as usize;
            if (1..=TEXT).contains(&pending) && work.direction == Direction::Egress {
                session.rewrites.capture[pending - 1] = byte;
            }
            let is_released = pending == 0 && held(session, work.direction) > 0;
            if step == NOTHING && !is_released {
                continue;
            }
            if step & ANNOUNCEMENT != 0 {
                self.announced(session, work);
            }
            self.release(session, work);
            if step & LINE != 0 {
                self.line(session, work.direction);
                if session.flags & session_flags::OPAQUE != 0 {
                    work.position = work.segment.payload.len();
                    return;
                }
            }
            if work.rewrites >= REWRITES_PER_SEGMENT {
                return;
            }
        }
    }

    /// The end of a segment that goes out: how many bytes before it are held.
    pub(super) fn settle(&mut self, session: &mut Session, work: &mut Work) -> u16 {
        let at = work.direction as usize;
        let (pending, trailing) = {
            let parser = &session.streams[at].parser;
            (parser.pending(), parser.trailing())
        };
        let held = session.rewrites.hold_len;
        if pending == 0 || held == 0 && !self.may_rewrite(session, work.direction) {
            return 0;
        }
        let too_long = pending > count(TEXT) || trailing > TRAILING;
        if too_long || work.segment.flags & flags::FIN != 0 {
            if too_long {
                self.count(Reason::LineTooLong);
            }
            session.streams[at].parser.abandon();
            self.release(session, work);
            return 0;
        }
        if held == 0 {
            self.count(Reason::LineHeld);
        }
        u16::try_from(pending).unwrap_or(u16::MAX)
    }

    /// What is held goes out unchanged.
    pub(super) fn release(&mut self, session: &mut Session, work: &mut Work) {
        let held = held(session, work.direction);
        if held == 0 {
            return;
        }
        let rewrites = &mut session.rewrites;
        let mut text = [0; TEXT];
        let len = usize::from(held);
        text[..len].copy_from_slice(&rewrites.capture[..len]);
        rewrites.push(&Rewrite {
            start: rewrites.hold_start,
            original_len: held,
            new_len: held,
            held_len: held,
            text,
            ..Rewrite::default()
        });
        work.rewrites += 1;
        self.count(Reason::LineReleased);
    }

    fn announced(&mut self, session: &mut Session, work: &mut Work) {
        let direction = work.direction;
        // The end of the line decides whether it is one of FTP's.
        if session.flags & session_flags::CANDIDATE != 0 {
            return;
        }
        let announcement = session.streams[direction as usize].parser.announcement();
        let Announcement { kind, endpoint, .. } = announcement;
        match self.objection(session, direction, &announcement) {
            None => {}
            Some(Reason::ThirdParty) if self.rules.allows(&endpoint.address) => {
                self.count(Reason::FxpAccepted);
                return;
            }
            Some(reason) => {
                self.refuse(session, reason);
                return;
            }
        }
        if direction == Direction::Ingress {
            self.opens_itself(session, &announcement);
            self.count(Reason::AnnouncementAccepted);
            return;
        }
        self.forget_awaited(session, Reason::ExpectationReplaced);
        let is_translated = session.inside.address != self.key.outside.address;
        let port = if is_translated {
            self.rules.ports.choose(endpoint.port)
        } else {
            Some(endpoint.port)
        };
        let Some(port) = port else {
            self.refuse(session, Reason::NoFreePort);
            return;
        };
        let is_reply = kind == Kind::REPLY_227 || kind == Kind::REPLY_229;
        let key = ExpectationKey {
            // What a server names, its client may hand on to another one.
            source: if is_reply && self.rules.has(interface_flags::FXP) {
                Address::UNSPECIFIED
            } else {
                self.key.peer.address
            },
            destination: Endpoint::new(self.key.outside.address, port),
        };
        self.expect(session, kind, direction, key);
        self.count(Reason::ExpectationCreated);
        let mut new = Endpoint::new(endpoint.address, port);
        // Where no address is announced, none is put in its place.
        if !new.address.is_unspecified() {
            new.address = self.outside_address();
        }
        if new == announcement.endpoint {
            self.count(Reason::AnnouncementAccepted);
            return;
        }
        self.count(Reason::AnnouncementRewritten);
        let behind = work.from.wrapping_add(count(work.position));
        let rewrites = &mut session.rewrites;
        let (mut bytes, mut progress) = ([0; TEXT], Progress::default());
        let mut text = Text::new(&mut bytes, &mut progress);
        text.endpoint(announcement.kind, announcement.delimiter, &new);
        // What is held behind the numbers, nobody else sends.
        let held = usize::from(rewrites.hold_len);
        for byte in rewrites.capture[..held]
            .iter()
            .skip(announcement.len as usize)
        {
            text.push(*byte);
        }
        let short = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        rewrites.push(&Rewrite {
            start: behind.wrapping_sub(announcement.distance),
            original_len: short(announcement.len).max(rewrites.hold_len),
            new_len: short(progress.len),
            digest: announcement.digest,
            digest_len: short(announcement.len),
            held_len: rewrites.hold_len,
            text: bytes,
            ..Rewrite::default()
        });
        work.rewrites += 1;
    }

    /// The inside host will open a data connection to the peer.
    fn opens_itself(&mut self, session: &mut Session, announcement: &Announcement) {
        if !self.rules.has(interface_flags::OUTGOING) {
            return;
        }
        self.forget_awaited(session, Reason::ExpectationReplaced);
        let Endpoint { address, port, .. } = announcement.endpoint;
        let named = if address.is_unspecified() {
            session.seen_peer.address
        } else {
            address
        };
        let key = ExpectationKey {
            source: session.inside.address,
            destination: Endpoint::new(named, port),
        };
        self.expect(session, announcement.kind, Direction::Ingress, key);
        self.count(Reason::ExpectationCreated);
    }

    /// Whether the segment shows that an encrypted connection is readable again: the
    /// client's next one, with a plain command that announces or asks.
    pub(super) fn clears(&mut self, session: &mut Session, work: &Work) -> bool {
        let at = work.direction as usize;
        let text = &work.segment.payload;
        let is_foreign = session.flags & session_flags::FOREIGN != 0;
        let is_next = session.streams[at].next == work.from;
        let is_client = session.role(work.direction) == Role::Client;
        let is_wanted = self.rules.has(interface_flags::CCC);
        if !is_wanted || is_foreign || !is_next || !is_client || text.len() < 6 {
            return false;
        }
        let verb = text[..4].to_ascii_uppercase();
        let announces = [b"PORT", b"EPRT", b"PASV", b"EPSV"]
            .contains(&&verb[..].try_into().unwrap_or_default());
        if !announces || !b" \r\n".contains(&text[4]) || text.last() != Some(&b'\n') {
            return false;
        }
        session.streams[at].parser = LineParser::default();
        session.flags &= !session_flags::OPAQUE;
        session.flags |= session_flags::CLEARED;
        session.replies = session.commands;
        session.outstanding = 0;
        self.count(Reason::Cleared);
        true
    }

    /// Why an announcement is refused.
    fn objection(
        &self,
        session: &Session,
        direction: Direction,
        announcement: &Announcement,
    ) -> Option<Reason> {
        let kind = announcement.kind;
        let Announcement { endpoint, .. } = announcement;
        let (own, known_as) = match direction {
            Direction::Egress => (session.inside.address, self.key.outside.address),
            Direction::Ingress => (self.key.peer.address, session.seen_peer.address),
        };
        let is_reply = kind == Kind::REPLY_227 || kind == Kind::REPLY_229;
        let asked = [Kind::PASV.0, Kind::EPSV.0].contains(&session.outstanding);
        // 0.0.0.0 in a 227 stands for its sender.
        let is_implied = is_reply && endpoint.address.is_unspecified();
        let advertised = self.rules.advertise;
        let is_own = endpoint.address == own
            || endpoint.address == known_as
            || direction == Direction::Egress
                && !advertised.is_unspecified()
                && endpoint.address == advertised;
        let is_restarting = session.outstanding == Kind::RESTART.0;
        let is_logged_in = session.flags & session_flags::LOGGED_IN != 0 && !is_restarting;
        if session.flags & session_flags::GREETED == 0 {
            Some(Reason::NotGreeted)
        } else if self.rules.has(interface_flags::REQUIRE_LOGIN) && !is_logged_in {
            Some(Reason::NotLoggedIn)
        } else if is_reply && !asked {
            Some(Reason::Unsolicited)
        } else if session.flags & session_flags::EPSV_ALL != 0 && kind != Kind::REPLY_229 {
            Some(Reason::EpsvAll)
        } else if !is_implied && endpoint.address.is_v4() != own.is_v4() {
            Some(Reason::WrongFamily)
        } else if !is_implied && !is_own {
            Some(Reason::ThirdParty)
        } else if endpoint.port == 0 {
            Some(Reason::BadPort)
        } else if endpoint.port < 1024 {
            Some(Reason::LowPort)
        } else if self.rules.denies && DENIED.contains(&endpoint.port) {
            Some(Reason::DeniedPort)
        } else {
            None
        }
    }

    fn refuse(&mut self, session: &mut Session, reason: Reason) {
        session.refused = session.refused.wrapping_add(1);
        session.last_refusal = reason as u8 + 1;
        self.count(reason);
    }

    fn line(&mut self, session: &mut Session, direction: Direction) {
        let (kind, code, problem) = {
            let parser = &session.streams[direction as usize].parser;
            (parser.kind(), parser.code(), parser.problem())
        };
        if let Some(problem) = problem {
            self.refuse(session, problem);
        }
        if kind == Kind::LONG {
            self.count(Reason::Unsupported);
        }
        match session.role(direction) {
            Role::Client => self.command(session, kind),
            Role::Server => self.reply(session, code),
        }
    }

    fn command(&mut self, session: &mut Session, kind: Kind) {
        if session.flags & session_flags::CANDIDATE != 0 {
            session.flags &= !session_flags::CANDIDATE;
            if [Kind::LOGIN, Kind::AUTH, Kind::RESTART].contains(&kind) {
                self.count(Reason::SessionDetected);
            } else {
                session.flags |= session_flags::REJECTED | session_flags::OPAQUE;
            }
        }
        if kind == Kind::PART {
            return;
        }
        session.commands = session.commands.wrapping_add(1);
        if kind.is_question() {
            if session.outstanding == Kind::RESTART.0 {
                start_over(session);
            }
            session.outstanding = kind.0;
            session.outstanding_at = session.commands;
        }
        match kind {
            Kind::RESTART => self.forget_awaited(session, Reason::ExpectationReplaced),
            Kind::HTTP => {
                session.flags |= session_flags::OPAQUE | session_flags::FOREIGN;
                self.refuse(session, Reason::NotFtp);
                self.forget_awaited(session, Reason::ExpectationTornDown);
            }
            _ => {}
        }
    }

    fn reply(&mut self, session: &mut Session, code: u16) {
        if code == 220 && session.flags & session_flags::GREETED == 0 {
            session.flags |= session_flags::GREETED;
            return;
        }
        if code == 230 || code == 232 {
            session.flags |= session_flags::LOGGED_IN;
        }
        // Preliminary ones, and one that answers nothing.
        if code < 200 || session.replies == session.commands {
            return;
        }
        session.replies = session.replies.wrapping_add(1);
        let outstanding = Kind(session.outstanding);
        if outstanding == Kind::AUTH && (code == 234 || code == 334) {
            session.flags |= session_flags::OPAQUE;
            session.outstanding = 0;
            self.count(Reason::Opaque);
            self.forget_awaited(session, Reason::ExpectationTornDown);
            return;
        }
        if outstanding == Kind::OTHER || session.replies != session.outstanding_at {
            return;
        }
        session.outstanding = 0;
        match outstanding {
            Kind::PORT | Kind::EPRT if code >= 400 => {
                self.forget_awaited(session, Reason::ExpectationTornDown);
            }
            Kind::PORT | Kind::EPRT => self.approve(session),
            Kind::EPSV_ALL if code < 400 => session.flags |= session_flags::EPSV_ALL,
            Kind::RESTART if code < 400 => start_over(session),
            _ => {}
        }
    }
}

/// Nobody is logged in any more.
fn start_over(session: &mut Session) {
    session.flags &= !(session_flags::LOGGED_IN | session_flags::EPSV_ALL);
}
