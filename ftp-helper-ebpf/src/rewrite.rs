//! Bringing a segment into its wire form.
//!
//! Sums are taken over exactly the bytes that change or move, so that the TCP
//! checksum is right whether it is complete or left to the device: in the
//! latter case the kernel skips differences outside the pseudo header by itself.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_check_mtu;
use ftp_helper_common::{
    grammar::{LineParser, TEXT},
    reason::Reason,
    rewrite::REWRITES,
    straight::{choose, is_less},
    stream::before,
};
use network_types::ip::Ipv6Hdr;

use crate::{
    event,
    frame::{CHUNK, Frame},
    packet::tcp_flags,
    sequence, skb,
};

/// TCP checksum, in bytes from the start of the header.
pub(crate) const TCP_CHECKSUM: u32 = 16;
/// Total length and checksum of IPv4, payload length of IPv6.
const V4_LENGTH: u32 = 2;
const V4_CHECKSUM: u32 = 10;
const V6_LENGTH: u32 = 4;
/// Values of [`Work::fault`](crate::frame::Work): the packet could not be changed,
/// it has other bytes at the place of a rewrite, or it has to go on in pieces.
pub(crate) const FAILURE: u32 = 1;
pub(crate) const MISMATCH: u32 = 2;
pub(crate) const TOO_LARGE: u32 = 3;

/// Cuts a segment that goes out down to `work.to` and puts every text that it touches in
/// place. Headers are right afterwards, but for sequence numbers.
#[inline(always)]
pub(crate) fn apply(frame: &mut Frame) -> Result<(), ()> {
    let len = frame.work().len;
    fit(frame)?;
    let keep = frame.work().to.wrapping_sub(frame.work().from);
    if keep < len {
        trim(frame, keep)?;
        sequence::clear_flag(frame, tcp_flags::FIN)?;
    }
    let from = frame.work().from;
    frame.work().wire = sequence::to_wire(frame, from);
    frame.work().fault = 0;
    frame.repeat(REWRITES as u32, apply_one);
    if frame.work().fault != 0 {
        return Err(());
    }
    set_lengths(frame)
}

/// A segment that changes its length can not stay a GSO segment, a piece of one is none
/// any more, and neither must outgrow the interface: what is too large goes on in pieces.
#[inline(always)]
fn fit(frame: &mut Frame) -> Result<(), ()> {
    // SAFETY: the context is valid for the run of the program.
    let is_merged = unsafe { (*frame.skb).gso_size } > 0;
    let work = frame.work();
    let (from, to) = (work.from, work.to);
    let is_piece = work.segment > 0 && !is_merged;
    work.growth = 0;
    work.single = (is_piece || to.wrapping_sub(from) != work.len).into();
    frame.repeat(REWRITES as u32, fit_one);
    let growth = frame.work().growth;
    if frame.work().single == 0 {
        return Ok(());
    }
    let limit = limit(frame);
    let len = to.wrapping_sub(from);
    if len + growth <= limit {
        return Ok(());
    }
    // A text that the cut goes through is sent as a whole.
    let keep = limit.saturating_sub(growth + TEXT as u32).max(1);
    if keep >= len {
        return Ok(());
    }
    frame.work().split = keep;
    frame.work().fault = TOO_LARGE;
    Err(())
}

/// Most payload that the packet may have when it is one frame: what the
/// interface takes, but of a merged one not more than one of its segments, or
/// than every path takes (RFC 9293 section 3.7.1).
#[inline(always)]
pub(crate) fn limit(frame: &mut Frame) -> u32 {
    let skb = frame.skb;
    let mut mtu = 0u32;
    // SAFETY: `mtu` is writable.
    unsafe { bpf_check_mtu(skb.cast(), 0, &raw mut mtu, 0, 0) };
    let work = frame.work();
    let segment = work.segment;
    let interface = mtu.saturating_sub(work.packet.transport + work.packet.transport_len);
    if segment == 0 {
        return interface;
    }
    interface.min(segment.max(if work.packet.is_v4 { 536 } else { 1220 }))
}

unsafe extern "C" fn fit_one(age: u32, context: *mut c_void) -> i64 {
    // SAFETY: called by `Frame::repeat`.
    let frame = unsafe { Frame::of(context) };
    let (from, to) = (frame.work().from, frame.work().to);
    let Some(rewrite) = frame.rewrites().rewrite(age) else {
        return 1;
    };
    if !rewrite.touches(from, to) {
        return 0;
    }
    let (old, new) = (u32::from(rewrite.original_len), u32::from(rewrite.new_len));
    let held = u32::from(rewrite.held_len);
    let work = frame.work();
    if new != old || held > 0 {
        work.single = 1;
    }
    work.growth += new.saturating_sub(old) + held;
    0
}

