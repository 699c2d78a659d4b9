//! Edges of SACK blocks: the sender must never be told that something arrived
//! which did not.

use super::{held, rewrite, rewrites};

#[test]
fn edges_outside_of_rewrites_are_shifted() {
    let rewrites = rewrites(&[rewrite(1000, 10, 15), rewrite(1100, 10, 7)]);
    for left in [true, false] {
        for (wire, sender) in [
            (999, 999),
            (1000, 1000),
            (1015, 1010),
            (1016, 1011),
            (1104, 1099),
            (1105, 1100),
            (1112, 1110),
            (1113, 1111),
        ] {
            assert_eq!(rewrites.edge_to_sender(wire, left), sender);
        }
    }
}

#[test]
fn a_block_that_starts_inside_a_text_starts_behind_the_rewrite() {
    let rewrites = rewrites(&[rewrite(1000, 10, 15)]);
    for wire in 1001..1015 {
        assert_eq!(rewrites.edge_to_sender(wire, true), 1010);
    }
}

#[test]
fn a_block_that_ends_inside_a_text_ends_before_the_rewrite() {
    let rewrites = rewrites(&[rewrite(1000, 10, 15)]);
    for wire in 1001..1015 {
        assert_eq!(rewrites.edge_to_sender(wire, false), 1000);
    }
}

#[test]
fn a_block_inside_one_text_claims_nothing() {
    let rewrites = rewrites(&[rewrite(1000, 10, 15)]);
    let left = rewrites.edge_to_sender(1003, true);
    let right = rewrites.edge_to_sender(1012, false);
    assert!(right <= left, "{left}..{right} is no block");
}

#[test]
fn a_text_that_arrived_whole_is_claimed() {
    let rewrites = rewrites(&[rewrite(1000, 10, 15)]);
    assert_eq!(rewrites.edge_to_sender(1000, true), 1000);
    assert_eq!(rewrites.edge_to_sender(1015, false), 1010);
}

#[test]
fn neighbouring_rewrites_are_told_apart() {
    let rewrites = rewrites(&[rewrite(1000, 10, 15), rewrite(1010, 10, 4)]);
    assert_eq!(rewrites.edge_to_sender(1015, true), 1010);
    assert_eq!(rewrites.edge_to_sender(1015, false), 1010);
    assert_eq!(rewrites.edge_to_sender(1014, true), 1010);
    assert_eq!(rewrites.edge_to_sender(1016, false), 1010);
    assert_eq!(rewrites.edge_to_sender(1016, true), 1020);
    assert_eq!(rewrites.edge_to_sender(1019, false), 1020);
}

#[test]
fn held_bytes_make_no_difference() {
    let rewrites = rewrites(&[held(1000, 16, 20, 10)]);
    for wire in 1001..1020 {
        assert_eq!(rewrites.edge_to_sender(wire, true), 1016);
        assert_eq!(rewrites.edge_to_sender(wire, false), 1000);
    }
}

#[test]
fn edges_wrap() {
    let rewrites = rewrites(&[rewrite(u32::MAX - 4, 10, 15)]);
    assert_eq!(rewrites.edge_to_sender(u32::MAX - 4, true), u32::MAX - 4);
    assert_eq!(rewrites.edge_to_sender(u32::MAX, true), 5);
    assert_eq!(rewrites.edge_to_sender(3, true), 5);
    assert_eq!(rewrites.edge_to_sender(3, false), u32::MAX - 4);
    assert_eq!(rewrites.edge_to_sender(10, false), 5);
}
