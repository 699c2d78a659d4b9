//! The loaded programs in the middle of a network.

use anyhow::{Context as _, Result};
use ftp_helper_common::session::Direction;

use super::{
    bench::{Bench, Fate, Fated as _},
    flow::Flow,
    segment::Segment,
    stream::network::{Middle, Passed},
};

/// The programs on a bench, and the connection that goes through them.
pub struct Programs<'a> {
    /// The bench.
    pub bench: &'a Bench,
    /// The connection.
    pub flow: &'a Flow,
}

impl Middle for Programs<'_> {
    fn pass(&mut self, segment: &Segment) -> Result<Passed> {
        let direction = segment.direction;
        let outcome = self.bench.run(direction, &segment.bytes())?;
        let read = |direction, what| {
            Segment::read(direction, &outcome.packet)
                .with_context(|| format!("{what} is malformed, or a checksum is wrong"))
        };
        match outcome.fate()? {
            Fate::Next => Ok(Passed::Next(read(direction, "the packet")?)),
            Fate::Drop => Ok(Passed::Drop),
            Fate::Redirect if goes_on(&outcome.packet, segment) => {
                let segment = read(direction, "what is split")?;
                let next = self.bench.session(self.flow)?.streams[direction as usize].next;
                let size = next.wrapping_sub(segment.sequence) as usize;
                Ok(Passed::Split(segment, size))
            }
            Fate::Redirect => {
                let back = match direction {
                    Direction::Egress => Direction::Ingress,
                    Direction::Ingress => Direction::Egress,
                };
                Ok(Passed::Answer(read(back, "the answer")?))
            }
        }
    }
}

/// Whether the packet still goes where the segment went, and is not its answer.
fn goes_on(packet: &[u8], segment: &Segment) -> bool {
    // The ports lie behind the link header and an IPv4 header without options.
    packet.get(34..36) == Some(&segment.source.port().to_be_bytes()[..])
}
