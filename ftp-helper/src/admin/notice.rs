//! What is told of an event.

use std::net::{IpAddr, SocketAddr};

use ftp_helper_common::{
    address::Endpoint, event::Event, grammar::Kind, interface::Interface, reason::Reason,
};
use serde::{Deserialize, Serialize};

use super::word::Word;
use crate::{
    clock,
    device::Device,
    inspect::{mode::Mode, session::is_client_inside},
    output::endpoint,
};

/// What is told of an event.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Notice {
    /// When it happened: RFC 3339, UTC.
    pub time: String,
    /// In one word.
    pub event: Word,
    /// Word of the [`Reason`].
    pub reason: String,
    /// How the data connection is announced: `PORT`, `EPRT`, `PASV` or `EPSV`.
    pub mode: Option<String>,
    /// Name of the interface.
    pub interface: String,
    /// The control connection.
    pub session: Option<Session>,
    /// Where the data connection comes from; nothing for everything else, and when
    /// it may come from several addresses.
    pub source: Option<IpAddr>,
    /// What was announced, or where the data connection leads.
    pub inside: Option<String>,
    /// What it became, or where the data connection is awaited.
    pub outside: Option<String>,
}

/// A control connection as it is seen outside.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Session {
    /// Our side.
    pub outside: String,
    /// The far side.
    pub peer: String,
    /// The inside host's own end.
    pub inside: Option<String>,
    /// True when the client is the inside host.
    pub client_inside: Option<bool>,
}

/// What an event does not tell itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    /// Settings of its interface.
    pub interface: Option<Interface>,
    /// Its control connection.
    pub session: Option<ftp_helper_common::session::Session>,
}

impl Notice {
    /// What is told of an event: one notice or two, as an announcement that is
    /// helped makes an expectation in the same moment.
    pub fn of(event: &Event, surroundings: &Surroundings) -> Vec<Self> {
        let Some(reason) = Reason::from_number(event.reason) else {
            return Vec::new();
        };
        let mut notice = Self::new(event, reason, surroundings);
        if reason == Reason::AnnouncementRewritten
            && let Some(interface) = &surroundings.interface
        {
            notice.outside = known(&announced(event.outside, Kind(event.kind), interface));
        }
        let mut notices = vec![notice];
        if creates(event, reason) {
            let created = Self::new(event, Reason::ExpectationCreated, surroundings);
            notices.push(created);
        }
        notices
    }

    fn new(event: &Event, reason: Reason, surroundings: &Surroundings) -> Self {
        let session = &event.session;
        let known_session = surroundings.session.as_ref();
        let source = Some(event.source).filter(|source| !source.is_unspecified());
        Self {
            time: clock::to_timestamp(event.time),
            event: Word::of(reason),
            reason: reason.word().to_owned(),
            mode: Mode::of(Kind(event.kind)).map(|mode| mode.word().to_owned()),
            interface: Device::name_of(event.ifindex),
            session: known(&session.outside).map(|outside| Session {
                outside,
                peer: endpoint(&session.peer),
                inside: known_session.and_then(|session| known(&session.inside)),
                client_inside: known_session.map(is_client_inside),
            }),
            source: source.map(IpAddr::from),
            inside: known(&event.inside),
            outside: known(&event.outside),
        }
    }

    /// The reason, if this version knows it.
    pub fn known_reason(&self) -> Option<Reason> {
        let mut reasons = Reason::ALL.iter();
        reasons.find(|reason| reason.word() == self.reason).copied()
    }

    /// How the data connection is announced.
    pub fn mode(&self) -> Option<Mode> {
        let modes = [Mode::Port, Mode::Eprt, Mode::Pasv, Mode::Epsv];
        let word = self.mode.as_deref()?;
        modes.into_iter().find(|mode| mode.word() == word)
    }
}

/// What is announced for an expectation at this endpoint: an interface may
/// announce another address than the one that packets leave with.
pub fn announced(awaited: Endpoint, kind: Kind, interface: &Interface) -> Endpoint {
    // A 229 carries no address.
    if kind == Kind::REPLY_229 {
        awaited
    } else {
        Endpoint::new(interface.announces(awaited.address), awaited.port)
    }
}

