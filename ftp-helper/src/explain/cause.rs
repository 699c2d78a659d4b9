//! Why a data connection did not come, by rules.

use std::net::IpAddr;

use ftp_helper_common::{
    grammar::Kind,
    interface::{Interface, control_port},
    reason::Reason,
    session::{Session, SessionKey, flags},
};
use serde::Serialize;

use super::{
    advice::advice,
    data::{Data, Outcome},
};
use crate::{
    admin::notice::announced,
    clock,
    doctor::{Finding, Status, checks::address::private},
    inspect::{mode::Mode, session::is_client_inside},
    output::{Tone, endpoint},
};

/// A transfer that is not answered for so long hangs.
const LONG: u64 = clock::seconds(5);

/// `Can't open data connection` (RFC 959).
const NO_DATA_CONNECTION: u16 = 425;

/// A likely cause.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Cause {
    /// A word for it.
    pub cause: &'static str,
    /// What was seen, and what follows from it.
    pub text: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Cause {
    /// A cause.
    pub fn new(cause: &'static str, text: impl Into<String>) -> Self {
        Self {
            cause,
            text: text.into(),
            fix: None,
        }
    }

    /// With something to do about it.
    #[must_use]
    pub fn fix(self, fix: impl Into<String>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..self
        }
    }

    /// What a check of the doctor found, if it is a problem.
    pub fn found(finding: &Finding) -> Option<Self> {
        matches!(finding.status, Status::Warn | Status::Fail).then(|| Self {
            cause: finding.check,
            text: format!("{}: {}", finding.subject, finding.reason),
            fix: finding.fix.clone(),
        })
    }

    /// Whether it deserves a colour.
    pub fn tone(&self) -> Tone {
        if self.cause == FINE {
            Tone::Plain
        } else {
            Tone::Warn
        }
    }
}

/// The word of a cause that is none.
const FINE: &str = "none";

/// How far the data connection got in the kernel's connection table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// It is not there (any more), or could not be looked at.
    Unknown,
    /// Nobody has answered its SYN.
    Unanswered,
    /// It is established, or was.
    Established,
}

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The control connection.
    pub key: &'a SessionKey,
    /// What is known of it.
    pub session: &'a Session,
    /// Its last data connection.
    pub data: &'a Data,
    /// Settings of its interface, while that is helped.
    pub interface: Option<&'a Interface>,
    /// State of its control port.
    pub port: Option<u8>,
    /// How far an admitted data connection got.
    pub progress: Progress,
    /// `CLOCK_BOOTTIME`.
    pub now: u64,
}

/// The causes, the most likely one first. There is always one, if only the one
/// that nothing is wrong.
pub fn causes(facts: &Facts<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let has = |bits: u64| facts.session.flags & bits != 0;
    if has(flags::OPAQUE) && !has(flags::FOREIGN) {
        causes.push(encrypted(facts));
    } else {
        causes.extend(of_data(facts));
    }
    if facts.interface.is_none() {
        causes.push(
            Cause::new(
                "not_helped",
                "the interface of this control connection is not helped (any more)",
            )
            .fix("ftp-helper run -i IFACE"),
        );
    }
    if facts.port == Some(control_port::DRAINING) {
        causes.push(
            Cause::new(
                "draining_port",
                "its control port was withdrawn: this connection is helped to its end, new ones \
                 are not",
            )
            .fix(format!("ftp-helper port add {}", control_port_of(facts))),
        );
    }
    if causes.is_empty() {
        causes.push(Cause::new(FINE, "nothing is wrong as far as can be seen"));
    }
    causes
}

/// The server's port.
pub const fn server_port(key: &SessionKey, session: &Session) -> u16 {
    if is_client_inside(session) {
        key.peer.port
    } else {
        key.outside.port
    }
}

fn control_port_of(facts: &Facts<'_>) -> u16 {
    server_port(facts.key, facts.session)
}

fn last_refusal(session: &Session) -> Option<Reason> {
    Reason::from_number(session.last_refusal.checked_sub(1)?)
}

