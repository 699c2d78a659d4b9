//! Damage to single bytes.

use std::ops::Range;

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

/// Bytes that mean something in some place.
const SPECIAL: &[u8] = b"\0\t\n\r !(),-./0123456789:ALPS[]_afz{|}~\x7f\x80\xf2\xf4\xfb\xfe\xff";

/// What happens to a place of the text.
#[derive(Clone, Debug)]
enum Change {
    Replace(u8),
    Insert(u8),
    Flip(u8),
    Remove,
    /// The byte there once more, so many times.
    Repeat(usize),
    /// So many bytes from there on are removed.
    Cut(usize),
    /// So many bytes from there on once more.
    Double(usize),
}

/// The text with some places of it changed.
pub(super) fn damaged(
    text: impl Strategy<Value = Vec<u8>>,
    places: Range<usize>,
) -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<Index>(), change()), places);
    (text, changes).prop_map(|(mut text, changes)| {
        for (place, change) in changes {
            if !text.is_empty() {
                let place = place.index(text.len());
                apply(&mut text, place, &change);
            }
        }
        text
    })
}

fn change() -> impl Strategy<Value = Change> {
    let byte = prop_oneof![3 => select(SPECIAL), 1 => any::<u8>()];
    prop_oneof![
        4 => byte.clone().prop_map(Change::Replace),
        4 => byte.prop_map(Change::Insert),
        1 => (0..8).prop_map(|bit| Change::Flip(1_u8 << bit)),
        3 => Just(Change::Remove),
        1 => (1..80usize).prop_map(Change::Repeat),
        1 => (1..10usize).prop_map(Change::Cut),
        1 => (1..30usize).prop_map(Change::Double),
    ]
}

fn apply(text: &mut Vec<u8>, place: usize, change: &Change) {
    let end = |len: usize| (place + len).min(text.len());
    match *change {
        Change::Replace(byte) => text[place] = byte,
        Change::Insert(byte) => text.insert(place, byte),
        Change::Flip(bit) => text[place] ^= bit,
        Change::Remove => {
            text.remove(place);
        }
        Change::Repeat(count) => {
            let byte = text[place];
            text.splice(place..place, vec![byte; count]);
        }
        Change::Cut(len) => {
            text.drain(place..end(len));
        }
        Change::Double(len) => {
            let part = text[place..end(len)].to_vec();
            text.splice(place..place, part);
        }
    }
}
