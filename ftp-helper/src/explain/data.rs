//! What became of the last data connection that was announced.

use ftp_helper_common::{
    address::Endpoint,
    expectation::Expectation,
    grammar::Kind,
    journal::{Entry, origin},
    reason::{Class, Reason},
    session::{Session, flags},
};
use serde::Serialize;

use super::verb;
use crate::inspect::mode::Mode;

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Outcome {
    /// Nothing was announced, as far as the journal goes back.
    NotAnnounced,
    /// The announcement was not helped.
    Refused,
    /// It went on as it was, and needs no help, or gets none.
    Untouched,
    /// It is awaited.
    Waiting,
    /// It is awaited, but only after the server's 2xx (strict mode).
    Unapproved,
    /// It came and was admitted.
    Admitted,
    /// It came, and the kernel refused its entry.
    NotAdmitted,
    /// It did not come in time.
    Expired,
    /// The server refused the announcement.
    RefusedByServer,
    /// The control connection ended, or was encrypted, first.
    Ended,
    /// It is not awaited any more, and the journal does not say why.
    Gone,
}

/// The last data connection that was announced.
#[derive(Clone, Copy, Debug)]
pub struct Data {
    /// What became of it.
    pub outcome: Outcome,
    /// The decision about the announcement.
    pub reason: Option<Reason>,
    /// How it was announced.
    pub mode: Option<Mode>,
    /// When it was announced.
    pub announced: u64,
    /// When it came.
    pub arrived: Option<u64>,
    /// What was announced, or where it leads.
    pub inside: Endpoint,
    /// Where it is awaited.
    pub outside: Endpoint,
    /// When it is not awaited any more, while it is.
    pub expires: Option<u64>,
    /// A command came that opens a data connection.
    pub is_asked_for: bool,
    /// The server's final reply to the transfer.
    pub reply: Option<u16>,
}

impl Data {
    /// What the journal, the flags and the live expectation say.
    pub fn of(session: &Session, expectation: Option<&Expectation>, now: u64) -> Self {
        let entries: Vec<&Entry> = session.journal.iter().collect();
        let last = entries.iter().rposition(|entry| is_announcement(entry));
        let Some(at) = last else {
            return Self::none();
        };
        let announcement = entries[at];
        let behind = &entries[at + 1..];
        let mut data = Self {
            reason: announcement.reason(),
            mode: Mode::of(Kind(announcement.kind)),
            announced: announcement.time.nanoseconds(),
            inside: announcement.inside,
            outside: announcement.outside,
            is_asked_for: behind
                .iter()
                .any(|entry| entry.origin == origin::CLIENT && verb::is_transfer(entry.verb)),
            ..Self::none()
        };
        data.outcome = data.judge(behind, session, expectation, now);
        data.reply = reply(behind, data.mode);
        data
    }

    fn judge(
        &mut self,
        behind: &[&Entry],
        session: &Session,
        expectation: Option<&Expectation>,
        now: u64,
    ) -> Outcome {
        let class = self.reason.map(Reason::class);
        if class != Some(Class::Work) {
            return Outcome::Refused;
        }
        // Of one that is not awaited, nobody noted where it would be.
        if self.outside == Endpoint::UNKNOWN {
            return Outcome::Untouched;
        }
        let mut was_refused = false;
        for (index, entry) in behind.iter().enumerate() {
            match entry.reason() {
                Some(Reason::ExpectationMatched) => {
                    self.arrived = Some(entry.time.nanoseconds());
                    return Outcome::Admitted;
                }
                // It comes again, and there may be room by then.
                Some(Reason::ConntrackInsertFailed) if entry.origin == origin::OTHER => {
                    self.arrived = Some(entry.time.nanoseconds());
                    was_refused = true;
                }
                Some(Reason::ExpectationExpired) if !was_refused => return Outcome::Expired,
                Some(Reason::ExpectationTornDown) => {
                    let before = index.checked_sub(1).map(|index| behind[index]);
                    let refused = before
                        .is_some_and(|entry| entry.origin == origin::SERVER && entry.code >= 400);
                    return if refused {
                        Outcome::RefusedByServer
                    } else {
                        Outcome::Ended
                    };
                }
                _ => {}
            }
        }
        if was_refused {
            return Outcome::NotAdmitted;
        }
        if session.flags & flags::EXPECTING == 0 {
            return Outcome::Gone;
        }
        match expectation {
            // The agent has removed it.
            None => Outcome::Expired,
            Some(expectation) if expectation.expires <= now => Outcome::Expired,
            Some(expectation) => {
                self.expires = Some(expectation.expires);
                if expectation.unapproved == 1 {
                    Outcome::Unapproved
                } else {
                    Outcome::Waiting
                }
            }
        }
    }

