//! What is said, by whom, and in which segments.

use std::{fmt, net::IpAddr};

use ftp_helper_common::{
    grammar::{Kind, Role},
    session::{Direction, Session, flags},
};

use crate::packets::flow::Flow;

/// Commands that the client has sent, and their number when it asked for what is
/// outstanding: more than a case has replies, so that none of them is the last.
const COMMANDS: u16 = 50_000;

/// First sequence number of both sides; the numbers wrap around soon.
const START: u32 = u32::MAX - 60;

/// Longest segment. The kernel takes test packets of a page at most.
const LONGEST: usize = 1200;

/// Who speaks, and which way: every program has to know both roles.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// Who sends the lines.
    pub role: Role,
    /// Which program reads them.
    pub direction: Direction,
    /// IPv6.
    pub is_v6: bool,
    /// Inside and outside address of the inside host are one.
    pub is_plain: bool,
}

impl Place {
    /// Every place with translation.
    pub const TRANSLATED: [Self; 8] = {
        let mut places = [Self::new(Role::Client, Direction::Egress, false); 8];
        places[1] = Self::new(Role::Server, Direction::Egress, false);
        places[2] = Self::new(Role::Client, Direction::Egress, true);
        places[3] = Self::new(Role::Server, Direction::Egress, true);
        places[4] = Self::new(Role::Client, Direction::Ingress, false);
        places[5] = Self::new(Role::Server, Direction::Ingress, false);
        places[6] = Self::new(Role::Client, Direction::Ingress, true);
        places[7] = Self::new(Role::Server, Direction::Ingress, true);
        places
    };

    const fn new(role: Role, direction: Direction, is_v6: bool) -> Self {
        Self {
            role,
            direction,
            is_v6,
            is_plain: false,
        }
    }

    /// The connection; who speaks has the address `own`, and the inside host is
    /// known by `outside`, if that is given.
    pub fn flow(self, own: Option<IpAddr>, outside: Option<IpAddr>) -> Flow {
        let client_inside = (self.role == Role::Client) == (self.direction == Direction::Egress);
        let mut flow = match (client_inside, self.is_v6) {
            (true, false) => Flow::client_inside(START),
            (true, true) => Flow::client_inside_v6(START),
            (false, false) => Flow::server_inside(START),
            (false, true) => Flow::server_inside_v6(START),
        };
        if let Some(own) = own {
            match self.direction {
                Direction::Egress => flow.inside.set_ip(own),
                Direction::Ingress => {
                    flow.peer.set_ip(own);
                    flow.seen_peer.set_ip(own);
                }
            }
        }
        if let Some(outside) = outside {
            flow.outside.set_ip(outside);
        }
        if self.is_plain {
            flow.outside.set_ip(flow.inside.ip());
        }
        flow
    }
}

/// What the session already knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Before {
    /// The server said 220.
    pub greeted: bool,
    /// `EPSV ALL` was accepted.
    pub epsv_all: bool,
    /// What the client asked for last.
    pub asked: Kind,
}

impl Before {
    /// Everything that an announcement needs.
    pub const READY: Self = Self {
        greeted: true,
        epsv_all: false,
        asked: Kind::PASV,
    };

    /// The flow's session.
    pub fn session(self, flow: &Flow) -> Session {
        let mut session = flow.session();
        if !self.greeted {
            session.flags &= !flags::GREETED;
        }
        if self.epsv_all {
            session.flags |= flags::EPSV_ALL;
        }
        session.commands = COMMANDS;
        session.outstanding = self.asked.0;
        session.outstanding_at = COMMANDS;
        session
    }
}

/// Where the stream is cut into segments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cuts {
    /// Behind every line.
    Lines,
    /// Nowhere.
    None,
    /// In two, behind so many bytes; modulo the length of the stream.
    At(usize),
    /// Behind so many bytes, again and again.
    Every(usize),
}

/// A part of one direction of a control connection.
#[derive(Clone, Eq, PartialEq)]
pub struct Case {
    /// Who speaks, and which way.
    pub place: Place,
    /// Address of who speaks, if not the usual one.
    pub own: Option<IpAddr>,
    /// Address by which the inside host is known, if not the usual one.
    pub outside: Option<IpAddr>,
    /// What was before.
    pub before: Before,
    /// What is said.
    pub stream: Vec<u8>,
    /// Where it is cut.
    pub cuts: Cuts,
}

impl Case {
    /// The connection.
    pub fn flow(&self) -> Flow {
        self.place.flow(self.own, self.outside)
    }

    /// Ends of the segments, by position behind the first byte.
    pub fn ends(&self) -> Vec<usize> {
        let len = self.stream.len();
        let lines = || {
            let bytes = self.stream.iter().enumerate();
            bytes.filter_map(|(index, byte)| (*byte == b'\n').then_some(index + 1))
        };
        let mut ends: Vec<usize> = match self.cuts {
            Cuts::Lines => lines().collect(),
            Cuts::None => Vec::new(),
            Cuts::At(position) => vec![position % len.max(1)],
            Cuts::Every(bytes) => (0..len).step_by(bytes.max(1)).collect(),
        };
        ends.push(len);
        ends.extend((0..len).step_by(LONGEST));
        ends.retain(|end| *end > 0);
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flow = self.flow();
        writeln!(formatter, "{:?}, {:?}", self.place, self.before)?;
        writeln!(
            formatter,
            "  inside {}, outside {}, peer {}",
            flow.inside, flow.outside, flow.peer
        )?;
        let mut start = 0;
        for end in self.ends() {
            let segment = self.stream[start..end].escape_ascii();
            writeln!(formatter, "  segment \"{segment}\"")?;
            start = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(stream: &str, cuts: Cuts) -> Vec<usize> {
        let case = Case {
            place: Place::TRANSLATED[0],
            own: None,
            outside: None,
            before: Before::READY,
            stream: stream.into(),
            cuts,
        };
        case.ends()
    }

    #[test]
    fn a_stream_is_cut_where_it_should_be() {
        assert_eq!(segments("one\ntwo\nthr", Cuts::Lines), [4, 8, 11]);
        assert_eq!(segments("one\ntwo\n", Cuts::Lines), [4, 8]);
        assert_eq!(segments("one\ntwo\n", Cuts::None), [8]);
        assert_eq!(segments("one\ntwo\n", Cuts::At(2)), [2, 8]);
        assert_eq!(segments("one\ntwo\n", Cuts::At(8)), [8]);
        assert_eq!(segments("one\ntwo\n", Cuts::At(9)), [1, 8]);
        assert_eq!(segments("one\ntwo\n", Cuts::Every(3)), [3, 6, 8]);
        assert_eq!(segments("", Cuts::None), [0; 0]);
        assert_eq!(segments(&"x".repeat(3000), Cuts::None), [1200, 2400, 3000]);
    }

    #[test]
    fn every_place_speaks_the_way_it_says() {
        for place in Place::TRANSLATED {
            let flow = place.flow(None, None);
            assert_eq!(flow.session().role(place.direction), place.role);
            assert_eq!(flow.peer.is_ipv6(), place.is_v6);
        }
    }
}
