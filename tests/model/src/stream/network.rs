//! The inside host and the network.

use std::{collections::VecDeque, fmt::Write as _};

use anyhow::{Context as _, Result, bail, ensure};
use etherparse::{TcpOptionElement, TcpOptions};
use ftp_helper_common::session::Direction;

use super::{random::Random, receiver::Receiver, script::Script};
use crate::{
    flow::Flow,
    segment::{Segment, flags},
};

/// Steps on the bad network; then it gets better.
const BAD_STEPS: usize = 400;
/// Steps in which the rest must get through.
const GOOD_STEPS: usize = 400;

/// How bad the network is, in percent.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Segments and acknowledgments that are lost, on each side of the gateway.
    pub loss: usize,
    /// Segments that overtake others.
    pub reorder: usize,
    /// Segments that arrive at the gateway once more.
    pub duplicate: usize,
    /// Longest segment.
    pub longest: usize,
}

impl Weather {
    /// Anything from calm to very bad.
    pub fn random(random: &mut Random) -> Self {
        Self {
            loss: *random.pick(&[0, 5, 20]),
            reorder: *random.pick(&[0, 10, 50]),
            duplicate: *random.pick(&[0, 10, 30]),
            longest: *random.pick(&[1, 3, 12, 60, 500]),
        }
    }
}

impl Weather {
    /// A sender that hears of every loss sends nothing but what is missing.
    fn is_calm(self) -> bool {
        self.loss == 0 && self.reorder == 0 && self.duplicate == 0
    }
}

/// What stands between the two hosts.
pub trait Middle {
    /// Takes a segment through; an error when what comes out is no segment.
    fn pass(&mut self, segment: &Segment) -> Result<Passed>;
}

/// What becomes of a segment on its way.
#[derive(Debug)]
pub enum Passed {
    /// It goes on, like this.
    Next(Segment),
    /// It goes no further.
    Drop,
    /// This goes back to its sender.
    Answer(Segment),
    /// Its first bytes, so many of them, and the rest come by again.
    Split(Segment, usize),
}

/// A control connection under way.
#[derive(Debug)]
pub struct Network<'a> {
    flow: &'a Flow,
    script: &'a Script,
    receiver: Receiver,
    /// What the peer said itself.
    said: u32,
    /// Acknowledged, and sent so far, both with the FIN as a byte.
    acknowledged: usize,
    sent: usize,
    /// Last acknowledgment of the receiver that came through.
    heard: usize,
    /// Segments on their way to the gateway, from it to the peer, and back.
    before: VecDeque<Segment>,
    behind: VecDeque<Segment>,
    back: VecDeque<Segment>,
    /// What was sent, for those that come twice.
    past: Vec<Segment>,
    /// What happened, for the report of a failure.
    history: String,
}

impl<'a> Network<'a> {
    /// A connection on which the inside host has sent nothing yet, and the peer
    /// `said` bytes.
    pub fn new(flow: &'a Flow, script: &'a Script, said: u32) -> Self {
        Self {
            flow,
            script,
            receiver: Receiver::default(),
            said,
            acknowledged: 0,
            sent: 0,
            heard: 0,
            before: VecDeque::new(),
            behind: VecDeque::new(),
            back: VecDeque::new(),
            past: Vec::new(),
            history: String::new(),
        }
    }

    /// What happened so far, a line per event.
    pub fn history(&self) -> &str {
        &self.history
    }

    /// Sends everything. An error when it does not arrive as it has to.
    pub fn run(
        &mut self,
        middle: &mut impl Middle,
        random: &mut Random,
        weather: Weather,
    ) -> Result<()> {
        for _ in 0..BAD_STEPS {
            if self.is_done() {
                break;
            }
            self.step(middle, random, weather)?;
        }
        // Whatever happened before: on a network that loses nothing, a sender
        // that repeats the first missing byte gets everything through.
        let calm = Weather {
            loss: 0,
            reorder: 0,
            duplicate: 0,
            longest: weather.longest.max(100),
        };
        for _ in 0..GOOD_STEPS {
            if self.is_done() {
                break;
            }
            self.send(random, calm);
            while !(self.before.is_empty() && self.behind.is_empty() && self.back.is_empty()) {
                self.gateway(middle, random, calm)?;
                self.peer(random, calm)?;
                self.acknowledge(middle, random, calm)?;
            }
        }
        ensure!(self.is_done(), "the connection is stuck");
        let stream = self.receiver.stream();
        ensure!(
            stream == self.script.wire,
            "the peer got\n{}\nand not\n{}",
            stream.escape_ascii(),
            self.script.wire.escape_ascii()
        );
        Ok(())
    }