/// Puts the text of one rewrite in place, the newest first: those before it
/// keep their positions.
unsafe extern "C" fn apply_one(age: u32, context: *mut c_void) -> i64 {
    // SAFETY: called by `Frame::repeat`.
    let frame = unsafe { Frame::of(context) };
    let (from, to) = (frame.work().from, frame.work().to);
    if !frame.fetch_rewrite(age) {
        return 1;
    }
    let rewrite = &frame.work().rewrite;
    if !rewrite.touches(from, to) {
        return 0;
    }
    let start = if before(rewrite.start, from) {
        from
    } else {
        rewrite.start
    };
    let end = if before(to, rewrite.end()) {
        to
    } else {
        rewrite.end()
    };
    let whole = start == rewrite.start && end == rewrite.end();
    let old = end.wrapping_sub(start);
    // A segment that starts inside a rewrite, or right behind held bytes, starts
    // with the rewrite's text.
    if !before(from, rewrite.start) {
        frame.work().wire = frame.work().rewrite.wire_start();
    }
    if replace(frame, start.wrapping_sub(from), old, whole).is_err() {
        let work = frame.work();
        if work.fault == 0 {
            work.fault = FAILURE;
        }
        return 1;
    }
    if age >= frame.work().rewrites {
        event::count(Reason::RewriteRepeated);
    }
    0
}

/// Replaces `old` payload bytes at `position` by the text of `work.rewrite`.
/// `whole`: those are all of the bytes that were replaced at first.
#[inline(always)]
fn replace(frame: &mut Frame, position: u32, old: u32, whole: bool) -> Result<(), ()> {
    let skb = frame.skb;
    let work = frame.work();
    if old > TEXT as u32 || position > work.len || position + old > work.len {
        return Err(());
    }
    let new = u32::from(work.rewrite.new_len);
    let at = work.payload + position;
    let tail = work.len - position - old;
    clear_chunk(frame);
    let work = frame.work();
    if old > 0 {
        skb::load(skb, at, &mut work.chunk, old)?;
        if whole && work.rewrite.digest_len > 0 && digest(frame) != frame.work().rewrite.digest {
            event::count(Reason::OverlapMismatch);
            frame.work().fault = MISMATCH;
            return Err(());
        }
    }
    let work = frame.work();
    let (old_sum, new_sum) = (skb::sum(&work.chunk), skb::sum(&work.rewrite.text));
    let mut difference = skb::subtract(skb::at(new_sum, position), skb::at(old_sum, position));
    if new != old {
        let moved = shift(frame, at + old, at + new, tail)?;
        let was = skb::at(moved, position + old);
        let is = skb::at(moved, position + new);
        difference = skb::add(difference, skb::subtract(is, was));
    }
    let work = frame.work();
    work.len = work.len - old + new;
    if new > 0 {
        skb::store(skb, at, &work.rewrite.text, new)?;
    }
    skb::l4_apply(skb, work.transport + TCP_CHECKSUM, difference)
}

/// Digest of the bytes in the chunk that the first transmission had.
#[inline(always)]
fn digest(frame: &mut Frame) -> u32 {
    let work = frame.work();
    let len = u32::from(work.rewrite.digest_len);
    let mut digest = LineParser::digest_basis();
    for index in 0..TEXT {
        let added = LineParser::digest_add(digest, work.chunk[index]);
        digest = choose(is_less(index as u32, len), added, digest);
    }
    digest
}

/// Moves the last `len` bytes of the packet from `source` to `target`, which is
/// also how the packet grows or shrinks. Returns their sum, as from an even
/// position.
#[inline(always)]
fn shift(frame: &mut Frame, source: u32, target: u32, len: u32) -> Result<u32, ()> {
    let skb = frame.skb;
    let work = frame.work();
    work.source = source;
    work.target = target;
    work.count = len;
    work.sum = 0;
    if target > source {
        skb::set_len(skb, target + len)?;
    }
    frame.repeat(len.div_ceil(CHUNK as u32) & 0xffff, shift_chunk);
    let work = frame.work();
    if work.fault != 0 {
        return Err(());
    }
    let sum = work.sum;
    if target < source {
        skb::set_len(skb, target + len)?;
    }
    Ok(sum)
}

unsafe extern "C" fn shift_chunk(index: u32, context: *mut c_void) -> i64 {
    // SAFETY: called by `Frame::repeat`.
    let frame = unsafe { Frame::of(context) };
    let skb = frame.skb;
    let (source, target, len) = (frame.work().source, frame.work().target, frame.work().count);
    // From the end when the bytes move back, so that none is overwritten.
    let index = if target > source {
        len.div_ceil(CHUNK as u32) - 1 - index
    } else {
        index
    };
    let offset = index.wrapping_mul(CHUNK as u32);
    let moved = load_chunk(frame, offset)
        .and_then(|count| skb::store(skb, target + offset, &frame.work().chunk, count));
    stop_at_failure(frame, moved)
}

