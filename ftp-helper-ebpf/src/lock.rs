//! One processor at a time works on a direction of a session.
//!
//! Two segments of a direction rarely meet, but when they do (a retransmission
//! on another queue), both must not extend the ring. A word of the session is the
//! lock. `bpf_spin_lock` needs the BTF of the map's value, and no helper function may be
//! called under it.

use crate::{atomic::exchange, frame::Frame};

/// False when another processor has it.
#[inline(always)]
pub(crate) fn take(frame: &mut Frame) -> bool {
    exchange(frame.lock(), 1) == 0
}

/// Gives back what was taken.
#[inline(always)]
pub(crate) fn give_back(frame: &mut Frame) {
    exchange(frame.lock(), 0);
}