/// True for the events with which a data connection begins to be awaited. One
/// that is accepted without being awaited names the control connection's own
/// endpoint.
fn creates(event: &Event, reason: Reason) -> bool {
    match reason {
        Reason::AnnouncementRewritten => true,
        Reason::AnnouncementAccepted => event.outside != event.session.outside,
        _ => false,
    }
}

fn known(value: &Endpoint) -> Option<String> {
    let is_known = !value.address.is_unspecified() || value.port != 0;
    is_known.then(|| endpoint(value))
}

/// An endpoint that was written by [`endpoint`].
pub fn parse_endpoint(text: &str) -> Option<Endpoint> {
    if let Ok(at) = text.parse::<SocketAddr>() {
        return Some(Endpoint::new(at.ip().into(), at.port()));
    }
    let address: IpAddr = text.parse().ok()?;
    Some(Endpoint::new(address.into(), 0))
}

#[cfg(test)]
pub(crate) mod tests {
    use ftp_helper_common::{address::Address, session::SessionKey};

    use super::*;

    fn at(address: [u8; 4], port: u16) -> Endpoint {
        Endpoint::new(Address::from_v4(address), port)
    }

    pub(crate) fn event(reason: Reason) -> Event {
        Event {
            time: 1,
            session: SessionKey {
                outside: at([203, 0, 113, 1], 40000),
                peer: at([203, 0, 113, 2], 21),
            },
            inside: at([10, 0, 0, 2], 45678),
            outside: at([203, 0, 113, 1], 45679),
            source: Address::from_v4([203, 0, 113, 2]),
            reason: reason as u8,
            kind: Kind::PORT.0,
            ifindex: 0x7fff_0000,
            ..Event::default()
        }
    }

    #[test]
    fn a_rewrite_also_makes_an_expectation() {
        let words = |event: &Event| -> Vec<Word> {
            let nothing = Surroundings::default();
            Notice::of(event, &nothing)
                .iter()
                .map(|it| it.event)
                .collect()
        };
        let rewritten = event(Reason::AnnouncementRewritten);
        assert_eq!(words(&rewritten), [Word::Rewrite, Word::New]);
        let mut accepted = event(Reason::AnnouncementAccepted);
        assert_eq!(words(&accepted), [Word::Accepted, Word::New]);
        accepted.outside = accepted.session.outside;
        assert_eq!(words(&accepted), [Word::Accepted]);
        assert_eq!(words(&event(Reason::ExpectationMatched)), [Word::Used]);
        let mut unknown = event(Reason::LowPort);
        unknown.reason = 254;
        assert_eq!(words(&unknown), []);
    }

    #[test]
    fn what_is_announced_and_where_it_is_awaited_may_differ() {
        let elsewhere = Surroundings {
            interface: Some(Interface {
                advertise: Address::from_v4([198, 51, 100, 7]),
                ..Interface::default()
            }),
            session: None,
        };
        let mut event = event(Reason::AnnouncementRewritten);
        let notices = Notice::of(&event, &elsewhere);
        assert_eq!(notices[0].outside.as_deref(), Some("198.51.100.7:45679"));
        assert_eq!(notices[1].outside.as_deref(), Some("203.0.113.1:45679"));
        // It carries no address.
        event.kind = Kind::REPLY_229.0;
        let notices = Notice::of(&event, &elsewhere);
        assert_eq!(notices[0].outside.as_deref(), Some("203.0.113.1:45679"));
    }

    #[test]
    fn a_notice_survives_its_way() {
        let notice = Notice::of(&event(Reason::LowPort), &Surroundings::default()).remove(0);
        let text = serde_json::to_string(&notice).unwrap();
        assert_eq!(serde_json::from_str::<Notice>(&text).unwrap(), notice);
        assert_eq!(notice.known_reason(), Some(Reason::LowPort));
        assert_eq!(notice.mode(), Some(Mode::Port));
    }

    #[test]
    fn endpoints_are_read_as_they_are_written() {
        for text in ["10.0.0.2:21", "[2001:db8::2]:21", "10.0.0.2", "2001:db8::2"] {
            let parsed = parse_endpoint(text).unwrap();
            assert_eq!(endpoint(&parsed), text);
        }
        assert_eq!(parse_endpoint("x"), None);
    }
}
