//! Rewrites one after the other, and their place in the ring.

use super::{corresponds, held, rewrite, rewrites};
use crate::{
    rewrite::{REWRITES, Rewrite, Rewrites},
    stream::before,
};

#[test]
fn before_looks_at_the_shorter_way_round() {
    assert!(before(1, 2));
    assert!(!before(2, 1));
    assert!(!before(2, 2));
    assert!(before(u32::MAX, 0));
    assert!(!before(0, u32::MAX));
    assert!(before(0xffff_ff00, 0x100));
    assert!(before(5, 5 + 0x7fff_ffff));
    assert!(!before(5, 6 + 0x8000_0000));
}

#[test]
fn a_stream_without_rewrites_shifts_nothing() {
    let rewrites = Rewrites::default();
    assert!(rewrites.is_plain());
    assert_eq!(rewrites.delta(), 0);
    assert_eq!(rewrites.rewrite(0), None);
    corresponds(&rewrites, &[(0, 0), (1, 1), (u32::MAX, u32::MAX)]);
}

#[test]
fn behind_a_longer_text_positions_grow() {
    let rewrites = rewrites(&[rewrite(1000, 16, 19)]);
    assert!(!rewrites.is_plain());
    assert_eq!(rewrites.delta(), 3);
    corresponds(
        &rewrites,
        &[(0, 0), (999, 999), (1000, 1000), (1016, 1019), (2000, 2003)],
    );
}

#[test]
fn behind_a_shorter_text_positions_shrink() {
    let rewrites = rewrites(&[rewrite(1000, 19, 16)]);
    assert_eq!(rewrites.delta(), 0u32.wrapping_sub(3));
    corresponds(&rewrites, &[(1000, 1000), (1019, 1016), (1020, 1017)]);
}

#[test]
fn a_text_of_the_same_length_shifts_nothing() {
    let rewrites = rewrites(&[rewrite(1000, 16, 16)]);
    assert!(!rewrites.is_plain(), "its bytes still have to be replaced");
    assert_eq!(rewrites.delta(), 0);
    corresponds(&rewrites, &[(1000, 1000), (1016, 1016)]);
}

#[test]
fn a_segment_that_starts_inside_a_rewrite_starts_with_its_text() {
    for new_len in [10, 16, 30] {
        let rewrites = rewrites(&[rewrite(1000, 16, new_len)]);
        for position in 1001..1016 {
            assert_eq!(rewrites.to_wire(position), 1000);
        }
        assert_eq!(rewrites.to_wire(1016), 1000 + u32::from(new_len));
    }
}

#[test]
fn an_acknowledgment_inside_a_text_asks_for_all_of_it() {
    for original_len in [10, 16, 30] {
        let rewrites = rewrites(&[rewrite(1000, original_len, 16)]);
        for acknowledgment in 1000..1016 {
            assert_eq!(rewrites.acknowledgment_to_sender(acknowledgment), 1000);
        }
        assert_eq!(
            rewrites.acknowledgment_to_sender(1016),
            1000 + u32::from(original_len)
        );
    }
}

#[test]
fn deltas_add_up() {
    let rewrites = rewrites(&[
        rewrite(100, 10, 15),
        rewrite(200, 20, 18),
        rewrite(220, 5, 5),
        rewrite(300, 30, 31),
    ]);
    assert_eq!(rewrites.delta(), 4);
    corresponds(
        &rewrites,
        &[
            (100, 100),
            (110, 115),
            (200, 205),
            (220, 223),
            (225, 228),
            (300, 303),
            (330, 334),
            (1000, 1004),
        ],
    );
    assert_eq!(rewrites.to_wire(105), 100);
    assert_eq!(rewrites.to_wire(219), 205);
    assert_eq!(rewrites.to_wire(224), 223);
    assert_eq!(rewrites.to_wire(329), 303);
    assert_eq!(rewrites.acknowledgment_to_sender(114), 100);
    assert_eq!(rewrites.acknowledgment_to_sender(222), 200);
    assert_eq!(rewrites.acknowledgment_to_sender(227), 220);
}

#[test]
fn each_rewrite_knows_its_ends_in_both_spaces() {
    let rewrites = rewrites(&[rewrite(100, 10, 15), rewrite(200, 20, 18)]);
    let ends = |age| {
        let rewrite = rewrites.rewrite(age).expect("there are two");
        (
            [rewrite.start, rewrite.end()],
            [rewrite.wire_start(), rewrite.wire_end()],
            [rewrite.delta_before(), rewrite.delta_after],
        )
    };
    assert_eq!(ends(0), ([200, 220], [205, 223], [5, 3]));
    assert_eq!(ends(1), ([100, 110], [100, 115], [0, 5]));
    assert_eq!(rewrites.rewrite(2), None);
}

/// Rewrites of one byte more each, 100 bytes apart.
fn many(count: u32) -> Rewrites {
    let mut rewrites = Rewrites::default();
    for number in 0..count {
        rewrites.push(&rewrite(1000 + 100 * number, 10, 11));
    }
    rewrites
}

