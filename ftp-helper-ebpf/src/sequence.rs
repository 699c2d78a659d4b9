//! Sequence, acknowledgment and SACK numbers.
//!
//! What goes out is shifted by its rewrites, and what comes in acknowledges it.

use core::ffi::c_void;

use ftp_helper_common::{rewrite::Question, session::Direction, stream::before};

use crate::{
    announce,
    frame::Frame,
    option::{self, HEADER, MAX_HEADER, NOP, SACK, TIMESTAMPS, load_header},
    packet::{LINK_HEADER, tcp_flags},
    rewrite::{self, TCP_CHECKSUM},
    ring, skb,
};

/// Offsets in the TCP header.
const SEQUENCE: u32 = 4;
const ACKNOWLEDGMENT: u32 = 8;
/// Header length, and the flags in its second byte.
const FLAGS: u32 = 12;
const URGENT: u32 = 18;

/// Where a number of what goes out is on the wire.
#[inline(always)]
pub(crate) fn to_wire(frame: &mut Frame, number: u32) -> u32 {
    ring::ask(frame.rewrites(), Question::ToWire, number)
}

/// Translates the header of a segment whose payload is in its wire form, with
/// `work.wire` as its first byte.
#[inline(always)]
pub(crate) fn translate(frame: &mut Frame) -> Result<(), ()> {
    match frame.direction() {
        Direction::Egress => outgoing(frame),
        Direction::Ingress => incoming(frame),
    }
}

#[inline(always)]
fn outgoing(frame: &mut Frame) -> Result<(), ()> {
    let (from, to) = (frame.work().packet.sequence, frame.work().wire);
    if to != from {
        replace_u32(frame, SEQUENCE, from, to)?;
    }
    if frame.work().packet.has(tcp_flags::URG) {
        urgent(frame, from, to)?;
    }
    Ok(())
}

#[inline(always)]
fn incoming(frame: &mut Frame) -> Result<(), ()> {
    if !frame.work().packet.has(tcp_flags::ACK) || frame.rewrites().is_plain() {
        return Ok(());
    }
    let from = frame.work().packet.acknowledgment;
    let to = ring::ask(frame.rewrites(), Question::Acknowledgment, from);
    if to != from {
        replace_u32(frame, ACKNOWLEDGMENT, from, to)?;
    }
    if frame.work().packet.transport_len > HEADER && frame.rewrites().done > 0 {
        return selective(frame);
    }
    Ok(())
}

/// Translates the urgent pointer. One that points over bytes which may still be
/// rewritten can not be right, and a receiver never takes it back: the segment goes on
/// without. The one with the urgent byte brings it again.
#[inline(always)]
fn urgent(frame: &mut Frame, from: u32, to: u32) -> Result<(), ()> {
    let urgent = frame.work().packet.urgent;
    let behind = from.wrapping_add(urgent.into());
    let read = if frame.rewrites().hold_len > 0 {
        frame.rewrites().hold_start
    } else {
        frame.stream().next
    };
    if before(read, behind) && announce::may_rewrite(frame) {
        clear_flag(frame, tcp_flags::URG)?;
        return replace_u16(frame, URGENT, urgent, 0);
    }
    let behind = to_wire(frame, behind);
    replace_u16(frame, URGENT, urgent, behind.wrapping_sub(to) as u16)
}

/// Translates the edges of SACK blocks.
#[inline(always)]
fn selective(frame: &mut Frame) -> Result<(), ()> {
    load_header(frame)?;
    let work = frame.work();
    work.position = HEADER;
    work.count = 0;
    frame.repeat(MAX_HEADER - HEADER, find_sack);
    if frame.work().count == 0 {
        return Ok(());
    }
    // At most four blocks of two edges.
    frame.repeat(8, translate_edge);
    if frame.work().fault != 0 {
        Err(())
    } else {
        Ok(())
    }
}

/// Walks one option; leaves position and number of SACK edges in `source` and
/// `count`.
unsafe extern "C" fn find_sack(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: called by `Frame::repeat`.
    let work = unsafe { Frame::of(context) }.work();
    let Some((kind, len)) = option::current(work) else {
        return 1;
    };
    if kind == SACK {
        work.source = work.position + 2;
        work.count = (len - 2) / 4;
        return 1;
    }
    work.position += len;
    0
}

unsafe extern "C" fn translate_edge(index: u32, context: *mut c_void) -> i64 {
    // SAFETY: called by `Frame::repeat`.
    let frame = unsafe { Frame::of(context) };
    let work = frame.work();
    if index >= work.count {
        return 1;
    }
    let at = work.source + index * 4;
    if at + 4 > MAX_HEADER {
        return 1;
    }
    let byte = |offset: u32| work.chunk[(at + offset) as usize & 63];
    let edge = u32::from_be_bytes([byte(0), byte(1), byte(2), byte(3)]);
    let question = if index & 1 == 0 {
        Question::LeftEdge
    } else {
        Question::RightEdge
    };
    let translated = ring::ask(frame.rewrites(), question, edge);
    if translated != edge && replace_u32(frame, at, edge, translated).is_err() {
        frame.work().fault = 1;
        return 1;
    }
    0
}