    const fn none() -> Self {
        Self {
            outcome: Outcome::NotAnnounced,
            reason: None,
            mode: None,
            announced: 0,
            arrived: None,
            inside: Endpoint::UNKNOWN,
            outside: Endpoint::UNKNOWN,
            expires: None,
            is_asked_for: false,
            reply: None,
        }
    }
}

/// True for the decision about an announcement. What becomes of its data
/// connection has the same kind, and is no line.
fn is_announcement(entry: &Entry) -> bool {
    entry.origin != origin::OTHER
        && entry.reason().is_some()
        && Mode::of(Kind(entry.kind)).is_some()
}

/// The final reply to the transfer, or the last one while none was asked for. The
/// first one behind a command that announces answers that command.
fn reply(behind: &[&Entry], mode: Option<Mode>) -> Option<u16> {
    let mut own = usize::from(matches!(mode, Some(Mode::Port | Mode::Eprt)));
    let mut is_asked_for = false;
    let mut last = None;
    for entry in behind {
        if entry.origin == origin::CLIENT && verb::is_transfer(entry.verb) {
            is_asked_for = true;
            last = None;
        }
        if entry.origin != origin::SERVER || entry.code < 200 {
            continue;
        }
        if own > 0 {
            own -= 1;
            continue;
        }
        last = Some(entry.code);
        if is_asked_for {
            break;
        }
    }
    last
}

#[cfg(test)]
pub(super) mod tests {
    use ftp_helper_common::{address::Address, journal::Moment};
    use zerocopy::FromZeros as _;

    use super::*;

    pub(in crate::explain) fn at(last: u8, port: u16) -> Endpoint {
        Endpoint::new(Address::from_v4([203, 0, 113, last]), port)
    }

    fn client(verb: [u8; 4]) -> Entry {
        Entry {
            verb: u32::from_be_bytes(verb),
            origin: origin::CLIENT,
            ..Entry::default()
        }
    }

    pub(in crate::explain) fn server(code: u16) -> Entry {
        Entry {
            code,
            origin: origin::SERVER,
            ..Entry::default()
        }
    }

    pub(in crate::explain) fn port(reason: Reason) -> Entry {
        Entry {
            inside: at(9, 45678),
            outside: at(1, 45678),
            kind: Kind::PORT.0,
            decision: reason as u8 + 1,
            ..client(*b"PORT")
        }
    }

    fn network(reason: Reason) -> Entry {
        Entry {
            origin: origin::OTHER,
            ..port(reason)
        }
    }

    pub(in crate::explain) fn session(entries: &[Entry]) -> Session {
        let mut session = Session::new_zeroed();
        for (time, entry) in (1..).zip(entries) {
            let time = Moment::at(time << 10);
            *session.journal.append() = Entry { time, ..*entry };
        }
        session
    }

    fn data(entries: &[Entry]) -> Data {
        let mut session = session(entries);
        session.flags |= flags::EXPECTING;
        let expectation = Expectation {
            expires: 100,
            ..Expectation::default()
        };
        Data::of(&session, Some(&expectation), 50)
    }

