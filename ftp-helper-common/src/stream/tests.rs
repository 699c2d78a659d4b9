//! What the receiver said it has, in the numbers of the wire.

use super::{Stream, flags};

/// A stream whose parser is at `next`.
fn read_up_to(next: u32) -> Stream {
    Stream {
        next,
        flags: flags::POSITIONED,
        ..Stream::default()
    }
}

#[test]
fn nothing_has_arrived_before_the_receiver_was_heard() {
    let mut stream = read_up_to(1000);
    assert!(!stream.has_arrived(0));
    assert!(!stream.has_arrived(1000));
    stream.hear(900, 0);
    assert!(stream.has_arrived(900));
    assert!(stream.has_arrived(899));
    assert!(!stream.has_arrived(901));
    assert!(!stream.has_arrived(1000));
}

#[test]
fn the_last_acknowledgment_counts_not_an_older_one_that_comes_late() {
    let mut stream = read_up_to(1000);
    for acknowledgment in [900, 950, 920, 950, 949] {
        stream.hear(acknowledgment, 0);
    }
    assert_eq!(stream.acknowledged, 950);
    stream.hear(1000, 0);
    assert_eq!(stream.acknowledged, 1000);
}

#[test]
fn bytes_that_were_never_sent_are_not_acknowledged() {
    let mut stream = read_up_to(1000);
    stream.hear(1002, 0);
    assert!(!stream.has_arrived(1000));
    assert_eq!(stream.heard, 0);
    stream.hear(1001, 0);
    assert_eq!(stream.acknowledged, 1001, "of a FIN");
}

#[test]
fn the_end_on_the_wire_lies_behind_the_rewrites() {
    let mut longer = read_up_to(1000);
    longer.hear(1007, 5);
    assert!(!longer.has_arrived(1000));
    longer.hear(1006, 5);
    assert_eq!(longer.acknowledged, 1006);

    let shorter_by = |bytes: u32| bytes.wrapping_neg();
    let mut shorter = read_up_to(1000);
    shorter.hear(997, shorter_by(5));
    assert!(!shorter.has_arrived(990));
    shorter.hear(996, shorter_by(5));
    assert_eq!(shorter.acknowledged, 996);
}

#[test]
fn before_the_first_data_any_acknowledgment_is_believed() {
    let mut stream = Stream::default();
    stream.hear(0x1234_5678, 0);
    assert!(stream.has_arrived(0x1234_5678));
    assert!(!stream.has_arrived(0x1234_5679));
}

#[test]
fn arrival_wraps() {
    let mut stream = read_up_to(100);
    stream.hear(u32::MAX - 50, 0);
    assert!(stream.has_arrived(u32::MAX - 60));
    assert!(!stream.has_arrived(u32::MAX));
    assert!(!stream.has_arrived(10));
    stream.hear(10, 0);
    assert!(stream.has_arrived(u32::MAX));
    assert!(stream.has_arrived(10));
    assert!(!stream.has_arrived(11));
    stream.hear(u32::MAX, 0);
    assert_eq!(stream.acknowledged, 10);
}