/// The segment starts `bytes` later than its header says.
#[inline(always)]
pub(crate) fn advance(frame: &mut Frame, bytes: u32) -> Result<(), ()> {
    let from = frame.work().packet.sequence;
    let to = from.wrapping_add(bytes);
    replace_u32(frame, SEQUENCE, from, to)?;
    let work = frame.work();
    work.packet.sequence = to;
    work.from = to;
    if !work.packet.has(tcp_flags::URG) {
        return Ok(());
    }
    let urgent = work.packet.urgent;
    if u32::from(urgent) <= bytes {
        return clear_flag(frame, tcp_flags::URG);
    }
    let left = urgent - bytes as u16;
    work.packet.urgent = left;
    replace_u16(frame, URGENT, urgent, left)
}

/// Clears a flag of the TCP header.
#[inline(always)]
pub(crate) fn clear_flag(frame: &mut Frame, flag: u8) -> Result<(), ()> {
    if !frame.work().packet.has(flag) {
        return Ok(());
    }
    let skb = frame.skb;
    let at = frame.work().transport + FLAGS;
    frame.work().packet.flags &= !flag;
    let word = u16::from_be_bytes(skb::read(skb, at)?);
    replace_u16(frame, FLAGS, word, word & !u16::from(flag))
}

/// Replaces a number at `at` bytes into the TCP header.
#[inline(always)]
fn replace_u32(frame: &mut Frame, at: u32, from: u32, to: u32) -> Result<(), ()> {
    let skb = frame.skb;
    let transport = frame.work().transport;
    skb::write(skb, transport + at, &to.to_be_bytes())?;
    let difference = skb::subtract(to.to_be(), from.to_be());
    skb::l4_apply(skb, transport + TCP_CHECKSUM, skb::at(difference, at))
}

#[inline(always)]
fn replace_u16(frame: &mut Frame, at: u32, from: u16, to: u16) -> Result<(), ()> {
    let skb = frame.skb;
    let transport = frame.work().transport;
    skb::write(skb, transport + at, &to.to_be_bytes())?;
    skb::l4_replace_u16(skb, transport + TCP_CHECKSUM, from.to_be(), to.to_be(), 0)
}

/// Turns the segment into the receiver's acknowledgment of everything up to the
/// end of the held bytes, on its way back: no payload, both ends swapped.
#[inline(always)]
pub(crate) fn reflect(frame: &mut Frame) -> Result<(), ()> {
    let skb = frame.skb;
    rewrite::trim(frame, 0)?;
    rewrite::set_lengths(frame)?;
    load_header(frame)?;
    let hold_start = frame.rewrites().hold_start;
    // In the numbers of the wire: the packet is translated on its way in again.
    let acknowledgment = to_wire(frame, hold_start);
    let sequence = frame.work().packet.acknowledgment;
    let window = frame.reverse().window;
    let work = frame.work();
    // The header has 60 bytes at most; those behind it are zero.
    let old = skb::sum(&work.chunk);
    let ports = [work.chunk[2], work.chunk[3], work.chunk[0], work.chunk[1]];
    let (sequence, acknowledgment) = (sequence.to_be_bytes(), acknowledgment.to_be_bytes());
    for index in 0..4 {
        work.chunk[index] = ports[index];
        work.chunk[4 + index] = sequence[index];
        work.chunk[8 + index] = acknowledgment[index];
    }
    let window = window.to_be_bytes();
    work.chunk[13] = tcp_flags::ACK;
    work.chunk[14] = window[0];
    work.chunk[15] = window[1];
    work.chunk[18] = 0;
    work.chunk[19] = 0;
    work.position = HEADER;
    frame.repeat(MAX_HEADER - HEADER, reflect_option);
    let work = frame.work();
    let new = skb::sum(&work.chunk);
    skb::store(skb, work.transport, &work.chunk, work.packet.transport_len)?;
    skb::l4_apply(skb, work.transport + TCP_CHECKSUM, skb::subtract(new, old))?;
    swap_addresses(frame)
}

/// Timestamps change places, every other option becomes no operation.
unsafe extern "C" fn reflect_option(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: called by `Frame::repeat`.
    let work = unsafe { Frame::of(context) }.work();
    let at = work.position;
    if at >= work.packet.transport_len || at >= MAX_HEADER {
        return 1;
    }
    let fits = at + 10 <= work.packet.transport_len;
    let at = at as usize;
    if work.chunk[at & 63] == TIMESTAMPS && work.chunk[(at + 1) & 63] == 10 && fits {
        for index in 2..6 {
            let value = work.chunk[(at + index) & 63];
            work.chunk[(at + index) & 63] = work.chunk[(at + index + 4) & 63];
            work.chunk[(at + index + 4) & 63] = value;
        }
        work.position += 10;
    } else {
        work.chunk[at & 63] = NOP;
        work.position += 1;
    }
    0
}

/// Swaps the link and IP addresses; no checksum changes by that.
#[inline(always)]
fn swap_addresses(frame: &mut Frame) -> Result<(), ()> {
    let skb = frame.skb;
    let work = frame.work();
    let packet = &work.packet;
    let network = work.transport - packet.transport;
    let (source, destination) = (&packet.source.address, &packet.destination.address);
    if packet.is_v4 {
        skb::write(skb, network + 12, &destination.v4_octets())?;
        skb::write(skb, network + 16, &source.v4_octets())?;
    } else {
        skb::write(skb, network + 8, destination.as_bytes())?;
        skb::write(skb, network + 24, source.as_bytes())?;
    }
    if u32::from(frame.work().interface.link_header) != LINK_HEADER {
        return Ok(());
    }
    let link: [[u8; 6]; 2] = [skb::read(skb, 0)?, skb::read(skb, 6)?];
    skb::write(skb, 0, &link[1])?;
    skb::write(skb, 6, &link[0])
}
