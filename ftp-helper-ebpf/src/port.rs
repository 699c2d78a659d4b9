//! Control ports, and the choice of an outside port.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock_tuple},
    helpers::generated::{bpf_get_prandom_u32, bpf_sk_release, bpf_skc_lookup_tcp},
};
use ftp_helper_common::{
    address::Endpoint,
    expectation::{Expectation, ExpectationKey},
    few_ports,
    grammar::Kind,
    interface::{ControlPort, DETECT_MARK},
};

use crate::{
    atomic,
    conntrack::{self, Rival},
    expectation::{self, Creation},
    frame::Frame,
    maps::{
        AWAITED_PORTS, CONTROL_BITMAP, CONTROL_PORTS, CONTROL_WORD, DENIED_PORTS, PORT_WORDS,
        RESERVED_PORTS,
    },
    repeat::repeat,
};

/// Outside ports that are tried when the announced one is taken.
const TRIES: u32 = 32;
/// `BPF_F_CURRENT_NETNS`.
const CURRENT_NETNS: u64 = u32::MAX as u64 | (u32::MAX as u64) << 32;

/// The word of a bitmap that has the bit of `port`.
#[inline(always)]
const fn word(port: u16) -> u32 {
    (port >> 6) as u32 & (PORT_WORDS - 1)
}

#[inline(always)]
fn bit(map: &aya_ebpf::maps::Array<u64>, port: u16) -> bool {
    map.get(word(port))
        .is_some_and(|bits| bits >> (port & 63) & 1 == 1)
}

/// True when `port` is a control port on some interface.
#[inline(always)]
pub(crate) fn is_control(port: u16) -> bool {
    bit(&CONTROL_BITMAP, port)
}

/// True when one of the ports is a control port on some interface, or when sessions are
/// looked for on all ports.
#[inline(always)]
pub(crate) fn may_be_control(one: u16, other: u16) -> bool {
    let few = CONTROL_WORD.get(0).copied().unwrap_or(few_ports::UNKNOWN);
    if few == few_ports::UNKNOWN {
        return is_control(one) || is_control(other) || is_control(DETECT_MARK);
    }
    few_ports::contains(few, one) || few_ports::contains(few, other)
}

/// True when a data connection was ever awaited at `port`.
#[inline(always)]
pub(crate) fn is_awaited(port: u16) -> bool {
    bit(&AWAITED_PORTS, port)
}

/// Notes that a data connection is awaited at `port`; to be called before its announcement
/// goes on.
#[inline(always)]
pub(crate) fn note_awaited(port: u16) {
    let Some(bits) = AWAITED_PORTS.get_ptr_mut(word(port)) else {
        return;
    };
    // SAFETY: a word of a map that is never freed while the program runs, and that changes
    // by atomic operations, or to all ones.
    let bits = unsafe { &mut *bits };
    let own = 1 << (port & 63);
    // Once a port was used, this is all: an operation on a shared word costs more.
    if *bits & own == 0 {
        atomic::set(bits, own);
    }
}

/// True when nobody may announce `port`.
#[inline(always)]
pub(crate) fn is_denied(port: u16) -> bool {
    bit(&DENIED_PORTS, port)
}

/// What kind of control port `port` is on this interface, if it is one: see
/// [`control_port`](ftp_helper_common::interface::control_port).
#[inline(always)]
pub(crate) fn control_on(ifindex: u32, port: u16) -> Option<u8> {
    if !is_control(port) {
        return None;
    }
    let key = ControlPort {
        ifindex,
        port,
        reserved: 0,
    };
    // SAFETY: only the agent writes it, a single byte.
    CONTROL_PORTS.get_ptr(key).map(|value| unsafe { *value })
}

/// Creates the expectation in the working memory at a free port, which becomes that of
/// `work.awaited`: the announced one, which is expected there, if possible, then one with as
/// many digits, so that the line keeps its length.
#[inline(always)]
pub(crate) fn allocate(frame: &mut Frame) -> Creation {
    let wanted = frame.work().awaited.destination.port;
    let interface = &frame.work().interface;
    let (digits_first, digits_last) = match wanted {
        0..=9999 => (1024, 9999),
        _ => (10000, u16::MAX),
    };
    let first = interface.first_port.max(digits_first);
    let last = interface.last_port.min(digits_last);
    let (first, last) = if first <= last {
        (first, last)
    } else {
        (interface.first_port, interface.last_port)
    };
    let work = frame.work();
    let from_server = matches!(work.announcement.kind, Kind::PORT | Kind::EPRT);
    work.opener.address = work.awaited.source;
    work.opener.port = if from_server {
        work.key.peer.port.wrapping_sub(1)
    } else {
        0
    };
    let mut search = Search {
        skb: frame.skb,
        opener: &raw const frame.work().opener,
        key: &raw mut frame.work().awaited,
        expectation: &raw const frame.work().expectation,
        ifindex: frame.work().ifindex,
        first: first.into(),
        count: u32::from(last.saturating_sub(first)) + 1,
        outcome: Creation::Taken,
    };
    repeat(TRIES, try_port, &mut search);
    search.outcome
}

#[repr(C)]
struct Search {
    skb: *mut __sk_buff,
    opener: *const Endpoint,
    key: *mut ExpectationKey,
    expectation: *const Expectation,
    ifindex: u32,
    first: u32,
    count: u32,
    outcome: Creation,
}

unsafe extern "C" fn try_port(index: u32, context: *mut core::ffi::c_void) -> i64 {
    // SAFETY: the context is the `Search` of `allocate`.
    let search = unsafe { &mut *context.cast::<Search>() };
    // SAFETY: in the working memory.
    let key = unsafe { &mut *search.key };
    if index > 0 {
        // SAFETY: no arguments.
        let random = unsafe { bpf_get_prandom_u32() };
        key.destination.port = (search.first + random % search.count) as u16;
    }
    // SAFETY: in the working memory.
    let expectation = unsafe { &*search.expectation };
    // What comes to a control port is taken for a control connection.
    let taken = bit(&RESERVED_PORTS, key.destination.port)
        || control_on(search.ifindex, key.destination.port).is_some()
        || has_listener(search.skb, key)
        || is_connected(search, key, expectation);
    if taken {
        return 0;
    }
    search.outcome = expectation::claim(key, expectation);
    (search.outcome != Creation::Taken).into()
}

/// True when a connection of another inside host has what would be the awaited one's
/// endpoints: the server could not open a second one, nor conntrack tell them apart.
#[inline(always)]
fn is_connected(search: &Search, key: &ExpectationKey, expectation: &Expectation) -> bool {
    // SAFETY: in the working memory.
    let opener = unsafe { &*search.opener };
    let (destination, target) = (&key.destination, &expectation.target);
    opener.port != 0
        && conntrack::is_taken(search.skb, opener, destination, target, Rival::Remembered)
}

/// True when a socket of this host would take a connection to the endpoint. A function of
/// its own, whose stack nothing else needs.
#[inline(never)]
fn has_listener(skb: *mut __sk_buff, key: &ExpectationKey) -> bool {
    // SAFETY: a union of integers.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    let size = conntrack::fill(&mut tuple, &Endpoint::new(key.source, 0), &key.destination);
    // SAFETY: `tuple` is readable for `size` bytes; the socket is given back.
    unsafe {
        let socket = bpf_skc_lookup_tcp(skb.cast(), &raw mut tuple, size, CURRENT_NETNS, 0);
        if socket.is_null() {
            return false;
        }
        bpf_sk_release(socket.cast());
    }
    true
}
