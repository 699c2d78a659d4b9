//! Segments that go on in pieces.
//!
//! A segment may grow beyond what the interface takes, or bring more
//! announcements than one run can work on. The first piece of it is cloned, the
//! rest is redirected to where the packet is going anyway, and both come by here
//! again, one right after the other on the same processor. There [`cut_out`]
//! makes a segment of its own of each, as its sender could have sent it.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_clone_redirect, bpf_redirect},
};
use ftp_helper_common::{reason::Reason, session::SessionKey};

use crate::{
    Verdict, event,
    frame::{Frame, Work},
    packet::tcp_flags,
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
}

/// Sends the first `size` payload bytes of the packet and the rest of them on
/// their way one after the other. Nothing in the working memory holds behind
/// this.
#[inline(always)]
pub(crate) fn split(frame: &mut Frame, size: u32) -> Verdict {
    // What came too early may have been appended already.
    if rewrite::set_lengths(frame).is_err() {
        event::count(Reason::RewriteFailed);
        return Verdict::Drop;
    }
    let skb = frame.skb;
    let work = frame.work();
    let (sequence, len, ifindex) = (work.packet.sequence, work.len, work.ifindex);
    work.piece.session = work.key;
    work.piece.sequence = sequence;
    work.piece.offset = 0;
    work.piece.len = size;
    // SAFETY: `skb` is the context of the program. A piece that gets lost is
    // repeated by its sender.
    unsafe { bpf_clone_redirect(skb, ifindex, 0) };
    let work = frame.work();
    // The first piece may have been split again.
    work.piece.sequence = sequence;
    work.piece.offset = size;
    work.piece.len = len.wrapping_sub(size);
    // What they mean is the business of the piece that carries them.
    work.packet.flags = 0;
    // SAFETY: only sets up the redirection.
    unsafe { bpf_redirect(ifindex, 0) };
    Verdict::Redirect
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
    work.packet.payload_len = work.len;
    work.to = work.from.wrapping_add(work.len);
    Ok(())
}
