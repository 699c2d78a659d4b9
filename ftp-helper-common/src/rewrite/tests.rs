//! Positions: tables with a few rewrites, then everything against
//! a model that lays every byte on the wire.

mod edges;
mod hold;
mod model;
mod ring;

use super::{Rewrite, Rewrites};

/// A rewrite as its maker fills it in.
fn rewrite(start: u32, original_len: u16, new_len: u16) -> Rewrite {
    Rewrite {
        start,
        original_len,
        new_len,
        ..Rewrite::default()
    }
}

/// A rewrite of a line whose first `held_len` bytes were acknowledged before.
fn held(start: u32, original_len: u16, new_len: u16, held_len: u16) -> Rewrite {
    Rewrite {
        held_len,
        ..rewrite(start, original_len, new_len)
    }
}

/// These, one after the other.
fn rewrites(all: &[Rewrite]) -> Rewrites {
    let mut rewrites = Rewrites::default();
    for rewrite in all {
        rewrites.push(rewrite);
    }
    rewrites
}

/// The translations of both ways between positions outside of rewrites.
#[track_caller]
fn corresponds(rewrites: &Rewrites, pairs: &[(u32, u32)]) {
    for (sender, wire) in pairs {
        assert_eq!(rewrites.to_wire(*sender), *wire, "{sender} to the wire");
        assert_eq!(
            rewrites.acknowledgment_to_sender(*wire),
            *sender,
            "acknowledgment {wire}"
        );
        for left in [true, false] {
            assert_eq!(
                rewrites.edge_to_sender(*wire, left),
                *sender,
                "edge {wire}, left {left}"
            );
        }
    }
}