    #[test]
    fn the_last_announcement_counts() {
        assert_eq!(data(&[]).outcome, Outcome::NotAnnounced);
        assert_eq!(data(&[client(*b"USER")]).outcome, Outcome::NotAnnounced);
        let helped = port(Reason::AnnouncementRewritten);
        let refused = port(Reason::LowPort);
        let ok = server(200);
        let found = data(&[helped, ok, refused, server(500)]);
        assert_eq!(found.outcome, Outcome::Refused);
        assert_eq!(found.reason, Some(Reason::LowPort));
        let found = data(&[refused, server(500), helped, ok]);
        assert_eq!(found.outcome, Outcome::Waiting);
        assert_eq!((found.expires, found.reply), (Some(100), None));
        assert!(!found.is_asked_for);
        assert!(data(&[helped, ok, client(*b"RETR")]).is_asked_for);
    }

    #[test]
    fn what_became_of_it() {
        let helped = port(Reason::AnnouncementRewritten);
        let ok = server(200);
        let outcome = |behind: &[Entry]| data(&[&[helped, ok], behind].concat());
        let matched = outcome(&[
            client(*b"RETR"),
            network(Reason::ExpectationMatched),
            server(150),
            server(226),
        ]);
        assert_eq!(matched.outcome, Outcome::Admitted);
        assert_eq!((matched.arrived, matched.reply), (Some(4 << 10), Some(226)));
        let failed = outcome(&[network(Reason::ConntrackInsertFailed)]);
        assert_eq!(failed.outcome, Outcome::NotAdmitted);
        let too_late = outcome(&[
            network(Reason::ConntrackInsertFailed),
            network(Reason::ExpectationExpired),
        ]);
        assert_eq!(too_late.outcome, Outcome::NotAdmitted);
        let second = outcome(&[
            network(Reason::ConntrackInsertFailed),
            network(Reason::ExpectationMatched),
        ]);
        assert_eq!(second.outcome, Outcome::Admitted);
        let expired = outcome(&[
            client(*b"RETR"),
            server(425),
            network(Reason::ExpectationExpired),
        ]);
        assert_eq!(
            (expired.outcome, expired.reply),
            (Outcome::Expired, Some(425))
        );
        let closed = outcome(&[network(Reason::ExpectationTornDown)]);
        assert_eq!(closed.outcome, Outcome::Ended);
        let torn = network(Reason::ExpectationTornDown);
        let refused = data(&[helped, server(500), torn]);
        assert_eq!(refused.outcome, Outcome::RefusedByServer);
    }

    #[test]
    fn the_reply_is_the_one_to_the_transfer() {
        let helped = port(Reason::AnnouncementRewritten);
        let (ok, retrieve) = (server(200), client(*b"RETR"));
        let reply = |behind: &[Entry]| data(&[&[helped], behind].concat()).reply;
        assert_eq!(reply(&[ok, retrieve, server(150)]), None);
        let done = [ok, retrieve, server(150), server(226)];
        assert_eq!(reply(&done), Some(226));
        // A later command is another matter.
        let later = [client(*b"DELE"), server(550)];
        assert_eq!(reply(&[&done[..], &later].concat()), Some(226));
        // Both commands in one segment.
        assert_eq!(reply(&[retrieve, ok, server(150), server(226)]), Some(226));
        let before = [ok, client(*b"TYPE"), server(504)];
        assert_eq!(reply(&before), Some(504));
        assert_eq!(reply(&[&before[..], &[retrieve]].concat()), None);
    }

    #[test]
    fn what_the_agent_removed_expired() {
        let mut session = session(&[port(Reason::AnnouncementRewritten), server(200)]);
        assert_eq!(Data::of(&session, None, 50).outcome, Outcome::Gone);
        session.flags |= flags::EXPECTING;
        assert_eq!(Data::of(&session, None, 50).outcome, Outcome::Expired);
        let mut expectation = Expectation {
            expires: 50,
            ..Expectation::default()
        };
        let outcome = |expectation: &Expectation| Data::of(&session, Some(expectation), 50).outcome;
        assert_eq!(outcome(&expectation), Outcome::Expired);
        expectation.expires = 51;
        expectation.unapproved = 1;
        assert_eq!(outcome(&expectation), Outcome::Unapproved);
    }

    #[test]
    fn what_nobody_awaits_is_untouched() {
        let mut entry = port(Reason::AnnouncementAccepted);
        entry.outside = Endpoint::UNKNOWN;
        assert_eq!(data(&[entry]).outcome, Outcome::Untouched);
    }
}
