//! The translation against a model that lays the bytes of a sender on the wire
//! one by one.

use std::{vec, vec::Vec};

use proptest::{collection::vec, prelude::*};

use super::held;
use crate::rewrite::{REWRITES, Rewrites};

/// One rewrite of a plan: how many bytes after the one before, and its lengths.
#[derive(Clone, Copy, Debug)]
struct Plan {
    gap: usize,
    original_len: usize,
    new_len: usize,
    held_len: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let len = || prop_oneof![1 => 0usize..3, 2 => 0usize..=64];
    (prop_oneof![1 => 0usize..3, 2 => 0usize..40], len(), len()).prop_flat_map(
        |(gap, original_len, new_len)| {
            prop_oneof![Just(0), 0..=original_len].prop_map(move |held_len| Plan {
                gap,
                original_len,
                new_len,
                held_len,
            })
        },
    )
}

/// A rewrite laid out; places are counted from the start of the stream.
#[derive(Clone, Copy, Debug)]
struct Text {
    start: usize,
    end: usize,
    /// The first so many of its bytes stay acknowledged.
    ours: usize,
    wire_start: usize,
    wire_end: usize,
}

/// Where a byte of the sender went.
#[derive(Clone, Copy, Debug)]
enum Byte {
    /// To this place of the wire.
    Sent(usize),
    /// It was replaced, by the text with this index.
    Replaced(usize),
    /// It is held.
    Held,
}

struct Model {
    bytes: Vec<Byte>,
    texts: Vec<Text>,
    wire_len: usize,
}

impl Model {
    fn new(plans: &[Plan], tail: usize, hold: usize) -> Self {
        let (mut bytes, mut texts, mut wire_len) = (Vec::new(), Vec::new(), 0);
        let send = |bytes: &mut Vec<Byte>, wire_len: &mut usize, count| {
            for _ in 0..count {
                bytes.push(Byte::Sent(*wire_len));
                *wire_len += 1;
            }
        };
        for (index, plan) in plans.iter().enumerate() {
            send(&mut bytes, &mut wire_len, plan.gap);
            let (start, wire_start) = (bytes.len(), wire_len);
            bytes.extend(vec![Byte::Replaced(index); plan.original_len]);
            wire_len += plan.new_len;
            texts.push(Text {
                start,
                end: bytes.len(),
                ours: start + plan.held_len,
                wire_start,
                wire_end: wire_len,
            });
        }
        send(&mut bytes, &mut wire_len, tail);
        bytes.extend(vec![Byte::Held; hold]);
        Self {
            bytes,
            texts,
            wire_len,
        }
    }

    /// First place of either space that the ring still knows about.
    fn known(&self) -> (usize, usize) {
        match self.texts.len().checked_sub(REWRITES + 1) {
            Some(last_dropped) => {
                let text = self.texts[last_dropped];
                (text.end, text.wire_end)
            }
            None => (0, 0),
        }
    }

    /// The place of the wire where a segment starts that begins with this byte of
    /// the sender.
    fn to_wire(&self, place: usize) -> usize {
        match self.bytes.get(place) {
            Some(Byte::Sent(wire)) => *wire,
            Some(Byte::Replaced(text)) => self.texts[*text].wire_start,
            Some(Byte::Held) | None => self.wire_len,
        }
    }

    /// Bytes that are not held.
    fn sent(&self) -> usize {
        let held = |byte: &&Byte| matches!(byte, Byte::Held);
        self.bytes.len() - self.bytes.iter().rev().take_while(held).count()
    }

    /// The receiver has the wire up to `arrived`: how many bytes from the start
    /// the sender need not keep. At least `from`.
    fn acknowledged(&self, arrived: usize, from: usize) -> usize {
        let done = |place: usize| match self.bytes[place] {
            Byte::Sent(wire) => wire < arrived,
            Byte::Replaced(text) => {
                let text = self.texts[text];
                text.wire_end <= arrived || (text.wire_start <= arrived && place < text.ours)
            }
            Byte::Held => arrived == self.wire_len,
        };
        (from..self.bytes.len())
            .find(|place| !done(*place))
            .unwrap_or(self.bytes.len())
    }

    /// True when all that became of a byte lies on the wire in `[left, right)`.
    fn arrived(&self, place: usize, left: usize, right: usize) -> bool {
        match self.bytes[place] {
            Byte::Sent(wire) => left <= wire && wire < right,
            Byte::Replaced(text) => {
                let text = self.texts[text];
                left <= text.wire_start && text.wire_end <= right
            }
            Byte::Held => false,
        }
    }
}

/// The same plan in a [`Rewrites`] whose first byte has this sequence number.
fn translated(model: &Model, first: u32, hold: usize) -> Rewrites {
    let mut rewrites = Rewrites::default();
    for text in &model.texts {
        rewrites.push(&held(
            sequence(first, text.start),
            length(text.end - text.start),
            length(text.wire_end - text.wire_start),
            length(text.ours - text.start),
        ));
    }
    let hold_start = model.bytes.len() - hold;
    rewrites.hold(sequence(first, hold_start), length(hold));
    rewrites
}

