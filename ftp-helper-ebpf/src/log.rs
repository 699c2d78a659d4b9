//! Log lines for debugging, through aya-log. The agent sets the level before it
//! loads the programs, so at the usual level the verifier removes them. What an
//! operator needs is in counters and events.

use aya_ebpf::programs::TcContext;
use aya_log_ebpf::{debug, trace};

use crate::{Verdict, frame::Frame};

/// A segment with payload went through all stages.
#[inline(never)]
pub(crate) fn segment(frame: &mut Frame, verdict: Verdict) {
    let ctx = TcContext::new(frame.skb);
    let egress = frame.egress;
    let work = frame.work();
    trace!(
        &ctx,
        "segment: egress {}, ports {} to {}, sequence {} is {} outside, {} bytes, verdict {}",
        egress,
        work.packet.source.port,
        work.packet.destination.port,
        work.packet.sequence,
        work.wire,
        work.len,
        verdict.code()
    );
}

/// A segment was dropped, or sent back as an acknowledgment.
#[inline(never)]
pub(crate) fn stopped(frame: &mut Frame, verdict: Verdict) {
    let ctx = TcContext::new(frame.skb);
    let work = frame.work();
    debug!(
        &ctx,
        "stopped: ports {} to {}, sequence {}, {} bytes, verdict {}",
        work.packet.source.port,
        work.packet.destination.port,
        work.packet.sequence,
        work.packet.payload_len,
        verdict.code()
    );
}
