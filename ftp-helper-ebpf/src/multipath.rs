//! Multipath TCP (RFC 8684) on control connections.
//!
//! Its options say which bytes of the connection a segment carries, and may have a checksum
//! over them, so a text of another length makes both ends lose bytes, or each other; and a
//! second path may lead past the gateway. Without the options of the handshake both ends go
//! on as plain TCP (RFC 8684 section 3.7).

use core::ffi::c_void;

use aya_ebpf::bindings::__sk_buff;
use ftp_helper_common::reason::Reason;

use crate::{
    event,
    frame::{Frame, Work},
    option::{self, HEADER, MAX_HEADER, MULTIPATH, NOP, load_header},
    rewrite::TCP_CHECKSUM,
    skb,
};

/// Takes the options out of a SYN or SYN-ACK; false when the packet could not be changed.
/// A function of its own, behind which the verifier's paths meet.
#[inline(never)]
pub(crate) fn remove(skb: *mut __sk_buff, work: &mut Work) -> bool {
    if work.packet.transport_len <= HEADER {
        return true;
    }
    let mut frame = Frame::bare(skb, work);
    if load_header(&mut frame).is_err() {
        return false;
    }
    let work = frame.work();
    let old = skb::sum(&work.chunk);
    work.position = HEADER;
    work.count = 0;
    work.source = 0;
    // A byte is looked at once more when it turns out to be the first of such an option.
    frame.repeat(2 * (MAX_HEADER - HEADER), blank);
    let work = frame.work();
    if work.source == 0 {
        return true;
    }
    event::count(Reason::Multipath);
    let new = skb::sum(&work.chunk);
    skb::store(skb, work.transport, &work.chunk, work.packet.transport_len).is_ok()
        && skb::l4_apply(skb, work.transport + TCP_CHECKSUM, skb::subtract(new, old)).is_ok()
}

/// Walks one option, or one byte of an option that becomes no operation. `count` has the
/// bytes that are left of it, `source` the start of the last one.
unsafe extern "C" fn blank(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: called by `Frame::repeat`.
    let work = unsafe { Frame::of(context) }.work();
    let at = work.position;
    if work.count > 0 {
        work.chunk[at as usize & 63] = NOP;
        work.count -= 1;
        work.position = at + 1;
        return 0;
    }
    let Some((kind, len)) = option::current(work) else {
        return 1;
    };
    if kind == MULTIPATH {
        work.count = len;
        work.source = at;
    } else {
        work.position = at + len;
    }
    0
}
