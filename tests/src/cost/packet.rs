//! Single packets, by the kernel's own clock (`BPF_PROG_TEST_RUN`): ftp-helper's
//! programs in turns with a program that does nothing.

use anyhow::{Result, ensure};
use ftp_helper_common::{
    grammar::Kind,
    session::{Direction, Session},
};

use super::{EMPTY, NET, OURS, amount::Amount, empty::Empty, samples::Samples};
use crate::packets::{
    bench::Bench,
    flow::{Flow, STARTS},
    segment::{Segment, flags},
};

/// Runs on another packet of the session before each single one: a program that has
/// not run for a while takes longer, whatever the packet is.
const WARM_UP: u32 = 5;

/// A packet that goes on as it is, so that the kernel can repeat the run.
pub(super) struct Steady {
    /// What it is.
    pub(super) what: String,
    direction: Direction,
    packet: Vec<u8>,
    flow: Flow,
}

/// A line that is the first of its session.
pub(super) struct Line {
    /// What it is.
    pub(super) what: String,
    /// Whether it announces something.
    pub(super) rewritten: bool,
    segment: Segment,
    flow: Flow,
}

/// A client inside, and a server inside.
pub(super) fn flows() -> [(&'static str, Flow, Flow); 2] {
    let start = STARTS[0];
    [
        (
            "IPv4",
            Flow::client_inside(start),
            Flow::server_inside(start),
        ),
        (
            "IPv6",
            Flow::client_inside_v6(start),
            Flow::server_inside_v6(start),
        ),
    ]
}

/// A port at which data connections are awaited now and then.
const DATA_PORT: u16 = 50_000;

/// Packets that ftp-helper has nothing to do with, and acknowledgments of control
/// connections.
pub(super) fn steady() -> Vec<Steady> {
    let mut kinds = Vec::new();
    for (family, flow, _) in flows() {
        let other = flow.peer_port(443);
        let mut syn = other.ingress(0, "").flags(flags::SYN).acknowledgment(0);
        syn.destination.set_port(8080);
        let mut data = syn.clone();
        data.destination.set_port(DATA_PORT);
        let (out, into) = (Direction::Egress, Direction::Ingress);
        let packets = [
            ("not TCP, way out", out, not_tcp(&other.egress(0, "x"))),
            ("not TCP, way in", into, not_tcp(&other.ingress(0, "x"))),
            ("other TCP, way out", out, other.egress(0, "x").bytes()),
            ("other TCP, way in", into, other.ingress(0, "x").bytes()),
            ("other TCP, first packet, way in", into, syn.bytes()),
            (
                "other TCP, first packet to a data port, way in",
                into,
                data.bytes(),
            ),
            (
                "control connection, acknowledgment, way out",
                out,
                flow.inside_acknowledges(0, 0).bytes(),
            ),
            (
                "control connection, acknowledgment, way in",
                into,
                flow.peer_acknowledges(0).bytes(),
            ),
        ];
        for (what, direction, packet) in packets {
            kinds.push(Steady {
                what: format!("{family}, {what}"),
                direction,
                packet,
                flow,
            });
        }
    }
    kinds
}

/// Lines that announce nothing, in both directions.
pub(super) fn plain_lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for (family, client, _) in flows() {
        for (what, segment) in [
            ("command of 6 bytes, way out", client.egress(0, "NOOP\r\n")),
            (
                "command of 47 bytes, way out",
                client.egress(0, "RETR a-file-with-a-name-of-forty-letters-in-it\r\n"),
            ),
            (
                "reply of 47 bytes, way in",
                client.ingress(0, "226 a reply that nobody has to rewrite, at all\r\n"),
            ),
        ] {
            lines.push(Line {
                what: format!("{family}, control connection, {what}"),
                rewritten: false,
                segment,
                flow: client,
            });
        }
    }
    lines
}

