//! A case through programs and model.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    net::SocketAddr,
};

use anyhow::{Context as _, Result, bail, ensure};
use ftp_helper_common::{
    expectation::ExpectationKey,
    grammar::{LineParser, TEXT},
    interface::{Interface, flags as interface_flags},
    journal::Journal,
    reason::Reason,
    rewrite::{REWRITES, Rewrite, Rewrites},
    session::{Direction, Session, flags as session_flags},
    stream::{Stream, flags as stream_flags},
};
use ftp_helper_model::gateway::{
    Fate as Fated, Gateway,
    rules::{Awaited, DENIED, Knocked, Ports, Rules, SPARE, THIRD_PARTIES},
};
use zerocopy::IntoBytes as _;

use super::{
    case::{Case, Step},
    packet::{self, Parsed, Seen},
};
use crate::packets::{
    bench::{Bench, Fate, Fated as _},
    decode::describe,
    flow::{Flow, endpoint},
    segment::flags,
};

/// Most sessions of a client; there is never more than one, so a second one that is
/// counted and not given back is seen.
const CLIENT_LIMIT: u32 = 4;

/// Sends cases through programs and model.
pub struct Judge<'a> {
    bench: &'a mut Bench,
    /// What the interface takes now.
    mtu: Option<u32>,
    /// The settings that it has now.
    rules: Option<Rules>,
    /// Packets so far.
    pub packets: u64,
    /// What the model counted so far.
    pub counts: BTreeMap<&'static str, u64>,
}

impl<'a> Judge<'a> {
    /// On this bench.
    pub fn new(bench: &'a mut Bench) -> Result<Self> {
        bench.allow_fxp(&THIRD_PARTIES)?;
        Ok(Self {
            bench,
            mtu: None,
            rules: None,
            packets: 0,
            counts: BTreeMap::new(),
        })
    }

    /// An error when something does not hold, with the packet behind which it does not.
    pub fn judge(&mut self, case: &Case) -> Result<()> {
        let mut trial = self.start(case)?;
        for (index, step) in case.steps.iter().enumerate() {
            trial.step(step).with_context(|| {
                let words = describe(&step.packet).join("\n  ");
                format!(
                    "packet {index} of {}, {:?}:\n  {words}\n",
                    case.steps.len(),
                    step.direction
                )
            })?;
        }
        let (packets, counts) = (trial.packets, trial.model.counts.clone());
        let ended = trial.end().context("behind the last packet");
        self.packets += packets;
        for (word, count) in counts {
            *self.counts.entry(word).or_default() += count;
        }
        ended
    }

    fn start<'b>(&'b mut self, case: &'b Case) -> Result<Trial<'b>> {
        if self.mtu != Some(case.mtu) {
            self.bench
                .shell(&format!("ip link set lo mtu {}", case.mtu))?;
            self.mtu = Some(case.mtu);
        }
        self.set(&case.rules, &case.flow)?;
        // A piece that an earlier case left behind is not due any more.
        let mut other = Flow::client_inside(1);
        other.inside.set_port(9);
        other.outside.set_port(9);
        self.bench
            .run(Direction::Egress, &other.egress(0, "").bytes())?;
        self.bench.clear()?;
        let session = case.session();
        if let Some(session) = &session {
            self.bench.set_session(&case.flow, session)?;
        }
        let mut model = match session {
            Some(session) => Gateway::new(case.flow.key(), session),
            None => Gateway::empty(case.flow.key()),
        };
        model.link.mtu = case.mtu;
        model.rules = case.rules;
        Ok(Trial {
            bench: self.bench,
            flow: &case.flow,
            model,
            begun: HashSet::new(),
            packets: 0,
        })
    }
}

impl Judge<'_> {
    /// Gives the interface these settings.
    fn set(&mut self, rules: &Rules, flow: &Flow) -> Result<()> {
        let by_endpoint = rules.has(interface_flags::PER_ENDPOINT);
        let outside = endpoint(flow.outside);
        let advertised = &mut self.bench.datapath.maps.advertised;
        if by_endpoint && !rules.advertise.is_unspecified() {
            advertised.insert(&outside, &rules.advertise)?;
        } else {
            advertised.remove(&outside)?;
        }
        if self.rules == Some(*rules) {
            return Ok(());
        }
        self.bench.configure(|interface: &mut Interface| {
            interface.client_limit = CLIENT_LIMIT;
            interface.flags = rules.flags;
            if !by_endpoint {
                interface.advertise = rules.advertise;
            }
            if rules.ports != Ports::Free {
                (interface.first_port, interface.last_port) = (SPARE, SPARE);
            }
        })?;
        self.bench.reserve(rules.ports.taken())?;
        let denied: &[u16] = if rules.denies { &DENIED } else { &[] };
        self.bench.deny(denied.iter().copied())?;
        self.rules = Some(*rules);
        Ok(())
    }
}

/// A case under way.
struct Trial<'a> {
    bench: &'a mut Bench,
    flow: &'a Flow,
    model: Gateway,
    /// Ends of other connections that were seen to begin.
    begun: HashSet<[SocketAddr; 2]>,
    packets: u64,
}