    /// Everything was sent and acknowledged, with the FIN.
    fn is_done(&self) -> bool {
        self.acknowledged == self.script.sent.len() + 1
    }

    fn step(
        &mut self,
        middle: &mut impl Middle,
        random: &mut Random,
        weather: Weather,
    ) -> Result<()> {
        match random.below(4) {
            0 => self.send(random, weather),
            1 => self.gateway(middle, random, weather)?,
            2 => self.peer(random, weather)?,
            _ => self.acknowledge(middle, random, weather)?,
        }
        Ok(())
    }

    /// The inside host sends something new, or something again.
    fn send(&mut self, random: &mut Random, weather: Weather) {
        let end = self.script.sent.len();
        if !self.past.is_empty() && random.chance(weather.duplicate) {
            let segment = random.pick(&self.past).clone();
            self.note("again", &segment);
            self.before.push_back(segment);
            return;
        }
        let new = self.sent <= end && !weather.is_calm() && random.chance(60);
        let from = if new || self.acknowledged == self.sent {
            self.sent
        } else if weather.is_calm() || random.chance(70) {
            self.acknowledged
        } else {
            random.between(self.acknowledged, self.sent - 1)
        };
        let to = (from + random.between(1, weather.longest)).min(end);
        let closes = to == end && (self.sent > end || random.chance(50));
        if from == to && !closes {
            return;
        }
        let number = u32::try_from(from).expect("a short stream");
        let mut segment = self.flow.egress(number, &self.script.sent[from..to]);
        segment.acknowledgment = self.flow.ingress_start.wrapping_add(self.said);
        if closes {
            segment.flags |= flags::FIN;
        }
        self.sent = self.sent.max(to + usize::from(closes));
        self.note("sent", &segment);
        self.past.push(segment.clone());
        self.before.push_back(segment);
    }

    /// A segment reaches the gateway.
    fn gateway(
        &mut self,
        middle: &mut impl Middle,
        random: &mut Random,
        weather: Weather,
    ) -> Result<()> {
        let Some(segment) = travel(&mut self.before, random, weather) else {
            return Ok(());
        };
        self.forward(middle, &segment)
    }

    fn forward(&mut self, middle: &mut impl Middle, segment: &Segment) -> Result<()> {
        match middle.pass(segment)? {
            Passed::Next(passed) => {
                self.note("passed", &passed);
                self.behind.push_back(passed);
            }
            Passed::Drop => self.note("dropped", segment),
            // It brings more than one run handles: both pieces come by again.
            Passed::Split(segment, size) => {
                self.note("split", &segment);
                ensure!(0 < size && size < segment.payload.len());
                let mut first = segment.clone().payload(&segment.payload[..size]);
                first.flags &= !flags::FIN;
                let mut rest = segment.clone().payload(&segment.payload[size..]);
                rest.sequence = segment.sequence.wrapping_add(u32::try_from(size)?);
                self.forward(middle, &first)?;
                self.forward(middle, &rest)?;
            }
            Passed::Answer(answer) => {
                ensure!(answer.payload.is_empty() && answer.flags == flags::ACK);
                self.note("answered", &answer);
                self.hear(middle, &answer)?;
            }
        }
        Ok(())
    }

    /// A segment reaches the peer.
    fn peer(&mut self, random: &mut Random, weather: Weather) -> Result<()> {
        let Some(segment) = travel(&mut self.behind, random, weather) else {
            return Ok(());
        };
        self.receiver.take(self.flow, &segment);
        ensure!(
            self.script.wire.starts_with(&self.receiver.stream()),
            "the peer has got\n{}\nand not\n{}",
            self.receiver.stream().escape_ascii(),
            self.script.wire.escape_ascii()
        );
        // Not every segment has its own acknowledgment.
        if random.chance(70) || weather.is_calm() {
            let says: &[u8] = if random.chance(10) {
                b"200 ok\r\n"
            } else {
                b""
            };
            let answer = self.receiver.answer(self.flow, self.said, says);
            self.back.push_back(answer);
        }
        Ok(())
    }