fn encrypted(facts: &Facts<'_>) -> Cause {
    let fix = if is_client_inside(facts.session) {
        "have the client use passive mode, which needs no help here; or let it leave encryption \
         with CCC (`ccc`)"
    } else {
        "give the server a fixed range of passive ports and its outside address, and forward that \
         range in the firewall; or let clients leave encryption with CCC (`ccc`)"
    };
    Cause::new(
        "encrypted",
        "the control connection is encrypted (TLS or GSSAPI): nobody but the two ends can read \
         what is announced",
    )
    .fix(fix)
}

fn of_data(facts: &Facts<'_>) -> Vec<Cause> {
    let data = facts.data;
    match data.outcome {
        Outcome::NotAnnounced => not_announced(facts),
        Outcome::Refused => data.reason.map(refused).into_iter().collect(),
        Outcome::Untouched => vec![untouched(facts)],
        Outcome::Unapproved => vec![
            Cause::new(
                "not_approved",
                "the data connection is admitted only after the server's 2xx (`strict`), and that \
                 has not come",
            )
            .fix("see what the server answered; or turn `strict` off"),
        ],
        Outcome::Waiting => waiting(facts),
        Outcome::Expired => expired(facts),
        Outcome::Admitted => vec![admitted(facts)],
        Outcome::NotAdmitted => vec![refused(Reason::ConntrackInsertFailed)],
        Outcome::RefusedByServer => vec![refused_by_server(facts)],
        Outcome::Ended => vec![
            Cause::new(
                "ended",
                "the control connection ended, or was encrypted, before the data connection came",
            )
            .fix("see why the client or the server gave up: its own log says that"),
        ],
        Outcome::Gone => vec![Cause::new(
            "withdrawn",
            "the data connection is not awaited any more: a later command, or somebody by hand, \
             took it back",
        )],
    }
}

/// A refusal, in the words of its reason.
pub fn refused(reason: Reason) -> Cause {
    let cause = Cause::new(
        reason.word(),
        format!("the announcement was not helped: {}", reason.help()),
    );
    match advice(reason) {
        Some(advice) => cause.fix(advice),
        None => cause,
    }
}

fn not_announced(facts: &Facts<'_>) -> Vec<Cause> {
    let session = facts.session;
    let has = |bits: u64| session.flags & bits != 0;
    if let Some(reason) = last_refusal(session) {
        return vec![refused(reason)];
    }
    let cause = if has(flags::REJECTED | flags::CANDIDATE) {
        Cause::new(
            "not_ftp",
            "this is a connection on another port, and it is not known to be FTP",
        )
        .fix(format!("ftp-helper port add {}", control_port_of(facts)))
    } else if has(flags::PICKED_UP) && session.helped == 0 {
        Cause::new(
            "picked_up",
            "it was taken on in the middle, and nothing was announced since; what was announced \
             before is not known, and its data connection was not helped",
        )
        .fix("have the client repeat the transfer")
    } else if !has(flags::GREETED) {
        Cause::new(
            "not_greeted",
            "the server has not greeted the client with a 220 yet",
        )
        .fix(
            "see whether the server answers at all: it may look up the client's name first, or \
             be overloaded",
        )
    } else {
        Cause::new(
            "not_announced",
            "neither end has announced a data connection lately",
        )
        .fix(
            "let the client try a transfer; a client that announces only what is encrypted, or \
             speaks another protocol, can not be helped",
        )
    };
    vec![cause]
}

fn untouched(facts: &Facts<'_>) -> Cause {
    if facts.data.reason == Some(Reason::FxpAccepted) {
        return Cause::new(
            "third_party",
            "the announcement names a third party: the data connection does not come through here",
        );
    }
    Cause::new(
        "opened_inside",
        "the inside host opens this data connection itself, and nothing had to be changed for \
         that; if it does not come about, a firewall keeps inside hosts from opening connections",
    )
    .fix("let the firewall accept it; or name the inside interface with `--inside`")
}