impl Trial<'_> {
    fn step(&mut self, step: &Step) -> Result<()> {
        if !packet::is_testable(&step.packet) {
            return Ok(());
        }
        self.packets += 1;
        let outcome = self
            .bench
            .run_merged(step.direction, &step.packet, step.merged)?;
        self.model.link.merged = step.merged;
        let fate = outcome.fate()?;
        let seen = &outcome.packet;
        match packet::read(step.direction, &step.packet) {
            Seen::Odd => {}
            Seen::Other => unchanged(fate, seen, &step.packet)?,
            Seen::Fragment => {
                self.count(Reason::Fragment);
                ensure!(fate == Fate::Drop, "a fragment is not dropped: {fate:?}");
            }
            Seen::Malformed => {
                self.count(Reason::Malformed);
                ensure!(fate == Fate::Drop, "wrong lengths pass: {fate:?}");
            }
            Seen::Knock(source, destination) => {
                self.knock(source, destination);
                unchanged(fate, seen, &step.packet)?;
            }
            Seen::Segment(parsed) if !self.is_ours(&parsed) => {
                self.pass_other(&parsed);
                unchanged(fate, seen, &step.packet)?;
            }
            Seen::Segment(parsed) => self.ours(&step.packet, &parsed, fate, seen)?,
        }
        self.compare_tables()?;
        self.compare_sessions()
    }

    fn count(&mut self, reason: Reason) {
        *self.model.counts.entry(reason.word()).or_default() += 1;
    }

    /// The segment belongs to the connection of the case.
    fn is_ours(&self, parsed: &Parsed) -> bool {
        let segment = &parsed.segment;
        let (outside, peer) = match segment.direction {
            Direction::Egress => (segment.source, segment.destination),
            Direction::Ingress => (segment.destination, segment.source),
        };
        (outside, peer) == (self.flow.outside, self.flow.peer)
    }

    /// A segment of a control connection that nobody knows.
    fn pass_other(&mut self, parsed: &Parsed) {
        let segment = &parsed.segment;
        if segment.direction == Direction::Egress {
            self.model.forget_piece();
        }
        let mut ends = [segment.source, segment.destination];
        ends.sort();
        if segment.flags & flags::SYN != 0 {
            self.begun.insert(ends);
        } else if segment.flags & (flags::RST | flags::FIN) == 0 && !self.begun.contains(&ends) {
            self.count(Reason::ConntrackMissing);
        }
    }

    /// A SYN that is no control connection's; it may be awaited.
    fn knock(&mut self, source: SocketAddr, destination: SocketAddr) {
        let knocked = self.model.knock(ExpectationKey {
            source: source.ip().into(),
            destination: endpoint(destination),
        });
        match knocked {
            Knocked::Unknown => {}
            Knocked::TooEarly => self.count(Reason::NotApproved),
            Knocked::In => self.count(Reason::ExpectationMatched),
        }
    }

    /// A segment of the connection: programs and model have to agree on all of it.
    fn ours(&mut self, packet: &[u8], parsed: &Parsed, fate: Fate, seen: &[u8]) -> Result<()> {
        match (self.model.run(&parsed.segment), fate) {
            (Fated::Drop, Fate::Drop) => return Ok(()),
            (Fated::Next(segment), Fate::Next)
            | (Fated::Answer(segment) | Fated::Split(segment, _), Fate::Redirect) => {
                let expected = packet::changed(packet, parsed, &segment);
                let got = packet::without_checksums(seen, parsed);
                let padding = &packet[parsed.end..];
                let is_same = got
                    .strip_prefix(&*expected)
                    .is_some_and(|rest| rest.is_empty() || rest == padding);
                ensure!(
                    is_same,
                    "the programs make of it (checksums are left out)\n  {}\nand the model\n  {}\n",
                    describe(&got).join("\n  "),
                    describe(&expected).join("\n  ")
                );
            }
            (model, seen) => bail!("the programs say {seen:?}, the model {model:?}"),
        }
        let before = packet::errors(packet, parsed).context("the packet has no checksums")?;
        let behind = packet::errors(seen, parsed).context("what comes out has no checksums")?;
        ensure!(
            before == behind,
            "the checksums of IP and TCP were off by {before:?} and are off by {behind:?}:\n  {}",
            describe(seen).join("\n  ")
        );
        Ok(())
    }

    fn compare_sessions(&self) -> Result<()> {
        let seen = self.bench.datapath.maps.sessions.get(&self.flow.key())?;
        match (&self.model.session, &seen) {
            (None, None) => Ok(()),
            (Some(model), Some(seen)) => same(model, seen),
            (model, seen) => bail!(
                "a session is known to the programs: {}, to the model: {}",
                seen.is_some(),
                model.is_some()
            ),
        }
    }

    /// The counters agree, and the end of the connection leaves nothing behind.
    fn end(mut self) -> Result<()> {
        self.compare_tables()?;
        self.compare_counters()?;
        let Some(session) = self.model.session else {
            return Ok(());
        };
        // The first segment behind an unfinished handshake settles what it was.
        let mut reset = self.flow.egress(0, "").flags(flags::RST);
        reset.sequence = session.streams[0].next;
        let packet = reset.bytes();
        let direction = Direction::Egress;
        let merged = 0;
        self.step(&Step {
            direction,
            merged,
            packet,
        })
        .context("the reset that ends the case")?;
        let session = self.bench.session(self.flow)?;
        let is_positioned = session.streams[0].flags & stream_flags::POSITIONED != 0;
        let is_closed = session.flags & session_flags::CLOSED != 0;
        ensure!(
            is_closed || !is_positioned,
            "the session outlives its reset"
        );
        if is_closed {
            let left = self.bench.expectations()?.len();
            ensure!(left == 0, "{left} expectations outlive their session");
            let clients = self.bench.datapath.maps.clients.entries()?;
            let counted: u32 = clients.iter().map(|(_, sessions)| *sessions).sum();
            ensure!(counted == 0, "{counted} sessions of a client are left");
        }
        self.compare_counters()
    }

    fn compare_tables(&self) -> Result<()> {
        let seen = self.bench.expectations()?;
        let seen = seen.iter().map(|(key, expectation)| Awaited {
            key: *key,
            is_unapproved: expectation.unapproved == 1,
            is_outgoing: expectation.outgoing == 1,
        });
        let seen: Vec<_> = seen.collect();
        let model: Vec<_> = self.model.awaited.into_iter().collect();
        ensure!(
            seen == model,
            "awaited is {seen:?}, and should be {model:?}"
        );
        let sessions = self.bench.datapath.maps.sessions.entries()?.len();
        let known = usize::from(self.model.session.is_some());
        ensure!(sessions == known, "{sessions} sessions, and not {known}");
        Ok(())
    }

    fn compare_counters(&self) -> Result<()> {
        let mut seen = self.bench.counts()?;
        let mut model = self.model.counts.clone();
        // Whether conntrack takes an entry here is not what is tried.
        for counts in [&mut seen, &mut model] {
            let refused = counts.remove(Reason::ConntrackInsertFailed.word());
            if let Some(refused) = refused {
                *counts.entry(Reason::ExpectationMatched.word()).or_default() += refused;
            }
            // Nobody reads the events meanwhile.
            counts.remove(Reason::EventLost.word());
        }
        ensure!(
            seen == model,
            "counted is\n  {seen:?}\nand should be\n  {model:?}"
        );
        Ok(())
    }
}

