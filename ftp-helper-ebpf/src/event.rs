//! Counters and events.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::bpf_ktime_get_boot_ns,
};
use ftp_helper_common::{
    address::{Address, Endpoint},
    event::Event,
    grammar::Kind,
    reason::Reason,
    session::SessionKey,
};

use crate::maps::{COUNTERS, EVENTS};

/// Bytes of unread events, a quarter of the ring, for which the agent is not woken.
const PATIENCE: u64 = 64 * 1024;

/// Nanoseconds since boot, suspend included (`CLOCK_BOOTTIME`).
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Counts `reason`.
#[inline(always)]
pub(crate) fn count(reason: Reason) {
    if let Some(counter) = COUNTERS.get_ptr_mut(u32::from(reason as u8)) {
        // SAFETY: a per-CPU value; programs of a CPU do not interrupt each other.
        unsafe { *counter += 1 };
    }
}

/// Counts `reason` and tells the agent.
#[inline(always)]
pub(crate) fn report(
    reason: Reason,
    kind: Kind,
    ifindex: u32,
    session: &SessionKey,
    inside: &Endpoint,
    outside: &Endpoint,
    source: &Address,
) {
    count(reason);
    let Some(mut entry) = EVENTS.reserve::<Event>(0) else {
        count(Reason::EventLost);
        return;
    };
    let event = entry.as_mut_ptr();
    // SAFETY: memory of the ring, for an event; every field is set.
    unsafe {
        (*event).time = now();
        (*event).session = *session;
        (*event).inside = *inside;
        (*event).outside = *outside;
        (*event).source = *source;
        (*event).reason = reason as u8;
        (*event).kind = kind.0;
        (*event).reserved = [0; 2];
        (*event).ifindex = ifindex;
    }
    entry.submit(wake_up());
}

/// Whether an event wakes the agent: it looks into the ring ten times a second anyway, and
/// a wake-up costs an interrupt, more than all the rest of an announcement. One that fills
/// the ring faster than that wakes it.
#[inline(always)]
fn wake_up() -> u64 {
    if EVENTS.query(BPF_RB_AVAIL_DATA.into()) < PATIENCE {
        BPF_RB_NO_WAKEUP.into()
    } else {
        BPF_RB_FORCE_WAKEUP.into()
    }
}