#[test]
fn the_ring_keeps_the_last_rewrites() {
    let ring = u32::try_from(REWRITES).expect("a small ring");
    for count in 0..3 * ring {
        let rewrites = many(count);
        assert_eq!(rewrites.done, count);
        assert_eq!(rewrites.delta(), count);
        for age in 0..2 * ring {
            let expected = (age < count && age < ring).then(|| 1000 + 100 * (count - 1 - age));
            let start = rewrites.rewrite(age).map(|rewrite| rewrite.start);
            assert_eq!(start, expected, "{age} of {count}");
        }
    }
}

#[test]
fn the_base_delta_stands_for_the_rewrites_that_were_dropped() {
    let rewrites = many(20);
    assert_eq!(rewrites.base_delta, 12, "8 of 20 are remembered");
    let end_of_the_last_dropped = 1000 + 100 * 11 + 10;
    corresponds(
        &rewrites,
        &[
            (end_of_the_last_dropped, end_of_the_last_dropped + 12),
            (2200, 2212),
            (2210, 2223),
            (2900, 2919),
            (2910, 2930),
        ],
    );
    assert_eq!(many(8).base_delta, 0);
    assert_eq!(many(9).base_delta, 1);
}

#[test]
fn sequence_numbers_wrap() {
    let start = u32::MAX - 4;
    let rewrites = rewrites(&[
        rewrite(u32::MAX - 99, 10, 20),
        rewrite(start, 10, 12),
        rewrite(100, 10, 5),
    ]);
    corresponds(
        &rewrites,
        &[
            (u32::MAX - 200, u32::MAX - 200),
            (u32::MAX - 89, u32::MAX - 79),
            (u32::MAX - 10, u32::MAX),
            (u32::MAX - 9, 0),
            (start, 5),
            (5, 17),
            (99, 111),
            (100, 112),
            (110, 117),
        ],
    );
    assert_eq!(rewrites.to_wire(u32::MAX), 5, "inside the rewrite");
    assert_eq!(rewrites.to_wire(0), 5);
    assert_eq!(rewrites.to_wire(4), 5);
    assert_eq!(rewrites.acknowledgment_to_sender(16), start);
}

#[test]
fn a_base_delta_may_be_negative() {
    let mut rewrites = Rewrites::default();
    for number in 0..20 {
        rewrites.push(&rewrite(100 * number, 12, 10));
    }
    assert_eq!(rewrites.base_delta, 0u32.wrapping_sub(24));
    corresponds(&rewrites, &[(1112, 1088), (1200, 1176), (1912, 1872)]);
    assert_eq!(rewrites.to_wire(1205), 1176);
}

#[test]
fn a_segment_touches_a_rewrite_that_it_overlaps() {
    let rewrite = rewrite(1000, 10, 12);
    for (from, to, touches) in [
        (900, 1000, false),
        (900, 1001, true),
        (1000, 1001, true),
        (1009, 1010, true),
        (1009, 2000, true),
        (1010, 2000, false),
        (900, 2000, true),
        (1000, 1000, false),
    ] {
        assert_eq!(rewrite.touches(from, to), touches, "{from}..{to}");
    }
}

/// Nobody else sends the held bytes.
#[test]
fn a_segment_right_behind_held_bytes_touches_their_rewrite() {
    let rewrite = held(1000, 10, 12, 10);
    for (from, to, touches) in [
        (900, 1000, false),
        (900, 1001, true),
        (1009, 1010, true),
        (1010, 1011, true),
        (1010, 2000, true),
        (1011, 2000, false),
    ] {
        assert_eq!(rewrite.touches(from, to), touches, "{from}..{to}");
    }
}

#[test]
fn touching_is_right_where_sequence_numbers_wrap() {
    let rewrite = rewrite(u32::MAX - 4, 10, 12);
    assert!(rewrite.touches(u32::MAX - 100, u32::MAX - 3));
    assert!(!rewrite.touches(u32::MAX - 100, u32::MAX - 4));
    assert!(rewrite.touches(4, 100));
    assert!(!rewrite.touches(5, 100));
}

#[test]
fn a_copy_is_complete() {
    let mut text = [0; crate::grammar::TEXT];
    for (byte, value) in text.iter_mut().zip(1..) {
        *byte = value;
    }
    let original = Rewrite {
        start: 0x0102_0304,
        original_len: 0x0506,
        new_len: 0x0708,
        delta_after: 0x090a_0b0c,
        digest: 0x0d0e_0f10,
        digest_len: 0x1112,
        held_len: 0x1314,
        text,
    };
    let mut copy = Rewrite::default();
    original.copy_to(&mut copy);
    assert_eq!(copy, original);
}

#[test]
fn a_pushed_rewrite_keeps_everything_but_its_delta() {
    let mut pushed = held(1000, 10, 12, 4);
    pushed.digest = 0x1234_5678;
    pushed.digest_len = 9;
    pushed.text[..12].copy_from_slice(b"203,0,113,1,");
    pushed.delta_after = 0xdead_beef;
    let rewrites = rewrites(&[pushed]);
    let kept = rewrites.rewrite(0).expect("just pushed");
    assert_eq!(
        *kept,
        Rewrite {
            delta_after: 2,
            ..pushed
        }
    );
}