/// A packet that is none of ours goes on as it is.
fn unchanged(fate: Fate, seen: &[u8], packet: &[u8]) -> Result<()> {
    ensure!(fate == Fate::Next, "it does not go on: {fate:?}");
    ensure!(
        seen == packet,
        "it was changed:\n  {}",
        describe(seen).join("\n  ")
    );
    Ok(())
}

/// All that is remembered is the same, but for times and the journal.
fn same(model: &Session, seen: &Session) -> Result<()> {
    let facts = |session: &Session| {
        let mut facts = *session;
        facts.created = 0;
        facts.last_seen = 0;
        facts.journal = Journal::default();
        facts
    };
    let (model, seen) = (facts(model), facts(seen));
    if model.as_bytes() == seen.as_bytes() {
        return Ok(());
    }
    let head = |session: &Session| {
        let mut head = *session;
        head.streams = [Stream::default(); 2];
        head.rewrites = Rewrites::default();
        format!("{head:?}")
    };
    let mut text = String::new();
    let mut row = |name: String, seen: String, model: String| {
        if seen != model {
            // Writing to a `String` can not fail.
            let _ = writeln!(text, "{name}\n  programs {seen}\n  model    {model}");
        }
    };
    row("session".to_owned(), head(&seen), head(&model));
    for (index, (seen, model)) in seen.streams.iter().zip(&model.streams).enumerate() {
        let name = |what: &str| format!("{what} of direction {index}");
        let numbers = |stream: &Stream| {
            let mut numbers = *stream;
            numbers.parser = LineParser::default();
            format!("{numbers:?}")
        };
        row(name("numbers"), numbers(seen), numbers(model));
        row(
            name("parser"),
            format!("{:?}", seen.parser),
            format!("{:?}", model.parser),
        );
    }
    let (seen, model) = (&seen.rewrites, &model.rewrites);
    let numbers = |rewrites: &Rewrites| {
        let mut numbers = *rewrites;
        numbers.capture = [0; TEXT];
        numbers.ring = [Rewrite::default(); REWRITES];
        format!("{numbers:?}")
    };
    row("rewrites".to_owned(), numbers(seen), numbers(model));
    row(
        "capture".to_owned(),
        seen.capture.escape_ascii().to_string(),
        model.capture.escape_ascii().to_string(),
    );
    for (slot, (seen, model)) in seen.ring.iter().zip(&model.ring).enumerate() {
        row(
            format!("rewrite {slot}"),
            format!("{seen:?}"),
            format!("{model:?}"),
        );
    }
    bail!("what is remembered differs\n{text}")
}
