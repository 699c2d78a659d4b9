//! The answer that follows from what the host's build of the grammar reads.

use std::collections::BTreeMap;

use ftp_helper_common::{
    address::{Address, Endpoint},
    expectation::ExpectationKey,
    grammar::{ANNOUNCEMENT, Announcement, Kind, LINE, LineParser, Progress, Role, TEXT, Text},
    reason::Reason,
    session::{Direction, flags},
};

use super::{
    answer::{Answer, Awaited, Behind, Marks, Told},
    case::Case,
    kernel::{is_denied, is_reserved},
};
use crate::packets::flow::{Flow, endpoint};

/// Most bytes behind the numbers of an unfinished line that are held.
const TRAILING: u32 = 19;

/// What the programs are free to choose: what they did choose is taken over, if
/// it is one of the choices.
struct Choices<'a> {
    told: &'a [Told],
}

impl Choices<'_> {
    /// A line may break several rules, any of which is a reason to refuse it.
    fn rule(&self, index: usize, broken: &[Reason]) -> Reason {
        let chosen = self.told.get(index).map(|told| told.reason);
        chosen
            .filter(|reason| broken.contains(reason))
            .unwrap_or(broken[0])
    }

    /// A port that must not be used outside is replaced by any that may be, with
    /// as many digits.
    fn port(&self, index: usize, announced: u16) -> u16 {
        let chosen = self.told.get(index).map(|told| told.outside.port);
        let fits = |port: &u16| !is_reserved(*port) && (*port < 10_000) == (announced < 10_000);
        chosen.filter(fits).unwrap_or(announced)
    }
}

/// Reads a case. `seen` is the answer of the programs, for what they may choose.
pub fn answer(case: &Case, seen: &Answer) -> Answer {
    let flow = case.flow();
    let mut reader = Reader {
        case,
        key: flow.key().outside,
        flow,
        choices: Choices { told: &seen.told },
        parser: LineParser::default(),
        held: 0,
        answer: Answer {
            told: Vec::new(),
            counted: BTreeMap::new(),
            wire: Vec::new(),
            awaited: Vec::new(),
            marks: Marks::of(&case.before.session(&flow)),
            behind: Vec::new(),
        },
    };
    // A segment that brings many rewrites is read in pieces.
    let mut start = 0;
    for end in seen.behind.iter().map(|behind| behind.position) {
        reader.read(&case.stream[start..end]);
        reader.settle(end);
        start = end;
    }
    // Only an encrypted stream is not read to its end.
    if !reader.answer.marks.has(flags::OPAQUE) && start < case.stream.len() {
        reader.read(&case.stream[start..]);
    }
    if case.place.direction == Direction::Ingress {
        reader.answer.wire.clone_from(&case.stream);
    }
    reader.answer
}

struct Reader<'a> {
    case: &'a Case,
    flow: Flow,
    /// Our side of the session.
    key: Endpoint,
    choices: Choices<'a>,
    parser: LineParser,
    /// Bytes at the end of what was read that did not go on.
    held: u32,
    answer: Answer,
}

