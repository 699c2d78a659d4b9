//! What the administrator of the gateway has set.

use ftp_helper_common::{
    address::Address,
    expectation::ExpectationKey,
    grammar::Kind,
    interface::flags,
    session::{Direction, Session, flags as session_flags},
};

use super::Gateway;

/// Third parties that may take part in transfers, where that is on, as networks.
pub const THIRD_PARTIES: [&str; 2] = ["198.51.100.8/29", "fd00::8/125"];

/// Ports that nobody may announce, where some are denied.
pub const DENIED: [u16; 2] = [6000, 45_679];

/// Ports that are taken outside, where some are.
pub const TAKEN: [u16; 4] = [45_678, 1024, 1025, 2000];

/// The port that is used instead: only one, so that the choice is none of chance. It
/// may be taken as well.
pub const SPARE: u16 = 50_123;

/// Which outside ports a data connection can get.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ports {
    /// Every one is free.
    #[default]
    Free,
    /// Those of [`TAKEN`] are not; [`SPARE`] is.
    OneSpare,
    /// Neither is.
    NoSpare,
}

impl Ports {
    /// The outside port for this announced one.
    pub(super) fn choose(self, announced: u16) -> Option<u16> {
        if self == Self::Free || !self.taken().contains(&announced) {
            return Some(announced);
        }
        (self == Self::OneSpare).then_some(SPARE)
    }

    /// All that are taken.
    pub fn taken(self) -> Vec<u16> {
        match self {
            Self::Free => Vec::new(),
            Self::OneSpare => TAKEN.to_vec(),
            Self::NoSpare => [&TAKEN[..], &[SPARE]].concat(),
        }
    }
}

/// Settings.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// Bits of the [interface's flags](ftp_helper_common::interface::flags).
    pub flags: u16,
    /// The address to announce, `::` for the packet's own.
    pub advertise: Address,
    /// [`DENIED`] ports may not be announced.
    pub denies: bool,
    /// Which outside ports are free.
    pub ports: Ports,
}

impl Rules {
    /// True when this bit is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Whether this third party may take part in transfers.
    pub fn allows(&self, address: &Address) -> bool {
        let bytes = address.as_bytes();
        let is_v4 = address.is_v4() && bytes[12..15] == [198, 51, 100] && bytes[15] & 0xf8 == 8;
        let is_v6 = bytes[..2] == [0xfd, 0]
            && bytes[2..15].iter().all(|byte| *byte == 0)
            && bytes[15] & 0xf8 == 8;
        self.has(flags::FXP) && (is_v4 || is_v6)
    }
}

/// A data connection that is awaited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Awaited {
    /// From and to where.
    pub key: ExpectationKey,
    /// The server has not agreed yet, and has to.
    pub is_unapproved: bool,
    /// The inside host opens it.
    pub is_outgoing: bool,
}

/// What becomes of a SYN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Knocked {
    /// Nobody awaits it.
    Unknown,
    /// It is awaited, but not before the server agrees.
    TooEarly,
    /// It is let in.
    In,
}

impl Gateway {
    /// A SYN comes in from outside.
    pub fn knock(&mut self, knock: ExpectationKey) -> Knocked {
        let Some(awaited) = self.awaited else {
            return Knocked::Unknown;
        };
        let is_for = |source: Address| ExpectationKey { source, ..knock } == awaited.key;
        let is_awaited = if is_for(knock.source) {
            // An inside host is not a peer, and a peer is not an inside host.
            awaited.is_outgoing == self.rules.has(flags::INSIDE)
        } else {
            let is_allowed =
                knock.source == self.key.peer.address || self.rules.allows(&knock.source);
            self.rules.has(flags::FXP) && is_for(Address::UNSPECIFIED) && is_allowed
        };
        match (is_awaited, awaited.is_unapproved) {
            (false, _) => Knocked::Unknown,
            (true, true) => Knocked::TooEarly,
            (true, false) => {
                self.awaited = None;
                Knocked::In
            }
        }
    }

    /// The server agreed to what was announced.
    pub(super) fn approve(&mut self, session: &Session) {
        if session.flags & session_flags::EXPECTING != 0
            && let Some(awaited) = &mut self.awaited
        {
            awaited.is_unapproved = false;
        }
    }

    /// A data connection is awaited from now on.
    pub(super) fn expect(
        &mut self,
        session: &mut Session,
        kind: Kind,
        direction: Direction,
        key: ExpectationKey,
    ) {
        let is_command = kind == Kind::PORT || kind == Kind::EPRT;
        self.awaited = Some(Awaited {
            key,
            is_unapproved: is_command && self.rules.has(flags::STRICT),
            is_outgoing: direction == Direction::Ingress,
        });
        session.expectation = key;
        session.flags |= session_flags::EXPECTING;
        session.helped = session.helped.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn third_parties_are_those_of_the_networks() {
        let rules = Rules {
            flags: flags::FXP,
            ..Rules::default()
        };
        for (text, allowed) in [
            ("198.51.100.8", true),
            ("198.51.100.15", true),
            ("198.51.100.7", false),
            ("198.51.100.16", false),
            ("fd00::9", true),
            ("fd00::10", false),
            ("fd00::1:9", false),
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(rules.allows(&address.into()), allowed, "{text}");
            assert!(!Rules::default().allows(&address.into()), "{text}");
        }
    }
}