    /// An acknowledgment reaches the gateway, and the inside host.
    fn acknowledge(
        &mut self,
        middle: &mut impl Middle,
        random: &mut Random,
        weather: Weather,
    ) -> Result<()> {
        let Some(segment) = self.back.pop_front() else {
            return Ok(());
        };
        if segment.payload.is_empty() {
            if random.chance(weather.loss) {
                return Ok(());
            }
        } else {
            // Its own stream is not what is tried here: it says the next thing.
            let offset = segment.sequence.wrapping_sub(self.flow.ingress_start);
            if offset != self.said {
                return Ok(());
            }
            self.said += 8;
        }
        let before = self.heard;
        let heard = self.hear(middle, &segment)?;
        ensure!(
            heard >= before,
            "the acknowledgments go back from {before} to {heard}"
        );
        self.heard = heard;
        Ok(())
    }

    /// The inside host hears an acknowledgment, through the gateway. Returns what
    /// it acknowledges.
    fn hear(&mut self, middle: &mut impl Middle, segment: &Segment) -> Result<usize> {
        let Passed::Next(heard) = middle.pass(segment)? else {
            bail!("an acknowledgment was stopped");
        };
        let offset = |number: u32| number.wrapping_sub(self.flow.egress_start) as usize;
        let position = offset(heard.acknowledgment);
        self.note("heard", &heard);
        ensure!(
            position <= self.sent,
            "{position} is acknowledged, but only {} was sent",
            self.sent
        );
        self.check_acknowledged(position)?;
        let options = TcpOptions::try_from_slice(&heard.options).context("options are too long")?;
        for option in options.elements_iter().flatten() {
            if let TcpOptionElement::SelectiveAcknowledgement(first, rest) = option {
                for (left, right) in [Some(first)].into_iter().chain(rest).flatten() {
                    self.check_selected(offset(left), offset(right))?;
                }
            }
        }
        // What was translated is all that was changed.
        let restored = Segment {
            acknowledgment: segment.acknowledgment,
            options: segment.options.clone(),
            ..heard
        };
        ensure!(restored == *segment, "more was changed than numbers");
        self.acknowledged = self.acknowledged.max(position);
        Ok(position)
    }

    /// The peer has everything that is acknowledged, but for what the gateway
    /// holds of one announcement.
    fn check_acknowledged(&self, position: usize) -> Result<()> {
        let end = self.script.sent.len();
        if position > end {
            ensure!(self.receiver.is_done(), "the FIN is acknowledged too early");
            return Ok(());
        }
        let missing = self.script.to_wire(position) > self.receiver.next;
        let held = self.script.places.iter().any(|place| {
            let line_end = self.script.sent[place.sent.start..]
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(end, |len| place.sent.start + len);
            place.sent.start < position
                && position <= line_end
                && place.wire.start <= self.receiver.next
        });
        ensure!(
            !missing || held,
            "{position} is acknowledged, but the peer has {} only",
            self.receiver.next
        );
        Ok(())
    }

    /// The peer has everything that is acknowledged selectively.
    fn check_selected(&self, left: usize, right: usize) -> Result<()> {
        // An empty block says nothing.
        if left >= right {
            return Ok(());
        }
        let wire = self.script.to_wire(left)..self.script.to_wire(right);
        ensure!(
            right <= self.sent && self.receiver.has(wire.clone()),
            "{left} to {right} is acknowledged, but the peer does not have all of {wire:?}"
        );
        Ok(())
    }

    fn note(&mut self, what: &str, segment: &Segment) {
        let offset = |number: u32, start: u32| number.wrapping_sub(start);
        let start = self.flow.egress_start;
        let (from, number) = match segment.direction {
            Direction::Egress => ("at", offset(segment.sequence, start)),
            Direction::Ingress => ("of", offset(segment.acknowledgment, start)),
        };
        // Writing to a `String` can not fail.
        let _ = writeln!(
            self.history,
            "{what:9}{from} {number} flags {:#04x} \"{}\"",
            segment.flags,
            segment.payload.escape_ascii()
        );
    }
}

/// The next segment to arrive; `None` when there is none, or it got lost.
fn travel(queue: &mut VecDeque<Segment>, random: &mut Random, weather: Weather) -> Option<Segment> {
    if queue.is_empty() {
        return None;
    }
    let index = if random.chance(weather.reorder) {
        random.below(queue.len())
    } else {
        0
    };
    let segment = queue.remove(index)?;
    (!random.chance(weather.loss)).then_some(segment)
}