fn sequence(first: u32, place: usize) -> u32 {
    first.wrapping_add(u32::try_from(place).expect("a short stream"))
}

fn place(first: u32, sequence: u32) -> usize {
    sequence.wrapping_sub(first) as usize
}

fn length(len: usize) -> u16 {
    u16::try_from(len).expect("a short text")
}

/// First sequence numbers, many of them short before the wrap.
fn first() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), (0u32..1500).prop_map(|back| u32::MAX - back)]
}

prop_compose! {
    /// A model, its first sequence number, and the rewrites that have to agree.
    fn scene()(
        plans in vec(plan(), 0..2 * REWRITES),
        tail in 1usize..30,
        hold in prop_oneof![2 => Just(0usize), 1 => 1usize..=64],
        first in first(),
    ) -> (Scene, u32) {
        let model = Model::new(&plans, tail, hold);
        let rewrites = translated(&model, first, hold);
        (Scene { model, rewrites, plans }, first)
    }
}

struct Scene {
    model: Model,
    rewrites: Rewrites,
    plans: Vec<Plan>,
}

impl core::fmt::Debug for Scene {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.plans.fmt(formatter)
    }
}

proptest! {
    #[test]
    fn every_byte_has_its_place_on_the_wire((scene, first) in scene()) {
        let Scene { model, rewrites, .. } = scene;
        for place in model.known().0..=model.bytes.len() {
            let wire = rewrites.to_wire(sequence(first, place));
            prop_assert_eq!(self::place(first, wire), model.to_wire(place), "byte {}", place);
        }
    }

    #[test]
    fn acknowledgments_never_promise_too_much_nor_too_little((scene, first) in scene()) {
        let Scene { model, rewrites, .. } = scene;
        let mut last = 0;
        for wire in model.known().1..=model.wire_len {
            let acknowledged = rewrites.acknowledgment_to_sender(sequence(first, wire));
            let acknowledged = place(first, acknowledged);
            prop_assert_eq!(acknowledged, model.acknowledged(wire, last), "wire {}", wire);
            prop_assert!(last <= acknowledged, "wire {} goes back", wire);
            last = acknowledged;
        }
        prop_assert_eq!(last, model.bytes.len());
    }

    #[test]
    fn what_is_acknowledged_was_sent((scene, first) in scene()) {
        let Scene { model, rewrites, .. } = scene;
        for place in model.known().0..=model.bytes.len() {
            let wire = rewrites.to_wire(sequence(first, place));
            let back = self::place(first, rewrites.acknowledgment_to_sender(wire));
            let skips_ahead = model
                .texts
                .iter()
                .any(|text| text.wire_start == self::place(first, wire)
                    && (text.ours > text.start || text.wire_end == text.wire_start));
            match model.bytes.get(place) {
                Some(Byte::Sent(_)) => prop_assert_eq!(back, place),
                Some(Byte::Replaced(text)) if !skips_ahead => {
                    prop_assert_eq!(back, model.texts[*text].start);
                }
                Some(Byte::Replaced(_)) => prop_assert!(back >= model.acknowledged(self::place(first, wire), 0)),
                Some(Byte::Held) | None => prop_assert_eq!(back, model.bytes.len()),
            }
        }
    }

    #[test]
    fn selective_acknowledgments_claim_only_what_arrived((scene, first) in scene()) {
        let Scene { model, rewrites, .. } = scene;
        let known = model.known();
        let edge = |wire, left| place(first, rewrites.edge_to_sender(sequence(first, wire), left));
        // What lies between a left and a right edge lies behind the one and before
        // the other.
        for wire in known.1..=model.wire_len {
            let (left, right) = (edge(wire, true), edge(wire, false));
            prop_assert!(left >= known.0 && right >= known.0);
            for place in left..model.sent() {
                prop_assert!(model.arrived(place, wire, model.wire_len), "{} from {}", place, wire);
            }
            for place in known.0..right {
                prop_assert!(model.arrived(place, 0, wire), "{} up to {}", place, wire);
            }
        }
    }

    /// But for bytes that nothing was put in place of, right at the edge.
    #[test]
    fn selective_acknowledgments_claim_all_that_arrived((scene, first) in scene()) {
        let Scene { model, rewrites, .. } = scene;
        let known = model.known();
        let edge = |wire, left| place(first, rewrites.edge_to_sender(sequence(first, wire), left));
        for wire in known.1..=model.wire_len {
            let nothing = |place: &usize| match model.bytes[*place] {
                Byte::Replaced(text) => model.texts[text].wire_end == wire,
                _ => false,
            };
            let first_missing = (known.0..model.sent()).find(|place| !model.arrived(*place, 0, wire));
            let right = first_missing.unwrap_or(model.sent());
            prop_assert!(edge(wire, false) >= right, "up to {}", wire);
            let last_missing = (known.0..model.sent())
                .rfind(|place| nothing(place) || !model.arrived(*place, wire, model.wire_len));
            let left = last_missing.map_or(known.0, |place| place + 1);
            prop_assert!(edge(wire, true) <= left, "from {}", wire);
        }
    }
}