impl Reader<'_> {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.answer.wire.push(*byte);
            if self.answer.marks.has(flags::OPAQUE) {
                continue;
            }
            let step = self.parser.push(self.case.place.role, *byte);
            if step & ANNOUNCEMENT != 0 {
                self.announced(&self.parser.announcement());
            }
            if step & LINE != 0 {
                self.line();
            }
        }
    }

    /// The end of a segment. What may need a rewrite is held, up to a limit.
    fn settle(&mut self, position: usize) {
        let pending = self.parser.pending();
        let may_rewrite = self.case.place.direction == Direction::Egress && self.is_translated();
        self.held = if may_rewrite { pending } else { 0 };
        let is_long = pending as usize > TEXT || self.parser.trailing() > TRAILING;
        if self.held > 0 && is_long {
            self.parser.abandon();
            self.held = 0;
            self.count(Reason::LineTooLong, 1);
        }
        self.answer.behind.push(Behind {
            position,
            held: self.held,
            parser: self.parser,
        });
    }

    fn is_translated(&self) -> bool {
        self.flow.inside.ip() != self.flow.outside.ip()
    }

    fn announced(&mut self, announcement: &Announcement) {
        let broken = self.broken(announcement);
        if !broken.is_empty() {
            let reason = self.choices.rule(self.answer.told.len(), &broken);
            self.tell(reason, announcement.kind, announcement.endpoint, self.key);
            return;
        }
        if self.case.place.direction == Direction::Ingress {
            let reason = Reason::AnnouncementAccepted;
            self.tell(reason, announcement.kind, announcement.endpoint, self.key);
            return;
        }
        self.forget(Reason::ExpectationReplaced);
        let mut outside = endpoint(self.flow.outside);
        outside.port = announcement.endpoint.port;
        if self.is_translated() && is_reserved(outside.port) {
            outside.port = self.choices.port(self.answer.told.len(), outside.port);
        }
        let inside = Endpoint::new(self.flow.inside.ip().into(), announcement.endpoint.port);
        self.answer.awaited = vec![Awaited {
            key: ExpectationKey {
                source: self.flow.peer.ip().into(),
                destination: outside,
            },
            inside,
            kind: announcement.kind,
        }];
        self.count(Reason::ExpectationCreated, 1);
        // Where no address is announced, none is put in its place.
        let mut new = outside;
        if announcement.endpoint.address.is_unspecified() {
            new.address = announcement.endpoint.address;
        }
        if new == announcement.endpoint {
            self.tell(
                Reason::AnnouncementAccepted,
                announcement.kind,
                inside,
                outside,
            );
        } else {
            self.tell(
                Reason::AnnouncementRewritten,
                announcement.kind,
                inside,
                outside,
            );
            self.rewrite(announcement, &new);
        }
    }

    /// The rules that an announcement breaks.
    fn broken(&self, announcement: &Announcement) -> Vec<Reason> {
        let Announcement { kind, endpoint, .. } = *announcement;
        let Endpoint { address, port, .. } = endpoint;
        let marks = &self.answer.marks;
        let is_reply = self.case.place.role == Role::Server;
        let is_asked = [Kind::PASV, Kind::EPSV].contains(&marks.outstanding);
        let is_epsv_only = marks.has(flags::EPSV_ALL);
        let is_implied = is_reply && address.is_unspecified();
        let (own, known_as) = match self.case.place.direction {
            Direction::Egress => (self.flow.inside, self.flow.outside),
            Direction::Ingress => (self.flow.peer, self.flow.seen_peer),
        };
        let is_family = is_implied || address.is_v4() == own.is_ipv4();
        let is_own = [own, known_as]
            .iter()
            .any(|own| Address::from(own.ip()) == address);
        let rules = [
            (!marks.has(flags::GREETED), Reason::NotGreeted),
            (is_reply && !is_asked, Reason::Unsolicited),
            (is_epsv_only && kind != Kind::REPLY_229, Reason::EpsvAll),
            (!is_family, Reason::WrongFamily),
            (is_family && !is_implied && !is_own, Reason::ThirdParty),
            (port == 0, Reason::BadPort),
            (0 < port && port < 1024, Reason::LowPort),
            (is_denied(port), Reason::DeniedPort),
        ];
        let broken = rules.into_iter().filter(|(is_broken, _)| *is_broken);
        broken.map(|(_, reason)| reason).collect()
    }

    /// Replaces the announcement's bytes, the last of which was read before.
    fn rewrite(&mut self, announcement: &Announcement, new: &Endpoint) {
        let (mut bytes, mut progress) = ([0; TEXT], Progress::default());
        Text::new(&mut bytes, &mut progress).endpoint(
            announcement.kind,
            announcement.delimiter,
            new,
        );
        let wire = &mut self.answer.wire;
        let start = wire.len() - announcement.distance as usize;
        let end = start + announcement.len as usize;
        wire.splice(start..end, bytes[..progress.len as usize].iter().copied());
    }

    fn line(&mut self) {
        let kind = self.parser.kind();
        if let Some(problem) = self.parser.problem() {
            let announced = self.parser.announcement().endpoint;
            self.tell(problem, kind, announced, self.key);
        }
        if kind == Kind::LONG {
            self.count(Reason::Unsupported, 1);
        }
        match self.case.place.role {
            Role::Client => self.command(kind),
            Role::Server => self.reply(self.parser.code()),
        }
    }

    fn command(&mut self, kind: Kind) {
        if kind == Kind::PART {
            return;
        }
        let marks = &mut self.answer.marks;
        marks.commands = marks.commands.wrapping_add(1);
        if kind.is_question() {
            if marks.outstanding == Kind::RESTART {
                marks.flags &= !(flags::LOGGED_IN | flags::EPSV_ALL);
            }
            marks.outstanding = kind;
        }
        match kind {
            Kind::RESTART => self.forget(Reason::ExpectationReplaced),
            Kind::HTTP => {
                marks.flags |= flags::OPAQUE;
                let announced = self.parser.announcement().endpoint;
                self.tell(Reason::NotFtp, kind, announced, self.key);
                self.forget(Reason::ExpectationTornDown);
            }
            _ => {}
        }
    }

    fn reply(&mut self, code: u16) {
        let marks = &mut self.answer.marks;
        if code == 220 && !marks.has(flags::GREETED) {
            marks.flags |= flags::GREETED;
            return;
        }
        if code == 230 || code == 232 {
            marks.flags |= flags::LOGGED_IN;
        }
        if code >= 200 {
            marks.replies += 1;
        }
        if marks.outstanding == Kind::AUTH && (code == 234 || code == 334) {
            marks.flags |= flags::OPAQUE;
            marks.outstanding = Kind::OTHER;
            let announced = self.parser.announcement().endpoint;
            self.tell(Reason::Opaque, Kind::AUTH, announced, self.key);
        }
    }

    /// Nothing is awaited any more.
    fn forget(&mut self, reason: Reason) {
        if let Some(old) = self.answer.awaited.pop() {
            self.tell(reason, old.kind, old.inside, old.key.destination);
        }
    }

    fn tell(&mut self, reason: Reason, kind: Kind, inside: Endpoint, outside: Endpoint) {
        self.count(reason, 1);
        self.answer.told.push(Told {
            reason,
            kind,
            inside,
            outside,
        });
    }

    fn count(&mut self, reason: Reason, count: u64) {
        *self.answer.counted.entry(reason.word()).or_default() += count;
    }
}
