//! The TC programs of ftp-helper: one pair on every outside interface.
//!
//! A packet takes this way:
//!
//! 1. [`gate`] sends most packets that are none of ours on their way, and [`packet`]
//!    reads the headers of all others; whatever is not TCP leaves here.
//! 2. [`session`] knows control connections by their ports. A new one is taken
//!    on from its handshake and its inside endpoints come from [`conntrack`].
//!    [`detect`] finds those on other ports, where that is wanted.
//! 3. [`control`] feeds the new bytes of a segment to the grammar, decides
//!    about announcements ([`announce`]), holds back unfinished ones ([`hold`])
//!    and keeps what came too early ([`stash`]).
//!    What gets too large goes on in pieces ([`piece`]).
//! 4. [`rewrite`] puts the texts in place and [`sequence`] translates sequence,
//!    acknowledgment and SACK numbers. First transmissions and
//!    retransmissions take the same way, so they get the same bytes.
//! 5. [`expectation`] admits the SYN of an awaited data connection.
//!
//! Helper functions of the kernel change packets only; behind [`gate`], which only
//! looks, no direct packet pointer is kept anywhere, so none can go stale.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "lengths of packets and of our own types fit by far; checked conversions cost paths"
)]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "keys and values are handed over where they are: by value they would go through the stack"
)]
#![expect(
    missing_docs,
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "the classifier attribute wants public functions that take the context"
)]

mod announce;
mod atomic;
mod clear;
mod conntrack;
mod control;
mod detect;
mod event;
mod expectation;
mod frame;
mod fxp;
mod gate;
mod hold;
mod journal;
mod lock;
mod log;
mod maps;
mod multipath;
mod option;
mod packet;
mod piece;
mod port;
mod repeat;
mod rewrite;
mod ring;
mod seen;
mod sequence;
mod session;
mod skb;
mod stash;

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_REDIRECT, TC_ACT_SHOT, TC_ACT_UNSPEC},
    macros::classifier,
    programs::TcContext,
};
use ftp_helper_common::{
    interface::{DETECT_MARK, control_port},
    session::Direction,
};

use crate::{expectation::Admission, frame::Work, packet::Packet};

/// What becomes of a packet. `Next` leaves it to whatever comes behind us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Next,
    Drop,
    Redirect,
}

impl Verdict {
    #[inline(always)]
    const fn code(self) -> i32 {
        match self {
            Self::Next => TC_ACT_UNSPEC,
            Self::Drop => TC_ACT_SHOT,
            Self::Redirect => TC_ACT_REDIRECT,
        }
    }
}

/// Packets from the outside, before conntrack sees them.
#[classifier]
pub fn ftp_helper_ingress(ctx: TcContext) -> i32 {
    handle(&ctx, Direction::Ingress).code()
}

/// Packets to the outside, behind every translation of netfilter.
#[classifier]
pub fn ftp_helper_egress(ctx: TcContext) -> i32 {
    handle(&ctx, Direction::Egress).code()
}

#[inline(always)]
fn handle(ctx: &TcContext, direction: Direction) -> Verdict {
    let skb = ctx.skb.skb;
    if gate::is_foreign(skb, direction) {
        return Verdict::Next;
    }
    let Some(work) = Work::get() else {
        return Verdict::Next;
    };
    if !Packet::parse(skb, work) {
        return Verdict::Next;
    }
    match classify(skb, work, direction) {
        Class::Control => session::handle(skb, work, direction),
        Class::Other => Verdict::Next,
        Class::Repeat => Verdict::Drop,
    }
}

/// What a packet is to us.
#[repr(u32)]
enum Class {
    /// Nothing, or all is done.
    Other,
    /// One of a control connection.
    Control,
    /// One that can only be helped a little later, when it comes again.
    Repeat,
}

/// Tells packets of control connections from others; notes in `work.to_server`
/// which way it goes, and in `work.is_open` whether it may open a session. A
/// function of its own, behind which the verifier's paths meet.
#[inline(never)]
fn classify(skb: *mut __sk_buff, work: &mut Work, direction: Direction) -> Class {
    // SAFETY: the context is valid for the run of the program.
    let ifindex = unsafe { (*skb).ifindex };
    let to_server = port::control_on(ifindex, work.packet.destination.port);
    // Also one that comes from a control port, as data connections may.
    if direction == Direction::Ingress && to_server.is_none() && work.packet.is_pure_syn() {
        match expectation::admit(skb, work) {
            Admission::None => {}
            Admission::Done => return Class::Other,
            Admission::Later => return Class::Repeat,
        }
    }
    let source = work.packet.source.port;
    if let Some(kind) = to_server.or_else(|| port::control_on(ifindex, source)) {
        work.to_server = to_server.is_some().into();
        work.is_open = control_port::is_open(kind).into();
        return Class::Control;
    }
    work.is_open = 0;
    if port::is_control(DETECT_MARK) && detect::find(skb, work, direction) {
        return Class::Control;
    }
    Class::Other
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the verifier proves that no panic is reachable; were one left in
    // the object, it would refuse the endless loop that this stands for.
    unsafe { core::hint::unreachable_unchecked() }
}

/// The conntrack functions are open to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