/// Cuts the first `count` bytes of the payload off.
#[inline(always)]
pub(crate) fn behead(frame: &mut Frame, count: u32) -> Result<(), ()> {
    let skb = frame.skb;
    let work = frame.work();
    let (payload, rest) = (work.payload, work.len - count);
    let cut = sum(frame, payload, count)?;
    let moved = shift(frame, payload + count, payload, rest)?;
    let work = frame.work();
    work.len = rest;
    let old = skb::add(cut, skb::at(moved, count));
    let difference = skb::subtract(moved, old);
    skb::l4_apply(skb, work.transport + TCP_CHECKSUM, difference)
}

/// Cuts the payload down to its first `keep` bytes.
#[inline(always)]
pub(crate) fn trim(frame: &mut Frame, keep: u32) -> Result<(), ()> {
    let skb = frame.skb;
    let work = frame.work();
    let (start, count) = (work.payload + keep, work.len - keep);
    let cut = skb::at(sum(frame, start, count)?, keep);
    let work = frame.work();
    work.len = keep;
    skb::l4_apply(skb, work.transport + TCP_CHECKSUM, skb::subtract(0, cut))?;
    skb::set_len(skb, work.payload + keep)
}

/// The sum of `count` bytes of the packet, as from an even position.
#[inline(always)]
fn sum(frame: &mut Frame, start: u32, count: u32) -> Result<u32, ()> {
    let work = frame.work();
    work.source = start;
    work.count = count;
    work.sum = 0;
    frame.repeat(count.div_ceil(CHUNK as u32) & 0xffff, sum_chunk);
    let work = frame.work();
    if work.fault == 0 {
        Ok(work.sum)
    } else {
        Err(())
    }
}

unsafe extern "C" fn sum_chunk(index: u32, context: *mut c_void) -> i64 {
    // SAFETY: called by `Frame::repeat`.
    let frame = unsafe { Frame::of(context) };
    let loaded = load_chunk(frame, index.wrapping_mul(CHUNK as u32)).map(drop);
    stop_at_failure(frame, loaded)
}

/// Loads what is left of `work.count` bytes behind `offset`, at most a chunk of
/// them, and adds them to the sum. Returns their number.
#[inline(always)]
fn load_chunk(frame: &mut Frame, offset: u32) -> Result<u32, ()> {
    let skb = frame.skb;
    clear_chunk(frame);
    let work = frame.work();
    let count = work.count.wrapping_sub(offset).min(CHUNK as u32);
    skb::load(skb, work.source + offset, &mut work.chunk, count)?;
    work.sum = skb::add(work.sum, skb::sum(&work.chunk));
    Ok(count)
}

/// What a step of a loop returns.
#[inline(always)]
fn stop_at_failure(frame: &mut Frame, result: Result<(), ()>) -> i64 {
    if result.is_ok() {
        return 0;
    }
    frame.work().fault = FAILURE;
    1
}

/// What is loaded is summed as a whole, so the rest has to be zero.
#[inline(always)]
pub(crate) fn clear_chunk(frame: &mut Frame) {
    for word in frame.work().chunk.words() {
        // SAFETY: a valid reference; volatile, so that it does not become a call
        // of `memset`, whose loop the verifier would have to follow.
        unsafe { core::ptr::from_mut(word).write_volatile(0) };
    }
}

/// Brings the IP length and the length in TCP's pseudo header to the payload
/// length of now.
#[inline(always)]
pub(crate) fn set_lengths(frame: &mut Frame) -> Result<(), ()> {
    let skb = frame.skb;
    let work = frame.work();
    let declared = work.declared;
    if work.len == declared {
        return Ok(());
    }
    work.declared = work.len;
    let network = work.transport - work.packet.transport;
    let (old, new) = (
        work.packet.transport_len + declared,
        work.packet.transport_len + work.len,
    );
    skb::l4_replace_u16(
        skb,
        work.transport + TCP_CHECKSUM,
        (old as u16).to_be(),
        (new as u16).to_be(),
        skb::PSEUDO_HEADER,
    )?;
    if work.packet.is_v4 {
        let old = ((old + work.packet.transport) as u16).to_be();
        let new = ((new + work.packet.transport) as u16).to_be();
        skb::l3_replace(skb, network + V4_CHECKSUM, old, new)?;
        skb::write(skb, network + V4_LENGTH, &new.to_ne_bytes())
    } else {
        // Extension headers count as payload.
        let new = (new + work.packet.transport - size_of::<Ipv6Hdr>() as u32) as u16;
        skb::write(skb, network + V6_LENGTH, &new.to_be_bytes())
    }
}
