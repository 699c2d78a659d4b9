//! Segments that arrive before the one that precedes them.
//!
//! Nothing may pass the parser, so such a segment can not go on alone. Dropping
//! it would cost its sender a time-out; a short one is kept and goes on as the
//! tail of the segment that closes the gap. Nobody acknowledged it, so it may be
//! forgotten at any time.

use ftp_helper_common::{
    reason::Reason,
    stream::{STASH, before},
};

use crate::{
    event,
    frame::Frame,
    packet::tcp_flags,
    rewrite::{self, TCP_CHECKSUM},
    skb,
};

/// Keeps the segment at hand, if that is possible.
#[inline(always)]
pub(crate) fn keep(frame: &mut Frame) {
    let skb = frame.skb;
    let (at, len, from) = (frame.work().payload, frame.work().len, frame.work().from);
    let special = tcp_flags::FIN | tcp_flags::RST | tcp_flags::URG;
    if len > STASH as u32 || frame.work().packet.flags & special != 0 {
        event::count(Reason::OutOfOrder);
        return;
    }
    let stream = frame.stream();
    stream.stash_len = 0;
    clear(&mut stream.stash);
    if skb::load(skb, at, &mut stream.stash, len).is_err() {
        event::count(Reason::OutOfOrder);
        return;
    }
    stream.stash_start = from;
    stream.stash_len = len;
    event::count(Reason::Reordered);
}

/// Forgets what was kept.
#[inline(always)]
pub(crate) fn forget(frame: &mut Frame) {
    let stream = frame.stream();
    stream.stash_len = 0;
    clear(&mut stream.stash);
}

/// Appends the stash to the segment at hand, if it starts there.
#[inline(always)]
pub(crate) fn append(frame: &mut Frame) -> Result<(), ()> {
    let end = frame.work().from.wrapping_add(frame.work().len);
    let (start, extra) = (frame.stream().stash_start, frame.stream().stash_len);
    if before(end, start) {
        return Ok(());
    }
    frame.stream().stash_len = 0;
    let result = if start == end {
        append_now(frame, extra)
    } else {
        Ok(())
    };
    // It may be a password, and who reads the maps has no need of it.
    clear(&mut frame.stream().stash);
    result
}

#[inline(always)]
fn append_now(frame: &mut Frame, extra: u32) -> Result<(), ()> {
    let skb = frame.skb;
    let len = frame.work().len;
    if len + extra > rewrite::limit(frame) {
        return Ok(());
    }
    let at = frame.work().payload + len;
    skb::set_len(skb, at + extra)?;
    let stash = &frame.stream().stash;
    skb::store(skb, at, stash, extra)?;
    let sum = skb::at(skb::sum(stash), len);
    let work = frame.work();
    work.len = len + extra;
    work.to = work.from.wrapping_add(work.len);
    skb::l4_apply(skb, work.transport + TCP_CHECKSUM, sum)
}

/// What is loaded is summed as a whole, so the rest has to be zero.
#[inline(always)]
fn clear(stash: &mut [u8; STASH]) {
    for byte in stash.as_chunks_mut::<8>().0 {
        *byte = [0; 8];
    }
}
