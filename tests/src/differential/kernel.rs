//! The answer of the programs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use ftp_helper_common::{
    reason::Reason,
    session::{Direction, flags as session_flags},
};

use super::{
    answer::{Answer, Awaited, Behind, Marks, Told},
    case::Case,
};
use crate::packets::{
    bench::{Bench, Fate, Fated as _},
    flow::Flow,
    segment::{Segment, flags},
    stream::receiver::Receiver,
};

/// Every fourth port is not to be used outside, so that there are announcements
/// which need another one.
pub fn is_reserved(port: u16) -> bool {
    port % 4 == 3
}

/// Ports that nobody may announce.
pub fn is_denied(port: u16) -> bool {
    (6000..6064).contains(&port)
}

/// What depends on the segments and not on the lines.
const BY_SEGMENT: [Reason; 4] = [
    Reason::LineHeld,
    Reason::LineReleased,
    Reason::RewriteRepeated,
    Reason::SegmentSplit,
];

/// Sets up what is the same for every case.
pub fn prepare(bench: &mut Bench) -> Result<()> {
    bench.reserve((0..=u16::MAX).filter(|port| is_reserved(*port)))?;
    bench.deny((0..=u16::MAX).filter(|port| is_denied(*port)))
}

/// Sends a case through the programs.
pub fn answer(bench: &mut Bench, case: &Case) -> Result<Answer> {
    let flow = case.flow();
    bench.clear()?;
    bench.set_session(&flow, &case.before.session(&flow))?;
    let mut connection = Connection {
        bench,
        flow,
        case,
        receiver: Receiver::default(),
        behind: Vec::new(),
    };
    connection.run()?;
    let Connection {
        receiver, behind, ..
    } = connection;
    let wire = match case.place.direction {
        Direction::Egress => receiver.stream(),
        // Every segment was compared.
        Direction::Ingress => case.stream.clone(),
    };
    let told = bench.events().iter().map(Told::of).collect::<Option<_>>();
    let counted = counted(bench)?;
    Ok(Answer {
        told: told.context("something was reported that is no reason")?,
        counted,
        wire,
        awaited: bench.expectations()?.iter().map(Awaited::of).collect(),
        marks: Marks::of(&bench.session(&flow)?),
        behind,
    })
}

fn counted(bench: &Bench) -> Result<BTreeMap<&'static str, u64>> {
    let mut counted = bench.counts()?;
    for reason in BY_SEGMENT {
        counted.remove(reason.word());
    }
    Ok(counted)
}

/// A sender, the device that sends pieces on, and a receiver that acknowledges at
/// once.
struct Connection<'a> {
    bench: &'a mut Bench,
    flow: Flow,
    case: &'a Case,
    receiver: Receiver,
    behind: Vec<Behind>,
}

impl Connection<'_> {
    fn run(&mut self) -> Result<()> {
        // Nothing is answered in the receiver's name before it was heard of.
        self.acknowledge()?;
        let mut sent = 0;
        for end in self.case.ends() {
            while sent < end {
                let position = self.send(sent, end)?;
                ensure!(sent < position && position <= end, "{sent} to {position}");
                sent = position;
                if self.bench.session(&self.flow)?.flags & session_flags::OPAQUE != 0 {
                    return Ok(());
                }
            }
        }
        self.close(sent)
    }

    /// Sends a part of the stream; returns how far it was read.
    fn send(&mut self, from: usize, to: usize) -> Result<usize> {
        let payload = &self.case.stream[from..to];
        let offset = u32::try_from(from)?;
        let mut is_split = false;
        match self.case.place.direction {
            Direction::Egress => is_split = self.pass(&self.flow.egress(offset, payload))?,
            Direction::Ingress => {
                let segment = self.flow.ingress(offset, payload);
                let outcome = self.bench.run(Direction::Ingress, &segment.bytes())?;
                let same = outcome.fate()? == Fate::Next && outcome.packet == segment.bytes();
                ensure!(same, "a segment that came in was changed");
            }
        }
        let session = self.bench.session(&self.flow)?;
        let direction = self.case.place.direction;
        let rewrites = session.rewrites_of(direction);
        let stream = &session.streams[direction as usize];
        let start = match self.case.place.direction {
            Direction::Egress => self.flow.egress_start,
            Direction::Ingress => self.flow.ingress_start,
        };
        let position = stream.next.wrapping_sub(start) as usize;
        self.behind.push(Behind {
            position,
            held: rewrites.map_or(0, |rewrites| rewrites.hold_len.into()),
            parser: stream.parser,
        });
        if is_split {
            // The first piece comes by once more; the rest is still to be sent.
            ensure!(from < position && position < to, "split at {position}");
            let piece = self.flow.egress(offset, &self.case.stream[from..position]);
            ensure!(!self.pass(&piece)?, "a piece was split");
        }
        Ok(position)
    }

    /// A segment on its way out, up to the receiver's acknowledgment of it. True
    /// when it has to come by again in pieces.
    fn pass(&mut self, segment: &Segment) -> Result<bool> {
        let outcome = self.bench.run(Direction::Egress, &segment.bytes())?;
        match outcome.fate()? {
            Fate::Next => {
                let passed = Segment::read(Direction::Egress, &outcome.packet)
                    .context("the packet is malformed, or a checksum is wrong")?;
                self.receiver.take(&self.flow, &passed);
                self.acknowledge()?;
                Ok(false)
            }
            // Else all of it is held, and the packet is its acknowledgment.
            Fate::Redirect => Ok(outcome.packet == segment.bytes()),
            Fate::Drop => anyhow::bail!("a segment was dropped: {segment:?}"),
        }
    }

    fn acknowledge(&self) -> Result<()> {
        if self.case.place.direction == Direction::Ingress {
            return Ok(());
        }
        let answer = self.receiver.answer(&self.flow, 0, b"");
        let outcome = self.bench.run(Direction::Ingress, &answer.bytes())?;
        ensure!(
            outcome.fate()? == Fate::Next,
            "an acknowledgment was stopped"
        );
        Ok(())
    }

    /// The end of the stream, which carries what was held.
    fn close(&mut self, sent: usize) -> Result<()> {
        if self.case.place.direction == Direction::Ingress {
            return Ok(());
        }
        let segment = self.flow.egress(u32::try_from(sent)?, "");
        let is_split = self.pass(&segment.flags(flags::FIN | flags::ACK))?;
        ensure!(!is_split, "the end was split");
        ensure!(self.receiver.is_done(), "the end did not arrive");
        Ok(())
    }
}
