//! Arbitrary streams in arbitrary pieces.

use std::vec::Vec;

use proptest::{collection::vec, prelude::*, sample::Index};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::{stream, without};
use crate::grammar::{
    Kind, LineParser, Role,
    tests::harness::{Event, Reader, digest, events},
};

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

/// Cuts a stream at the given places.
fn pieces<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|ends| &stream[ends[0]..ends[1]])
        .collect()
}

/// Pushes a piece; passes over what may be skipped, in steps of at most `stride`.
fn push_or_skip(reader: &mut Reader, mut piece: &[u8], stride: usize) {
    while let Some((first, rest)) = piece.split_first() {
        let run = piece
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(piece.len());
        if reader.parser.skipping() && run > 0 {
            let (skipped, rest) = piece.split_at(run.min(stride));
            reader.skip(skipped);
            piece = rest;
        } else {
            reader.push(*first);
            piece = rest;
        }
    }
}

/// Without the place in the stream, and without the delimiter where it means
/// nothing.
fn regardless_of_place(mut events: Vec<Event>) -> Vec<Event> {
    for event in &mut events {
        if let Event::Announcement(found) = event {
            found.start = 0;
            if !matches!(found.announcement.kind, Kind::EPRT | Kind::REPLY_229) {
                found.announcement.delimiter = 0;
            }
        }
    }
    events
}

proptest! {
    #[test]
    fn arbitrary_bytes_break_nothing(role in role(), stream in vec(any::<u8>(), 0..300)) {
        // The reader checks every step.
        let lines = events(role, &stream)
            .iter()
            .filter(|event| matches!(event, Event::Line(_)))
            .count();
        prop_assert_eq!(lines, stream.split(|byte| *byte == b'\n').count() - 1);
    }

    #[test]
    fn where_a_stream_is_cut_makes_no_difference(
        role in role(),
        stream in stream(),
        cuts in vec(any::<Index>(), 0..12),
        stride in 1usize..40,
    ) {
        let whole = events(role, &stream);
        let mut reader = Reader::new(role);
        for piece in pieces(&stream, &cuts) {
            push_or_skip(&mut reader, piece, stride);
            // Between two segments the parser lies in a map as plain bytes.
            let stored = reader.parser.as_bytes().to_vec();
            reader.parser = LineParser::read_from_bytes(&stored).expect("its own size");
        }
        prop_assert_eq!(reader.events, whole);
    }

    #[test]
    fn each_role_announces_only_in_its_own_way(stream in stream()) {
        for (role, kinds) in [
            (Role::Client, [Kind::PORT, Kind::EPRT]),
            (Role::Server, [Kind::REPLY_227, Kind::REPLY_229]),
        ] {
            for event in events(role, &stream) {
                if let Event::Announcement(found) = event {
                    prop_assert!(kinds.contains(&found.announcement.kind));
                }
            }
        }
    }

    #[test]
    fn a_line_is_read_the_same_wherever_it_stands(role in role(), stream in stream()) {
        // Replies of several lines are the one thing that outlives a line.
        let stream = without(b'-', stream);
        let by_line: Vec<_> = stream
            .split_inclusive(|byte| *byte == b'\n')
            .flat_map(|line| events(role, line))
            .collect();
        prop_assert_eq!(regardless_of_place(events(role, &stream)), regardless_of_place(by_line));
    }

    #[test]
    fn a_digest_tells_texts_apart(text in vec(any::<u8>(), 1..64), at in any::<Index>(), flip in 1u8..) {
        let mut other = text.clone();
        other[at.index(text.len())] ^= flip;
        prop_assert_ne!(digest(&text), digest(&other));
    }
}
