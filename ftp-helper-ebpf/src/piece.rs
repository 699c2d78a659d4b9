//! Segments that go on in pieces.
//!
//! A segment may grow beyond what the interface takes, or bring more
//! announcements than one run can work on. All pieces of it but the last are cloned, the
//! packet itself is redirected to where it is going anyway, and they come by here
//! again, one right after the other on the same processor. There [`cut_out`]
//! makes a segment of its own of each, as its sender could have sent it.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_clone_redirect, bpf_redirect},
};
use ftp_helper_common::{grammar::TEXT, reason::Reason, session::SessionKey};

use crate::{
    Verdict, event,
    frame::{Frame, Work},
    packet::tcp_flags,
    repeat::repeat,
    rewrite, sequence,
};

/// A part of the payload of the next packet.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    session: SessionKey,
    /// Sequence number of the packet that it is a part of.
    sequence: u32,
    /// Where it starts, in bytes.
    offset: u32,
    /// Its length in bytes; 0 when the next packet is meant as a whole.
    len: u32,
    /// See [`Work::segment`], which the kernel does not tell of a piece.
    segment: u32,
}

/// A packet that goes on in pieces: the first one, others of equal size, and what is left.
#[repr(C)]
struct Parts {
    skb: *mut __sk_buff,
    work: *mut Work,
    ifindex: u32,
    /// Of the packet: sequence number, payload length and [`Work::segment`].
    sequence: u32,
    len: u32,
    segment: u32,
    /// Bytes in the first piece.
    first: u32,
    /// Bytes in each of the others.
    other: u32,
}

impl Parts {
    /// Makes a piece the one that is due.
    #[inline(always)]
    fn announce(&self, index: u32) {
        // SAFETY: a per-CPU map value, see `Work`.
        let work = unsafe { &mut *self.work };
        let (offset, size) = match index {
            0 => (0, self.first),
            _ => (self.first + (index - 1) * self.other, self.other),
        };
        // All of it, because a piece may have been split again.
        work.piece.sequence = self.sequence;
        work.piece.segment = self.segment;
        work.piece.offset = offset;
        work.piece.len = size.min(self.len.wrapping_sub(offset));
    }
}

/// Sends the first `size` payload bytes of the packet and the rest of them on
/// their way one after the other. Nothing in the working memory holds behind
/// this.
///
/// The rest is cut into frames here and not piece by piece as it comes by again: the
/// kernel ends what is redirected within a redirection after eight times. A function of
/// its own, so that its part of the stack is not below that of everything else.
#[inline(never)]
pub(crate) fn split(frame: &mut Frame, size: u32) -> Verdict {
    // What came too early may have been appended already.
    if rewrite::set_lengths(frame).is_err() {
        event::count(Reason::RewriteFailed);
        return Verdict::Drop;
    }
    // One announcement, or two, may grow without another cut.
    let other = rewrite::limit(frame).saturating_sub(2 * TEXT as u32).max(1);
    let skb = frame.skb;
    let work = frame.work();
    let mut parts = Parts {
        skb,
        work: core::ptr::from_mut(work),
        ifindex: work.ifindex,
        sequence: work.packet.sequence,
        len: work.len,
        segment: work.segment,
        first: size,
        other,
    };
    work.piece.session = work.key;
    let others = parts.len.wrapping_sub(size).div_ceil(other);
    repeat(others, send_clone, &mut parts);
    parts.announce(others);
    // What they mean is the business of the piece that carries them.
    frame.work().packet.flags = 0;
    // SAFETY: only sets up the redirection.
    unsafe { bpf_redirect(parts.ifindex, 0) };
    Verdict::Redirect
}

/// Sends one piece; the last one is the packet itself.
unsafe extern "C" fn send_clone(index: u32, context: *mut c_void) -> i64 {
    // SAFETY: the context is the `Parts` of `split`.
    let parts = unsafe { &*context.cast::<Parts>() };
    parts.announce(index);
    // SAFETY: `skb` is the context of the program. A piece that gets lost is
    // repeated by its sender.
    unsafe { bpf_clone_redirect(parts.skb, parts.ifindex, 0) };
    0
}

/// Reduces the packet to the piece of it that is due, if it is one of several;
/// false when that failed. A function of its own, behind which the verifier's
/// paths meet.
#[inline(never)]
pub(crate) fn take(skb: *mut __sk_buff, work: &mut Work) -> bool {
    work.piece.len == 0 || cut_out(&mut Frame::bare(skb, work)).is_ok()
}

/// Makes the piece of the packet that is due a segment of its own.
#[inline(always)]
fn cut_out(frame: &mut Frame) -> Result<(), ()> {
    let work = frame.work();
    let (offset, len) = (work.piece.offset, work.piece.len);
    work.piece.len = 0;
    let end = offset.wrapping_add(len);
    let is_due = work.packet.sequence == work.piece.sequence && work.key == work.piece.session;
    // Otherwise the piece never came by, and this is another packet.
    if !is_due || end > work.len || end < offset {
        return Ok(());
    }
    if end < work.len {
        rewrite::trim(frame, end)?;
        sequence::clear_flag(frame, tcp_flags::FIN)?;
    }
    if offset > 0 {
        rewrite::behead(frame, offset)?;
        sequence::advance(frame, offset)?;
    }
    rewrite::set_lengths(frame)?;
    let work = frame.work();
    work.segment = work.piece.segment;
    work.packet.payload_len = work.len;
    work.to = work.from.wrapping_add(work.len);
    Ok(())
}
