//! Unfinished announcements.
//!
//! Bytes that may still need a rewrite are not passed on. The sender may wait
//! for their acknowledgment before it sends the rest (Nagle's algorithm, RFC
//! 896), and would repeat the same piece for ever, so we acknowledge them in the
//! receiver's name. From then on they are ours: they go out together with the
//! bytes that finish the line, as part of a rewrite that every retransmission
//! of those bytes carries again.

use aya_ebpf::{bindings::BPF_F_INGRESS, helpers::generated::bpf_redirect};
use ftp_helper_common::{grammar::TEXT, reason::Reason, straight::is_less};

use crate::{Verdict, announce, event, frame::Frame, packet::tcp_flags, sequence};

/// Most bytes behind the numbers that are held: together with the longest
/// numbers (of `EPRT` with IPv6, 45 bytes) they are one text.
const TRAILING: u32 = TEXT as u32 - 45;

/// Decides at the end of a segment that goes out how many bytes before its end are
/// held. Either they start in this segment, or all of the segment adds to what was held.
#[inline(always)]
pub(crate) fn settle(frame: &mut Frame, end: u32) {
    let len = held_before_end(frame);
    frame.rewrites().hold(end.wrapping_sub(len), len as u16);
}

#[inline(always)]
fn held_before_end(frame: &mut Frame) -> u32 {
    let pending = frame.stream().parser.pending();
    if pending == 0 {
        return 0;
    }
    let held = frame.held();
    // Nothing will be replaced; the parser reads on.
    if held == 0 && !announce::may_rewrite(frame) {
        return 0;
    }
    let finishing = frame.work().packet.has(tcp_flags::FIN);
    let too_long = pending > TEXT as u32 || frame.stream().parser.trailing() > TRAILING;
    if too_long || finishing {
        if too_long {
            event::count(Reason::LineTooLong);
        }
        frame.stream().parser.abandon();
        release(frame);
        return 0;
    }
    if held == 0 {
        event::count(Reason::LineHeld);
    }
    pending
}

/// Gives up a hold: the bytes go out unchanged in front of the segment at hand.
#[inline(always)]
pub(crate) fn release(frame: &mut Frame) {
    if frame.held() == 0 {
        return;
    }
    let rewrites = frame.rewrites();
    let (start, held) = (rewrites.hold_start, rewrites.hold_len);
    let capture: *const [u8; TEXT] = &raw const rewrites.capture;
    let rewrite = &mut frame.work().rewrite;
    rewrite.start = start;
    rewrite.original_len = held;
    rewrite.new_len = held;
    rewrite.digest = 0;
    rewrite.digest_len = 0;
    rewrite.held_len = held;
    // SAFETY: another map value.
    copy_start(unsafe { &*capture }, &mut rewrite.text, held.into());
    announce::push(frame);
    event::count(Reason::LineReleased);
}

/// Copies the first `len` bytes; those behind them become zero, because texts are
/// summed as a whole.
#[inline(always)]
fn copy_start(from: &[u8; TEXT], to: &mut [u8; TEXT], len: u32) {
    for (index, (from, to)) in from.iter().zip(to).enumerate() {
        *to = from * is_less(index as u32, len) as u8;
    }
}

/// Nothing of the segment may go on: turns it into the receiver's
/// acknowledgment of what is held, and sends it back.
///
/// An acknowledgment covers everything before it, so the receiver must have
/// that. Until it has, its own acknowledgment will do, which is translated to the
/// end of what is held.
#[inline(always)]
pub(crate) fn acknowledge(frame: &mut Frame) -> Verdict {
    let start = frame.rewrites().hold_start;
    let wire = sequence::to_wire(frame, start);
    if !frame.stream().has_arrived(wire) {
        return Verdict::Drop;
    }
    if sequence::reflect(frame).is_err() {
        event::count(Reason::RewriteFailed);
        return Verdict::Drop;
    }
    // What was going out enters through the interface again.
    let ifindex = frame.work().ifindex;
    // SAFETY: only sets up the redirection.
    unsafe { bpf_redirect(ifindex, BPF_F_INGRESS.into()) };
    Verdict::Redirect
}
