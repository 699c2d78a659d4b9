//! Options of the TCP header (RFC 9293 section 3.1).

use crate::{
    frame::{Frame, Work},
    rewrite, skb,
};

/// Bytes of a header without options, and the most there can be with them.
pub(crate) const HEADER: u32 = 20;
pub(crate) const MAX_HEADER: u32 = 60;

/// Kinds: no operation, SACK (RFC 2018), timestamps (RFC 7323), Multipath TCP (RFC 8684).
pub(crate) const NOP: u8 = 1;
pub(crate) const SACK: u8 = 5;
pub(crate) const TIMESTAMPS: u8 = 8;
pub(crate) const MULTIPATH: u8 = 30;
/// The end of the list.
const END: u8 = 0;

/// Reads the TCP header into the chunk; what is behind it is zero.
#[inline(always)]
pub(crate) fn load_header(frame: &mut Frame) -> Result<(), ()> {
    let skb = frame.skb;
    rewrite::clear_chunk(frame);
    let work = frame.work();
    let len = work.packet.transport_len;
    skb::load(skb, work.transport, &mut work.chunk, len)
}

/// Kind and length, in bytes, of the option at `work.position` of the header in the chunk.
/// `None` behind the last one, and at one behind which a receiver does not read on.
#[inline(always)]
pub(crate) fn current(work: &Work) -> Option<(u8, u32)> {
    let at = work.position;
    if at >= work.packet.transport_len || at >= MAX_HEADER {
        return None;
    }
    let kind = work.chunk[at as usize & 63];
    if kind == END {
        return None;
    }
    if kind == NOP {
        return Some((kind, 1));
    }
    let len = u32::from(work.chunk[(at as usize + 1) & 63]);
    (len >= 2 && at + len <= work.packet.transport_len).then_some((kind, len))
}
