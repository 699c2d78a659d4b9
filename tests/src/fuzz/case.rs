//! Packets in order, and what they start from.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail, ensure};
use ftp_helper_common::{
    grammar::Kind,
    session::{Direction, Session},
};
use ftp_helper_model::gateway::rules::{Ports, Rules};

use crate::packets::flow::Flow;

/// Commands that the peer's client has sent, where replies are the matter; more than a
/// case has replies.
const ASKED: u16 = 50_000;

/// In the order of their numbers in a text.
const PORTS: [Ports; 3] = [Ports::Free, Ports::OneSpare, Ports::NoSpare];

/// A packet on its way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// Which program gets it.
    pub direction: Direction,
    /// Size of the segments that the packet was merged from, 0 for one that was not.
    pub merged: u32,
    /// From its Ethernet header on.
    pub packet: Vec<u8>,
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The connection.
    pub flow: Flow,
    /// Its session is in the table already.
    pub is_known: bool,
    /// Flags that the session has beside those of a greeted one.
    pub flags: u64,
    /// What the administrator has set.
    pub rules: Rules,
    /// Most bytes of a packet behind the link header.
    pub mtu: u32,
    /// The packets.
    pub steps: Vec<Step>,
}

impl Case {
    /// The session at the start.
    pub fn session(&self) -> Option<Session> {
        let mut session = self.flow.session();
        session.flags |= self.flags;
        if !self.flow.client_inside {
            session.commands = ASKED;
            session.outstanding = Kind::PASV.0;
            session.outstanding_at = ASKED;
        }
        self.is_known.then_some(session)
    }

    /// As text, a packet a line; [`Self::from_str`] reads it.
    pub fn text(&self) -> String {
        let flow = &self.flow;
        let mut text = format!(
            "inside {}\noutside {}\npeer {}\nclient_inside {}\negress {}\ningress {}\nknown {}\nflags {}\nmtu {}\n",
            flow.inside,
            flow.outside,
            flow.peer,
            flow.client_inside,
            flow.egress_start,
            flow.ingress_start,
            self.is_known,
            self.flags,
            self.mtu
        );
        let rules = &self.rules;
        let ports = PORTS.iter().position(|it| *it == rules.ports);
        // Writing to a `String` can not fail.
        let _ = writeln!(
            text,
            "settings {}\nadvertise {}\ndenies {}\nports {}",
            rules.flags,
            IpAddr::from(rules.advertise),
            rules.denies,
            ports.unwrap_or_default()
        );
        for step in &self.steps {
            let word = match step.direction {
                Direction::Egress => "out",
                Direction::Ingress => "in",
            };
            text.push_str(word);
            if step.merged > 0 {
                // Writing to a `String` can not fail.
                let _ = write!(text, "/{}", step.merged);
            }
            text.push(' ');
            for byte in &step.packet {
                // Writing to a `String` can not fail.
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\n');
        }
        text
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut case = Self {
            flow: Flow::client_inside(0),
            is_known: true,
            flags: 0,
            rules: Rules::default(),
            mtu: 1500,
            steps: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let number = index + 1;
            case.read(line).with_context(|| format!("line {number}"))?;
        }
        ensure!(!case.steps.is_empty(), "the case has no packets");
        Ok(case)
    }
}

impl Case {
    fn read(&mut self, line: &str) -> Result<()> {
        let (word, value) = line.split_once(' ').context("a word and a value")?;
        let (word, merged) = match word.split_once('/') {
            Some((word, size)) => (word, size.parse()?),
            None => (word, 0),
        };
        let flow = &mut self.flow;
        match word {
            "inside" => flow.inside = value.parse()?,
            "outside" => flow.outside = value.parse()?,
            "peer" => {
                flow.peer = value.parse::<SocketAddr>()?;
                flow.seen_peer = flow.peer;
            }
            "client_inside" => flow.client_inside = value.parse()?,
            "egress" => flow.egress_start = value.parse()?,
            "ingress" => flow.ingress_start = value.parse()?,
            "known" => self.is_known = value.parse()?,
            "flags" => self.flags = value.parse()?,
            "settings" => self.rules.flags = value.parse()?,
            "advertise" => self.rules.advertise = value.parse::<IpAddr>()?.into(),
            "denies" => self.rules.denies = value.parse()?,
            "ports" => {
                let ports = PORTS.get(value.parse::<usize>()?);
                self.rules.ports = *ports.context("no such choice of ports")?;
            }
            "mtu" => self.mtu = value.parse()?,
            "out" => self.step(Direction::Egress, merged, value)?,
            "in" => self.step(Direction::Ingress, merged, value)?,
            other => bail!("nothing is called `{other}`"),
        }
        Ok(())
    }

    fn step(&mut self, direction: Direction, merged: u32, hex: &str) -> Result<()> {
        ensure!(hex.len().is_multiple_of(2), "half a byte");
        let packet: Result<Vec<u8>> = (0..hex.len())
            .step_by(2)
            .map(|at| {
                let digits = hex.get(at..at + 2).context("not hexadecimal")?;
                Ok(u8::from_str_radix(digits, 16)?)
            })
            .collect();
        self.steps.push(Step {
            direction,
            merged,
            packet: packet?,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read_as_it_was_written() {
        let mut case = Case {
            flow: Flow::server_inside_v6(77),
            is_known: false,
            flags: 1 << 10,
            rules: Rules {
                flags: 8,
                advertise: IpAddr::from([203, 0, 113, 9]).into(),
                denies: true,
                ports: Ports::NoSpare,
            },
            mtu: 1280,
            steps: Vec::new(),
        };
        for direction in [Direction::Egress, Direction::Ingress] {
            for merged in [0, 1448] {
                case.steps.push(Step {
                    direction,
                    merged,
                    packet: vec![0, 15, 255],
                });
            }
        }
        let text = case.text();
        let read: Case = text.parse().unwrap();
        assert_eq!(read.text(), text);
        assert_eq!(read.steps, case.steps);
        assert_eq!(read.rules, case.rules);
        for wrong in [
            "",
            "in 0",
            "in xx",
            "in/x 00",
            "up 00",
            "mtu x\nin 00",
            "in",
        ] {
            assert!(wrong.parse::<Case>().is_err(), "{wrong}");
        }
    }
}
