//! Every map of the object. Those with state are pinned by the agent.
//!
//! A pointer to an element of a hash map is good for the run of the program. When
//! another processor removes the element meanwhile, its memory is not given back before
//! the end of the run, but since Linux 6.1 it can become another element of the same
//! map at once (`kernel/bpf/memalloc.c`). Values are plain numbers, so nothing worse than
//! a mixture can come of it, and it takes a removal in the microseconds between look-up
//! and use:
//!
//! * A session is removed by the agent, minutes behind its last packet, or by the first
//!   packet of its successor.
//! * An expectation is used by whoever has removed it. Removed by this processor, it is
//!   not made another one before the program ends.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
};
use ftp_helper_common::{
    address::{Address, Endpoint},
    expectation::{Expectation, ExpectationKey},
    interface::{ControlPort, Interface, Network},
    reason::COUNTERS as COUNTER_SLOTS,
    session::{Handshake, Session, SessionKey},
    stash::{PLACES, Stash},
};

use crate::frame::Work;

/// Words of a bitmap with one bit per TCP port.
pub(crate) const PORT_WORDS: u32 = 65536 / 64;

/// Live control connections. Not LRU: a flood must not push out an idle control
/// connection whose transfer is running.
#[map]
pub(crate) static SESSIONS: HashMap<SessionKey, Session> =
    HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// Handshakes under way. LRU: a flood only costs other handshakes their help.
#[map]
pub(crate) static HANDSHAKES: LruHashMap<SessionKey, Handshake> =
    LruHashMap::with_max_entries(16384, 0);

/// A Bloom filter of the connections whose SYN was seen: see [`seen`](crate::seen). A
/// mebibyte, of which two bytes are a connection's.
#[map]
pub(crate) static BEGUN: Array<[u8; BEGUN_PAGE]> = Array::with_max_entries(BEGUN_PAGES, 0);
pub(crate) const BEGUN_PAGE: usize = 1 << 12;
pub(crate) const BEGUN_PAGES: u32 = 256;

/// Segments that came too early, by the connection's digest. Of two that meet in one
/// place, one is sent again by its sender.
#[map]
pub(crate) static STASHES: Array<Stash> = Array::with_max_entries(PLACES, 0);

/// Awaited data connections.
#[map]
pub(crate) static EXPECTATIONS: HashMap<ExpectationKey, Expectation> =
    HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// Settings per interface index.
#[map]
pub(crate) static INTERFACES: HashMap<u32, Interface> = HashMap::with_max_entries(1024, 0);

/// Control ports per interface index.
#[map]
pub(crate) static CONTROL_PORTS: HashMap<ControlPort, u8> = HashMap::with_max_entries(4096, 0);

/// Addresses under which outside endpoints of servers are announced, where that is not
/// the endpoint's own.
#[map]
pub(crate) static ADVERTISED: HashMap<Endpoint, Address> =
    HashMap::with_max_entries(4096, BPF_F_NO_PREALLOC);

/// A bit for each port that is a control port on some interface: keeps the way
/// of all other packets short.
#[map]
pub(crate) static CONTROL_BITMAP: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

/// The same ports as [`few_ports`](ftp_helper_common::few_ports) has them, if it has.
#[map]
pub(crate) static CONTROL_WORD: Array<u64> = Array::with_max_entries(1, 0);

/// A bit for each port at which a data connection was ever awaited: keeps the way of all
/// other SYNs short. It is never cleared, so nobody has to know who else awaits one there.
#[map]
pub(crate) static AWAITED_PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

/// A bit for each port that must never be given to a data connection.
#[map]
pub(crate) static RESERVED_PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

/// A bit for each port that nobody may announce.
#[map]
pub(crate) static DENIED_PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS, 0);

/// Networks of third parties that may take part in transfers.
#[map]
pub(crate) static FXP_NETWORKS: LpmTrie<Network, u8> =
    LpmTrie::with_max_entries(1024, BPF_F_NO_PREALLOC);

/// Sessions per client address; the agent corrects it now and then, because
/// counting is not atomic.
#[map]
pub(crate) static CLIENTS: HashMap<Address, u32> =
    HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// One counter per reason.
#[map]
pub(crate) static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(COUNTER_SLOTS, 0);

/// Events for the agent.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(256 * 1024, 0);

/// Working memory of the packet at hand; too large for the stack.
#[map]
pub(crate) static WORK: PerCpuArray<Work> = PerCpuArray::with_max_entries(1, 0);

/// A session under construction; too large for the stack.
#[map]
pub(crate) static NEW_SESSION: PerCpuArray<Session> = PerCpuArray::with_max_entries(1, 0);
