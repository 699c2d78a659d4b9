//! Segments that arrive before the one that precedes them.
//!
//! Nothing may pass the parser, so such a segment can not go on alone. Dropping
//! it would cost its sender a time-out; a short one is kept and goes on as the
//! tail of the segment that closes the gap. Nobody acknowledged it, so it may be
//! forgotten at any time: its place is one of a few, and whoever comes next takes it.

use ftp_helper_common::{
    reason::Reason,
    stash::{STASH, Stash, place_of},
    stream::{before, flags as stream_flags},
};

use crate::{
    atomic::exchange,
    event,
    frame::Frame,
    maps::STASHES,
    packet::tcp_flags,
    rewrite::{self, TCP_CHECKSUM},
    skb,
};

/// Keeps the segment at hand, if that is possible.
#[inline(always)]
pub(crate) fn keep(frame: &mut Frame) {
    let special = tcp_flags::FIN | tcp_flags::RST | tcp_flags::URG;
    let fits = frame.work().len <= STASH as u32 && frame.work().packet.flags & special == 0;
    let kept = fits && with_place(frame, keep_in) == Some(Ok(()));
    event::count(if kept {
        Reason::Reordered
    } else {
        Reason::OutOfOrder
    });
}

#[inline(always)]
fn keep_in(frame: &mut Frame, place: &mut Stash) -> Result<(), ()> {
    let skb = frame.skb;
    let direction = frame.direction();
    let work = frame.work();
    empty(place);
    skb::load(skb, work.payload, &mut place.bytes, work.len)?;
    place.session = work.key;
    place.direction = direction as u32;
    place.start = work.from;
    place.len = work.len;
    frame.stream().flags |= stream_flags::STASHED;
    Ok(())
}

/// Forgets what was kept.
#[inline(always)]
pub(crate) fn forget(frame: &mut Frame) {
    if frame.stream().flags & stream_flags::STASHED == 0 {
        return;
    }
    frame.stream().flags &= !stream_flags::STASHED;
    // A failure leaves it to whoever takes the place next.
    let _ = with_place(frame, |frame, place| {
        if is_own(frame, place) {
            empty(place);
        }
        Ok(())
    });
}

/// Appends what was kept to the segment at hand, if it starts there. A function of its
/// own, behind which the verifier's paths meet.
#[inline(never)]
pub(crate) fn append(frame: &mut Frame) -> Result<(), ()> {
    let end = frame.work().from.wrapping_add(frame.work().len);
    with_place(frame, |frame, place| {
        let is_own = is_own(frame, place);
        if is_own && before(end, place.start) {
            return Ok(());
        }
        frame.stream().flags &= !stream_flags::STASHED;
        if !is_own {
            return Ok(());
        }
        let result = if place.start == end {
            append_now(frame, place)
        } else {
            Ok(())
        };
        // It may be a password, and who reads the maps has no need of it.
        empty(place);
        result
    })
    .unwrap_or(Ok(()))
}

#[inline(always)]
fn append_now(frame: &mut Frame, place: &Stash) -> Result<(), ()> {
    let skb = frame.skb;
    let (len, extra) = (frame.work().len, place.len);
    if len + extra > rewrite::limit(frame) {
        return Ok(());
    }
    let at = frame.work().payload + len;
    skb::set_len(skb, at + extra)?;
    skb::store(skb, at, &place.bytes, extra)?;
    let sum = skb::at(skb::sum(&place.bytes), len);
    let work = frame.work();
    work.len = len + extra;
    work.to = work.from.wrapping_add(work.len);
    skb::l4_apply(skb, work.transport + TCP_CHECKSUM, sum)
}

/// Works on the connection's place; `None` while another processor does.
#[inline(always)]
fn with_place(
    frame: &mut Frame,
    work_on: impl FnOnce(&mut Frame, &mut Stash) -> Result<(), ()>,
) -> Option<Result<(), ()>> {
    let direction = frame.direction();
    let place = place_of(&frame.work().key, direction);
    let place = STASHES.get_ptr_mut(place)?;
    // SAFETY: a value of an array, which stays where it is; plain numbers, and whoever has
    // the lock is alone.
    let place = unsafe { &mut *place };
    if exchange(&mut place.lock, 1) != 0 {
        return None;
    }
    let result = work_on(frame, place);
    exchange(&mut place.lock, 0);
    Some(result)
}

/// Whether the place has something of this direction of the connection.
#[inline(always)]
fn is_own(frame: &mut Frame, place: &Stash) -> bool {
    let direction = frame.direction() as u32;
    place.len > 0 && place.session == frame.work().key && place.direction == direction
}

/// What is loaded is summed as a whole, so the rest has to be zero.
#[inline(always)]
fn empty(place: &mut Stash) {
    place.len = 0;
    for bytes in place.bytes.as_chunks_mut::<8>().0 {
        *bytes = [0; 8];
    }
}
