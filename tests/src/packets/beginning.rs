//! How a connection begins.

use std::net::SocketAddr;

use anyhow::Result;

use super::{
    bench::Bench,
    flow::Flow,
    segment::{Segment, flags},
};

/// The three segments that start a connection.
pub struct Beginning {
    /// The client's SYN.
    pub syn: Segment,
    /// The server's answer.
    pub answer: Segment,
    /// The client's acknowledgment of that.
    pub third: Segment,
}

impl Beginning {
    /// Of this flow.
    pub fn of(flow: &Flow) -> Self {
        let before = u32::MAX;
        let (mut syn, mut answer, third) = if flow.client_inside {
            (
                flow.egress(before, ""),
                flow.ingress(before, ""),
                flow.inside_acknowledges(0, 0),
            )
        } else {
            (
                flow.ingress(before, ""),
                flow.egress(before, ""),
                flow.peer_acknowledges(0),
            )
        };
        syn.acknowledgment = 0;
        answer.acknowledgment = syn.sequence.wrapping_add(1);
        Self {
            syn: syn.flags(flags::SYN),
            answer: answer.flags(flags::SYN | flags::ACK),
            third,
        }
    }
}

impl Bench {
    /// The three segments that start the connection.
    #[track_caller]
    pub fn shake_hands(&self, flow: &Flow) {
        let Beginning { syn, answer, third } = Beginning::of(flow);
        self.unchanged(&syn);
        self.unchanged(&answer);
        self.unchanged(&third);
    }

    /// Makes the entry that netfilter would have for the flow, whose client began it.
    pub fn track(&self, flow: &Flow) -> Result<()> {
        self.track_begun_by(flow, flow.client_inside)
    }

    /// The same for a connection that the inside host began, or the peer.
    pub fn track_begun_by(&self, flow: &Flow, inside: bool) -> Result<()> {
        let (original, reply) = if inside {
            ((flow.inside, flow.seen_peer), (flow.peer, flow.outside))
        } else {
            ((flow.peer, flow.outside), (flow.inside, flow.seen_peer))
        };
        let tuple = |names: [&str; 4], (from, to): (SocketAddr, SocketAddr)| {
            let [source, destination, source_port, destination_port] = names;
            format!(
                "{source} {} {destination} {} {source_port} {} {destination_port} {}",
                from.ip(),
                to.ip(),
                from.port(),
                to.port()
            )
        };
        self.shell(&format!(
            "conntrack -I -p tcp -t 300 --state ESTABLISHED -u SEEN_REPLY,ASSURED {} {}",
            tuple(["-s", "-d", "--sport", "--dport"], original),
            tuple(["-r", "-q", "--reply-port-src", "--reply-port-dst"], reply)
        ))?;
        Ok(())
    }
}