fn waiting(facts: &Facts<'_>) -> Vec<Cause> {
    let data = facts.data;
    let since = facts.now.saturating_sub(data.announced);
    let left = data.expires.unwrap_or(facts.now).saturating_sub(facts.now);
    let mut causes: Vec<Cause> = another_translation(facts).into_iter().collect();
    if !data.is_asked_for && data.mode != Some(Mode::Pasv) && data.mode != Some(Mode::Epsv) {
        causes.push(Cause::new(
            "not_asked_for",
            "the client has announced where it listens, and has not asked for a transfer since",
        ));
    }
    causes.push(
        Cause::new(
            "no_syn",
            format!(
                "it is awaited at {} for {}, for {} more, and no SYN has come",
                endpoint(&data.outside),
                clock::to_words(since),
                clock::to_words(left)
            ),
        )
        .fix(look_at_peer(facts)),
    );
    causes
}

fn expired(facts: &Facts<'_>) -> Vec<Cause> {
    let data = facts.data;
    let mut causes: Vec<Cause> = another_translation(facts).into_iter().collect();
    let reply = match data.reply {
        Some(code @ 400..) => format!(", and the server said {code}"),
        _ => String::new(),
    };
    causes.push(
        Cause::new(
            "no_syn",
            format!("no SYN came to {} in time{reply}", endpoint(&data.outside)),
        )
        .fix(look_at_peer(facts)),
    );
    if !data.is_asked_for {
        causes.push(Cause::new(
            "not_asked_for",
            "the client never asked for a transfer behind the announcement: it gave up, or chose \
             another mode",
        ));
    }
    causes
}

/// The peer can not reach what is announced.
fn another_translation(facts: &Facts<'_>) -> Option<Cause> {
    let interface = facts.interface?;
    let awaited = facts.data.outside;
    let kind = facts.data.mode.map_or(Kind::OTHER, Mode::kind);
    let told = announced(awaited, kind, interface);
    let peer = IpAddr::from(facts.key.peer.address);
    let address = IpAddr::from(told.address);
    if let Some(what) = private(address)
        && private(peer).is_none()
    {
        return Some(
            Cause::new(
                "another_translation",
                format!(
                    "{address} was announced ({what}) to {peer}, which is of the outer world: \
                     another router in front of this one translates the address, and the peer can \
                     not reach it"
                ),
            )
            .fix("start with --advertise IFACE=ADDRESS, the address that peers see"),
        );
    }
    (told.address != awaited.address).then(|| {
        Cause::new(
            "advertised",
            format!(
                "{address} is announced (`advertise`) in the place of {}: whoever has it must send \
                 port {} on to this gateway",
                IpAddr::from(awaited.address),
                told.port
            ),
        )
        .fix("see that the router with that address forwards the ports of `port-range`")
    })
}

fn look_at_peer(facts: &Facts<'_>) -> String {
    let IpSide { who, address } = opener(facts);
    format!(
        "see whether {who} ({address}) sends it: its own firewall, or one between, may keep it from \
         opening connections to {}; `tcpdump -ni IFACE tcp port {}` on the outside interface shows \
         what comes",
        endpoint(&facts.data.outside),
        facts.data.outside.port
    )
}

struct IpSide {
    who: &'static str,
    address: IpAddr,
}

/// Who opens the data connection.
fn opener(facts: &Facts<'_>) -> IpSide {
    let leads_to_peer = facts.data.outside.address == facts.key.peer.address
        || facts.data.outside.address == facts.session.seen_peer.address;
    let by_client = matches!(facts.data.mode, Some(Mode::Pasv | Mode::Epsv));
    IpSide {
        who: if by_client {
            "the client"
        } else {
            "the server"
        },
        address: if leads_to_peer {
            facts.session.inside.address.into()
        } else {
            facts.key.peer.address.into()
        },
    }
}

