//! One processor at a time works on a direction of a session.
//!
//! Two segments of a direction rarely meet, but when they do (a retransmission
//! on another queue), both must not extend the ring. An element of a hash map
//! is the lock: inserting it with `BPF_NOEXIST` is atomic, works on every kernel
//! and needs no BTF of the map's value, as `bpf_spin_lock` does. The BPF target
//! of Rust has no compare-and-swap.

use aya_ebpf::bindings::BPF_NOEXIST;
use ftp_helper_common::session::SessionKey;

use crate::{frame::Frame, maps::LOCKS};

/// A direction of a session.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Lock {
    session: SessionKey,
    egress: u32,
}

impl Lock {
    #[inline(always)]
    fn of(frame: &mut Frame) -> Self {
        Self {
            session: frame.work().key,
            egress: frame.egress as u32,
        }
    }
}

/// False when another processor has it.
#[inline(always)]
pub(crate) fn take(frame: &mut Frame) -> bool {
    LOCKS.insert(Lock::of(frame), 1, BPF_NOEXIST.into()).is_ok()
}

/// Gives back what was taken.
#[inline(always)]
pub(crate) fn give_back(frame: &mut Frame) {
    // Nobody else removes it, so it is there.
    let _ = LOCKS.remove(Lock::of(frame));
}
