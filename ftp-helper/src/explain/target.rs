//! Which control connection is meant.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use anyhow::{Context as _, Result};
use ftp_helper_common::{
    address::{Address, Endpoint},
    expectation::{Expectation, ExpectationKey},
    session::{Session, SessionKey},
};

use crate::inspect::{
    expectation::leads_to,
    session::{has_end, is_client_inside},
};

/// What names a control connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// Both of its ends.
    Ends(SocketAddr, SocketAddr),
    /// An end of it, or of one of its data connections.
    End(SocketAddr),
    /// Its client.
    Client(IpAddr),
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let end = |text: &str| {
            let text = text.trim();
            text.parse::<SocketAddr>()
                .with_context(|| format!("`{text}` is no ADDRESS:PORT"))
        };
        if let Some((one, other)) = text.split_once("<->") {
            return Ok(Self::Ends(end(one)?, end(other)?));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Client(address));
        }
        end(text)
            .map(Self::End)
            .context("it looks like 203.0.113.1:40000<->203.0.113.2:21, 10.0.0.2:40000 or 10.0.0.2")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends(one, other) => write!(f, "{one}<->{other}"),
            Self::End(end) => end.fmt(f),
            Self::Client(address) => address.fmt(f),
        }
    }
}

fn endpoint(end: &SocketAddr) -> Endpoint {
    Endpoint::new(end.ip().into(), end.port())
}

impl Target {
    /// True for the control connection itself.
    pub fn is(&self, key: &SessionKey, session: &Session) -> bool {
        match self {
            Self::Ends(one, other) => {
                let is = |one: &SocketAddr, other: &SocketAddr| {
                    let (one, other) = (endpoint(one), endpoint(other));
                    (one == key.outside || one == session.inside)
                        && (other == key.peer || other == session.seen_peer)
                };
                is(one, other) || is(other, one)
            }
            Self::End(end) => has_end(key, session, &endpoint(end)),
            Self::Client(address) => {
                let address = Address::from(*address);
                let (one, other) = if is_client_inside(session) {
                    (session.inside, key.outside)
                } else {
                    (key.peer, session.seen_peer)
                };
                one.address == address || other.address == address
            }
        }
    }

    /// True for a control connection that announced a data connection with this
    /// end.
    pub fn is_announced_by(&self, session: &Session) -> bool {
        let Self::End(end) = self else {
            return false;
        };
        let end = endpoint(end);
        let mut entries = session.journal.iter();
        entries.any(|entry| entry.inside == end || entry.outside == end)
    }

    /// True for an awaited data connection with this end.
    pub fn is_awaited(&self, key: &ExpectationKey, expectation: &Expectation) -> bool {
        matches!(self, Self::End(end) if leads_to(key, expectation, &endpoint(end)))
    }

    /// The ports that could be control ports.
    pub fn ports(&self) -> Vec<u16> {
        match self {
            Self::Ends(one, other) => vec![one.port(), other.port()],
            Self::End(end) => vec![end.port()],
            Self::Client(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::session::flags;

    use super::{super::data::tests as data, *};
    use crate::explain::data::tests::at;
    use ftp_helper_common::reason::Reason;

    fn sample() -> (SessionKey, Session) {
        let key = SessionKey {
            outside: at(1, 40000),
            peer: at(2, 21),
        };
        let mut session = data::session(&[data::port(Reason::AnnouncementRewritten)]);
        session.inside = Endpoint::new(Address::from_v4([10, 0, 0, 2]), 40000);
        session.seen_peer = key.peer;
        session.flags |= flags::CLIENT_INSIDE;
        (key, session)
    }

    #[test]
    fn a_session_goes_by_many_names() {
        let (key, session) = sample();
        for (text, wanted) in [
            ("203.0.113.1:40000<->203.0.113.2:21", true),
            ("203.0.113.2:21<->203.0.113.1:40000", true),
            ("10.0.0.2:40000 <-> 203.0.113.2:21", true),
            ("10.0.0.2:40000<->203.0.113.1:40000", false),
            ("10.0.0.2:40000", true),
            ("203.0.113.2:21", true),
            ("203.0.113.2:22", false),
            ("10.0.0.2", true),
            ("203.0.113.1", true),
            ("203.0.113.2", false),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.is(&key, &session), wanted, "{text}");
        }
        for (text, wanted) in [
            ("203.0.113.1:45678", true),
            ("203.0.113.9:45678", true),
            ("203.0.113.1:45679", false),
            ("203.0.113.1", false),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.is_announced_by(&session), wanted, "{text}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused_with_an_example() {
        for text in ["", "x", "10.0.0.2:", "10.0.0.2:1<->", "10.0.0.2:99999"] {
            let error = format!("{:#}", text.parse::<Target>().unwrap_err());
            assert!(error.contains("ADDRESS:PORT"), "{error}");
        }
        let target: Target = "[2001:db8::1]:21".parse().unwrap();
        assert_eq!(target.to_string(), "[2001:db8::1]:21");
        assert_eq!(target.ports(), [21]);
    }
}