fn admitted(facts: &Facts<'_>) -> Cause {
    let data = facts.data;
    let since = facts.now.saturating_sub(data.arrived.unwrap_or(facts.now));
    let ago = clock::to_words(since);
    let said = match data.reply {
        Some(code @ 400..) => format!("; the server said {code}"),
        _ => String::new(),
    };
    let failed = !said.is_empty();
    let is_unanswered = match facts.progress {
        Progress::Established => false,
        Progress::Unanswered => failed || since > LONG,
        Progress::Unknown => data.reply == Some(NO_DATA_CONNECTION),
    };
    if is_unanswered {
        return Cause::new(
            "admitted_unanswered",
            format!(
                "the SYN came {ago} ago and was admitted, but nobody answered it: what is behind \
                 the outside interface dropped it{said}"
            ),
        )
        .fix(format!(
            "see that the firewall forwards `ct state established` to {}, that the host listens \
             there, and that forwarding is on (`ftp-helper doctor`)",
            endpoint(&data.inside)
        ));
    }
    if failed {
        return Cause::new(
            "failed",
            format!("the data connection came {ago} ago and was admitted{said}"),
        )
        .fix("see the server's log for what it did not like about the transfer itself");
    }
    let text = match data.reply {
        Some(code) => {
            format!("the data connection came and was admitted, and the server said {code}")
        }
        None => {
            format!("the data connection came {ago} ago and was admitted; the transfer goes on")
        }
    };
    Cause::new(FINE, text)
}

fn refused_by_server(facts: &Facts<'_>) -> Cause {
    let code = last_refusing_reply(facts.session);
    let code = code.map_or_else(|| "an error".to_owned(), |code| code.to_string());
    let cause = Cause::new(
        "refused_by_server",
        format!("the server answered the announcement with {code}"),
    );
    match another_translation(facts) {
        Some(other) => Cause {
            text: format!("{}; {}", cause.text, other.text),
            fix: other.fix,
            ..cause
        },
        None => cause.fix(
            "see the server's log: it may refuse this mode, an address that is not the one of the \
             control connection, or the user",
        ),
    }
}

