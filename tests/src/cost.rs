//! What the programs cost per packet, by the kernel's own clock
//! (`BPF_PROG_TEST_RUN`).

use anyhow::{Result, ensure};
use ftp_helper_common::session::Direction;

use crate::packets::{
    bench::{Bench, bench},
    flow::{Flow, STARTS},
    segment::{Segment, flags},
};

/// Runs in one call of the kernel, where the packet stays as it is.
const RUNS: u32 = 20_000;

/// Calls of which the fastest counts: what disturbs a measurement only adds to it.
const ROUNDS: usize = 25;

/// Single runs of which the median counts, where each needs a fresh session.
const SINGLES: usize = 2_000;

/// The cost of one kind of packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// What the packet is.
    pub what: String,
    /// Nanoseconds per packet.
    pub nanoseconds: f64,
}

/// Measures all kinds of packets. Needs root.
pub fn measure() -> Vec<Cost> {
    let mut costs = Vec::new();
    bench(|bench| {
        for (name, flow) in [
            ("IPv4", Flow::client_inside(STARTS[0])),
            ("IPv6", Flow::client_inside_v6(STARTS[0])),
        ] {
            untouched(bench, name, &flow, &mut costs)?;
            lines(bench, name, &flow, &mut costs)?;
        }
        Ok(())
    });
    costs
}

/// Packets that go on as they are, so that the kernel can repeat the run.
fn untouched(bench: &mut Bench, name: &str, flow: &Flow, costs: &mut Vec<Cost>) -> Result<()> {
    let mut other = *flow;
    for endpoint in [&mut other.peer, &mut other.seen_peer] {
        endpoint.set_port(443);
    }
    let mut syn = other.ingress(0, "").flags(flags::SYN).acknowledgment(0);
    syn.destination.set_port(8080);
    let kinds = [
        (
            "not TCP, egress",
            Direction::Egress,
            not_tcp(&other.egress(0, "x")),
        ),
        (
            "not TCP, ingress",
            Direction::Ingress,
            not_tcp(&other.ingress(0, "x")),
        ),
        (
            "other TCP, egress",
            Direction::Egress,
            other.egress(0, "x").bytes(),
        ),
        (
            "other TCP, ingress",
            Direction::Ingress,
            other.ingress(0, "x").bytes(),
        ),
        (
            "other TCP, first packet, ingress",
            Direction::Ingress,
            syn.bytes(),
        ),
        (
            "control, acknowledgment, egress",
            Direction::Egress,
            flow.inside_acknowledges(0, 0).bytes(),
        ),
        (
            "control, acknowledgment, ingress",
            Direction::Ingress,
            flow.peer_acknowledges(0).bytes(),
        ),
    ];
    for (what, direction, packet) in kinds {
        bench.open(flow)?;
        let outcome = bench.run(direction, &packet)?;
        ensure!(outcome.packet == packet, "{name}, {what}: it was changed");
        let mut fastest = u32::MAX;
        for _ in 0..ROUNDS {
            let outcome = bench.run_often(direction, &packet, RUNS)?;
            fastest = fastest.min(outcome.nanoseconds);
        }
        costs.push(Cost {
            what: format!("{name}, {what}"),
            nanoseconds: fastest.into(),
        });
    }
    Ok(())
}

/// Lines, each the first of its session. The cost of looking at the clock around a
/// single run is taken off: that of a packet whose cost is known without it.
fn lines(bench: &mut Bench, name: &str, flow: &Flow, costs: &mut Vec<Cost>) -> Result<()> {
    let known = flow.inside_acknowledges(0, 0).bytes();
    let often = costs
        .iter()
        .find(|cost| cost.what == format!("{name}, control, acknowledgment, egress"))
        .map_or(0.0, |cost| cost.nanoseconds);
    let clock = single(bench, flow, Direction::Egress, &known, false)? - often;
    let is_v4 = flow.inside.is_ipv4();
    let server = if is_v4 {
        Flow::server_inside(STARTS[0])
    } else {
        Flow::server_inside_v6(STARTS[0])
    };
    let command = if is_v4 {
        "PORT 10,0,0,2,195,149\r\n".to_owned()
    } else {
        format!("EPRT |2|{}|50069|\r\n", flow.inside.ip())
    };
    let reply = if is_v4 {
        "227 Entering Passive Mode (10,0,0,3,195,149).\r\n"
    } else {
        "229 Entering Extended Passive Mode (|||50069|)\r\n"
    };
    let extended = if is_v4 {
        "EPRT |1|10.0.0.2|50069|\r\n".to_owned()
    } else {
        "EPSV\r\n".to_owned()
    };
    for (what, flow, line, rewritten) in [
        ("control, line of 6 bytes", flow, "NOOP\r\n", false),
        (
            "control, line of 47 bytes",
            flow,
            "RETR a-file-with-a-name-of-forty-letters-in-it\r\n",
            false,
        ),
        ("announcing command", flow, &*command, true),
        ("another announcing command", flow, &*extended, is_v4),
        ("announcing reply", &server, reply, is_v4),
    ] {
        let packet = flow.egress(0, line).bytes();
        let nanoseconds = single(bench, flow, Direction::Egress, &packet, rewritten)? - clock;
        costs.push(Cost {
            what: format!("{name}, {what}"),
            nanoseconds: nanoseconds.max(0.0),
        });
    }
    Ok(())
}

/// The median of single runs, each with a session that has seen nothing.
fn single(
    bench: &mut Bench,
    flow: &Flow,
    direction: Direction,
    packet: &[u8],
    rewritten: bool,
) -> Result<f64> {
    let mut session = flow.session();
    // A reply is helped when it was asked for.
    session.outstanding = ftp_helper_common::grammar::Kind::PASV.0;
    session.outstanding_at = session.commands;
    let mut taken = Vec::with_capacity(SINGLES);
    for _ in 0..SINGLES {
        bench.clear()?;
        bench.set_session(flow, &session)?;
        let outcome = bench.run(direction, packet)?;
        ensure!(
            (outcome.packet != packet) == rewritten,
            "it was rewritten when it should not, or the other way round"
        );
        taken.push(outcome.nanoseconds);
    }
    taken.sort_unstable();
    Ok(taken[SINGLES / 2].into())
}

/// The same packet as one of UDP.
fn not_tcp(segment: &Segment) -> Vec<u8> {
    let mut bytes = segment.bytes();
    let protocol = if segment.source.is_ipv4() {
        14 + 9
    } else {
        14 + 6
    };
    bytes[protocol] = 17;
    bytes
}
