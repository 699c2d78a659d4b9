//! Held bytes: acknowledged in the receiver's name, not on the wire yet.

use super::{corresponds, held, rewrite, rewrites};
use crate::rewrite::{Question, Rewrites};

/// The last `hold_len` bytes before `next` are held.
fn holding(mut rewrites: Rewrites, next: u32, hold_len: u16) -> Rewrites {
    rewrites.hold(next.wrapping_sub(hold_len.into()), hold_len);
    rewrites
}

#[test]
fn held_bytes_end_where_the_parser_is() {
    let rewrites = holding(Rewrites::default(), 1010, 10);
    assert_eq!(rewrites.hold_end(), 1010);
    assert!(!rewrites.is_plain());
    let nothing = holding(Rewrites::default(), 1010, 0);
    assert_eq!(nothing.hold_end(), 1010);
    assert!(nothing.is_plain());
    assert_eq!(holding(Rewrites::default(), 4, 10).hold_end(), 4);
}

#[test]
fn held_bytes_take_no_place_on_the_wire() {
    let rewrites = holding(Rewrites::default(), 1010, 10);
    for (sender, wire) in [
        (990, 990),
        (1000, 1000),
        (1001, 1000),
        (1009, 1000),
        (1010, 1000),
    ] {
        assert_eq!(rewrites.to_wire(sender), wire);
    }
}

#[test]
fn what_is_held_stays_acknowledged() {
    let rewrites = holding(Rewrites::default(), 1010, 10);
    for (wire, sender) in [(990, 990), (999, 999), (1000, 1010)] {
        assert_eq!(rewrites.acknowledgment_to_sender(wire), sender);
    }
    // A SACK block says what arrived out of order; held bytes never did.
    assert_eq!(rewrites.edge_to_sender(1000, true), 1000);
    assert_eq!(rewrites.edge_to_sender(1000, false), 1000);
}

#[test]
fn without_a_hold_the_last_byte_is_like_any_other() {
    let rewrites = holding(rewrites(&[rewrite(500, 10, 13)]), 1010, 0);
    corresponds(&rewrites, &[(1000, 1003), (1010, 1013), (1011, 1014)]);
}

#[test]
fn a_hold_lies_behind_the_rewrites_before_it() {
    let rewrites = holding(
        rewrites(&[rewrite(500, 10, 13), rewrite(600, 10, 15)]),
        1010,
        10,
    );
    for (sender, wire) in [
        (500, 500),
        (510, 513),
        (610, 618),
        (1000, 1008),
        (1005, 1008),
        (1010, 1008),
    ] {
        assert_eq!(rewrites.to_wire(sender), wire);
    }
    assert_eq!(rewrites.acknowledgment_to_sender(1007), 999);
    assert_eq!(rewrites.acknowledgment_to_sender(1008), 1010);
    assert_eq!(rewrites.acknowledgment_to_sender(610), 600);
}

#[test]
fn a_hold_may_lie_where_sequence_numbers_wrap() {
    let rewrites = holding(Rewrites::default(), 4, 8);
    for position in [u32::MAX - 2, u32::MAX, 0, 4] {
        assert_eq!(rewrites.to_wire(position), u32::MAX - 3);
    }
    assert_eq!(rewrites.to_wire(u32::MAX - 10), u32::MAX - 10);
    assert_eq!(rewrites.acknowledgment_to_sender(u32::MAX - 3), 4);
    assert_eq!(
        rewrites.acknowledgment_to_sender(u32::MAX - 4),
        u32::MAX - 4
    );
}

#[test]
fn only_sequence_numbers_care_about_the_place_of_a_hold() {
    let rewrites = holding(Rewrites::default(), 1010, 10);
    assert_eq!(rewrites.begin(Question::ToWire, 1005), 1000);
    for question in [
        Question::Acknowledgment,
        Question::LeftEdge,
        Question::RightEdge,
    ] {
        assert_eq!(rewrites.begin(question, 1005), 1005);
    }
}

#[test]
fn what_was_held_stays_acknowledged_when_its_rewrite_is_on_the_way() {
    // Of 16 bytes, 10 were held; the text has 20.
    let rewrites = rewrites(&[held(1000, 16, 20, 10)]);
    assert_eq!(rewrites.acknowledgment_to_sender(999), 999);
    for wire in 1000..1020 {
        assert_eq!(rewrites.acknowledgment_to_sender(wire), 1010);
    }
    assert_eq!(rewrites.acknowledgment_to_sender(1020), 1016);
    assert_eq!(rewrites.acknowledgment_to_sender(1021), 1017);
}

#[test]
fn the_sender_goes_on_behind_what_was_held() {
    let rewrites = rewrites(&[held(1000, 16, 20, 10)]);
    assert_eq!(rewrites.to_wire(1010), 1000, "the text starts this segment");
    assert_eq!(rewrites.to_wire(1016), 1020);
}

#[test]
fn a_released_hold_is_a_rewrite_to_the_same_bytes() {
    let rewrites = rewrites(&[rewrite(500, 10, 13), held(1000, 10, 10, 10)]);
    assert_eq!(rewrites.delta(), 3);
    for wire in 1003..1013 {
        assert_eq!(rewrites.acknowledgment_to_sender(wire), 1010);
    }
    assert_eq!(rewrites.acknowledgment_to_sender(1013), 1010);
    assert_eq!(rewrites.acknowledgment_to_sender(1014), 1011);
    assert_eq!(rewrites.to_wire(1010), 1013);
}