fn last_refusing_reply(session: &Session) -> Option<u16> {
    let replies = session.journal.iter().map(|entry| entry.code);
    replies.filter(|code| *code >= 400).last()
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::{
        address::{Address, Endpoint},
        expectation::Expectation,
        journal::{Entry, Moment, origin},
    };

    use super::{
        super::data::tests::{at, port, server, session},
        *,
    };

    struct Case {
        key: SessionKey,
        session: Session,
        interface: Option<Interface>,
        port: Option<u8>,
        progress: Progress,
        expectation: Option<Expectation>,
    }

    /// A client inside has announced, and nothing is wrong so far.
    fn case(entries: &[Entry]) -> Case {
        let mut session = session(entries);
        session.flags |= flags::CLIENT_INSIDE | flags::GREETED | flags::EXPECTING;
        session.inside = Endpoint::new(Address::from_v4([10, 0, 0, 2]), 40000);
        Case {
            key: SessionKey {
                outside: at(1, 40000),
                peer: at(2, 21),
            },
            session,
            interface: Some(Interface::default()),
            port: Some(control_port::OPEN),
            progress: Progress::Unknown,
            expectation: Some(Expectation {
                expires: clock::seconds(60),
                ..Expectation::default()
            }),
        }
    }

    fn found(case: &Case) -> Vec<Cause> {
        let now = clock::seconds(50);
        causes(&Facts {
            key: &case.key,
            session: &case.session,
            data: &Data::of(&case.session, case.expectation.as_ref(), now),
            interface: case.interface.as_ref(),
            port: case.port,
            progress: case.progress,
            now,
        })
    }

    fn words(case: &Case) -> Vec<&'static str> {
        found(case).iter().map(|cause| cause.cause).collect()
    }

    fn helped() -> Vec<Entry> {
        vec![port(Reason::AnnouncementRewritten), server(200)]
    }

    fn asked() -> Entry {
        Entry {
            verb: u32::from_be_bytes(*b"RETR"),
            origin: origin::CLIENT,
            ..Entry::default()
        }
    }

    fn outcome(reason: Reason) -> Entry {
        Entry {
            origin: origin::OTHER,
            ..port(reason)
        }
    }

    #[test]
    fn nothing_came_yet() {
        let mut case = case(&helped());
        assert_eq!(words(&case), ["not_asked_for", "no_syn"]);
        *case.session.journal.append() = Entry {
            time: Moment::at(9 << 10),
            ..asked()
        };
        assert_eq!(words(&case), ["no_syn"]);
        assert!(
            found(&case)[0].text.contains("for 10s more"),
            "{:?}",
            found(&case)
        );
        case.expectation = None;
        assert_eq!(words(&case), ["no_syn"]);
        assert!(
            found(&case)[0].text.contains("in time"),
            "{:?}",
            found(&case)
        );
    }

    #[test]
    fn an_address_that_nobody_can_reach() {
        let mut entries = helped();
        entries[0].outside = Endpoint::new(Address::from_v4([192, 168, 1, 2]), 45678);
        entries.push(asked());
        let mut case = case(&entries);
        assert_eq!(words(&case), ["another_translation", "no_syn"]);
        let fix = found(&case)[0].fix.clone().unwrap();
        assert!(fix.contains("--advertise"), "{fix}");
        // Both are of the same private world.
        case.key.peer = Endpoint::new(Address::from_v4([192, 168, 1, 3]), 21);
        assert_eq!(words(&case), ["no_syn"]);
        case.interface = Some(Interface {
            advertise: Address::from_v4([198, 51, 100, 7]),
            ..Interface::default()
        });
        assert_eq!(words(&case), ["advertised", "no_syn"]);
    }

    #[test]
    fn what_was_refused_says_why_and_what_to_do() {
        let mut case = case(&[port(Reason::LowPort), server(500)]);
        case.session.last_refusal = Reason::LowPort as u8 + 1;
        let causes = found(&case);
        assert_eq!(causes.len(), 1);
        assert_eq!(causes[0].cause, "low_port");
        assert!(causes[0].fix.as_ref().unwrap().contains("1024"));
        case.session = session(&[]);
        assert_eq!(words(&case), ["not_greeted"]);
        case.session.flags = flags::GREETED;
        assert_eq!(words(&case), ["not_announced"]);
        case.session.flags = flags::GREETED | flags::PICKED_UP;
        assert_eq!(words(&case), ["picked_up"]);
        case.session.flags = flags::GREETED | flags::OPAQUE;
        assert_eq!(words(&case), ["encrypted"]);
        for reason in [Reason::NotFtp, Reason::Unseen] {
            case.session.flags |= flags::FOREIGN;
            case.session.last_refusal = reason as u8 + 1;
            assert_eq!(words(&case), [reason.word()]);
        }
    }

    #[test]
    fn an_admitted_connection_may_still_fail() {
        let mut entries = helped();
        entries.extend([asked(), outcome(Reason::ExpectationMatched)]);
        let mut running = case(&entries);
        assert_eq!(words(&running), ["none"]);
        running.progress = Progress::Established;
        assert_eq!(words(&running), ["none"]);
        running.progress = Progress::Unanswered;
        assert_eq!(words(&running), ["admitted_unanswered"]);
        entries.push(server(425));
        let mut failed = case(&entries);
        assert_eq!(words(&failed), ["admitted_unanswered"]);
        failed.progress = Progress::Established;
        assert_eq!(words(&failed), ["failed"]);
        entries.pop();
        entries.push(server(550));
        assert_eq!(words(&case(&entries)), ["failed"]);
        entries.pop();
        entries.push(server(226));
        assert_eq!(words(&case(&entries)), ["none"]);
    }

    #[test]
    fn the_server_may_not_want_it() {
        let torn = outcome(Reason::ExpectationTornDown);
        let case = case(&[port(Reason::AnnouncementRewritten), server(501), torn]);
        let causes = found(&case);
        assert_eq!(causes[0].cause, "refused_by_server");
        assert!(causes[0].text.contains("501"), "{causes:?}");
    }

    #[test]
    fn what_is_around_it_is_said_too() {
        let mut case = case(&helped());
        case.port = Some(control_port::DRAINING);
        assert!(words(&case).contains(&"draining_port"));
        case.interface = None;
        assert!(words(&case).contains(&"not_helped"));
    }

    #[test]
    fn only_problems_that_the_doctor_finds_are_causes() {
        let warning = Finding::warn("wan0", "it is so", "do this");
        let cause = Cause::found(&warning).unwrap();
        assert_eq!(cause.text, "wan0: it is so");
        assert_eq!(cause.fix.as_deref(), Some("do this"));
        assert_eq!(Cause::found(&Finding::ok("wan0", "fine")), None);
        assert_eq!(Cause::found(&Finding::skip("wan0", "no nft")), None);
    }
}