/// Announcements, each with a line of the same length that is none.
pub(super) fn announcements() -> Vec<[Line; 2]> {
    let mut pairs = Vec::new();
    for (family, client, server) in flows() {
        let number = if client.inside.is_ipv4() { 1 } else { 2 };
        let eprt = format!("EPRT |{number}|{}|50069|\r\n", client.inside.ip());
        let mut texts = vec![
            ("EPRT", client, eprt),
            (
                "229",
                server,
                "229 Entering Extended Passive Mode (|||50069|)\r\n".to_owned(),
            ),
        ];
        if client.inside.is_ipv4() {
            texts.push(("PORT", client, "PORT 10,0,0,2,195,149\r\n".to_owned()));
            texts.push((
                "227",
                server,
                "227 Entering Passive Mode (10,0,0,3,195,149).\r\n".to_owned(),
            ));
        }
        for (name, flow, text) in texts {
            // The same bytes behind another word.
            let other = match name {
                "EPRT" | "PORT" => format!("SIZE{}", &text[4..]),
                _ => format!("226{}", &text[3..]),
            };
            // In IPv4 and NAT the port of a 229 is all there is, and it stays: only
            // the expectation is made.
            let rewritten = name != "229";
            pairs.push(
                [(&*text, rewritten), (&*other, false)].map(|(text, rewritten)| Line {
                    what: format!("{family}, {name}"),
                    rewritten,
                    segment: flow.egress(0, text),
                    flow,
                }),
            );
        }
    }
    pairs
}

impl Steady {
    /// Runs it in turns with the empty program.
    pub(super) fn measure(
        &self,
        bench: &mut Bench,
        empty: &Empty,
        amount: &Amount,
        samples: &mut Samples,
    ) -> Result<()> {
        bench.open(&self.flow)?;
        let awaited = &mut bench.datapath.maps.awaited_ports;
        awaited.add_with_neighbours(DATA_PORT)?;
        let outcome = bench.run(self.direction, &self.packet)?;
        ensure!(
            outcome.packet == self.packet,
            "{}: it was changed",
            self.what
        );
        for round in 0..amount.pairs {
            let nothing = f64::from(empty.run(&self.packet, amount.runs)?);
            let ours = bench.run_often(self.direction, &self.packet, amount.runs)?;
            let ours = f64::from(ours.nanoseconds);
            samples.add(round, &self.what, EMPTY, nothing);
            samples.add(round, &self.what, OURS, ours);
            samples.add(round, &self.what, NET, ours - nothing);
        }
        Ok(())
    }
}

impl Line {
    /// Nanoseconds of a single run with a session that has seen nothing, and of one of
    /// the empty program.
    pub(super) fn single(&self, bench: &mut Bench, empty: &Empty) -> Result<(f64, f64)> {
        let direction = self.segment.direction;
        let packet = self.segment.bytes();
        let quiet = self.flow.inside_acknowledges(0, 0).bytes();
        bench.clear()?;
        bench.set_session(&self.flow, &self.session())?;
        empty.run(&packet, WARM_UP)?;
        let nothing = empty.run(&packet, 1)?;
        bench.run_often(Direction::Egress, &quiet, WARM_UP)?;
        let outcome = bench.run(direction, &packet)?;
        ensure!(
            (outcome.packet != packet) == self.rewritten,
            "{}: it was rewritten when it should not, or the other way round",
            self.what
        );
        Ok((f64::from(outcome.nanoseconds), f64::from(nothing)))
    }

    /// A reply is helped when it was asked for.
    fn session(&self) -> Session {
        let mut session = self.flow.session();
        session.outstanding = Kind::PASV.0;
        session.outstanding_at = session.commands;
        session
    }
}

/// The same packet as one of UDP.
fn not_tcp(segment: &Segment) -> Vec<u8> {
    let mut bytes = segment.bytes();
    let protocol = if segment.source.is_ipv4() {
        14 + 9
    } else {
        14 + 6
    };
    if let Some(byte) = bytes.get_mut(protocol) {
        *byte = 17;
    }
    bytes
}
