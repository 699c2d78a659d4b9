//! The kernel's connection tracking: what it knows of a control connection, and
//! the entry that admits a data connection.
//!
//! The functions are kernel functions (`net/netfilter/nf_conntrack_bpf.c`,
//! `nf_nat_bpf.c`); the agent resolves them before it loads the programs. None
//! of them can mark an entry as expected, so a data connection is ESTABLISHED
//! for a firewall, not RELATED.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock_tuple},
    helpers::generated::bpf_probe_read_kernel,
};
use ftp_helper_common::{
    address::{Address, Endpoint},
    expectation::Expectation,
    session::{Direction, SessionKey},
    stream::before,
};

use crate::{maps::WORK, packet::Packet};

/// Byte offset of `tuplehash` in `struct nf_conn`, set by the agent from BTF.
#[unsafe(no_mangle)]
static NF_CONN_TUPLEHASH: u32 = 0;

/// Byte offset of `mark` in `struct nf_conn`, set by the agent from BTF; 0 where
/// the kernel has no such thing (`CONFIG_NF_CONNTRACK_MARK`).
#[unsafe(no_mangle)]
static NF_CONN_MARK: u32 = 0;

/// Byte offset of `proto` in `struct nf_conn`, set by the agent from BTF.
#[unsafe(no_mangle)]
static NF_CONN_PROTO: u32 = 0;

/// `struct nf_conntrack_tuple_hash`: a list node of two pointers, then the tuple.
const TUPLE_HASH_SIZE: u32 = 56;
const TUPLE_IN_HASH: u32 = 16;

/// `enum ip_conntrack_dir`.
const DIR_ORIGINAL: u8 = 0;
/// `enum ip_conntrack_status`.
const IPS_SEEN_REPLY: u32 = 1 << 1;
/// `enum nf_nat_manip_type`.
const MANIP_SRC: u32 = 0;
const MANIP_DST: u32 = 1;
/// Life time of the entry until netfilter has seen the SYN and applies its own.
const SYN_TIMEOUT_MS: u32 = 60_000;
/// `BPF_F_CURRENT_NETNS`.
const CURRENT_NETNS: i32 = -1;
const IPPROTO_TCP: u8 = 6;

/// Bytes of `struct bpf_ct_opts`, set by the agent: 12 before Linux 6.11, which has no
/// zones there, and 16 from then on.
#[unsafe(no_mangle)]
static NF_CT_OPTIONS_SIZE: u32 = 12;

/// How conntrack is asked: `struct bpf_ct_opts`.
#[repr(C)]
pub(crate) struct Options {
    netns: i32,
    error: i32,
    protocol: u8,
    direction: u8,
    zone: u16,
    zone_direction: u8,
    reserved: [u8; 3],
}

const _: () = assert!(size_of::<Options>() == 16);

impl Options {
    /// For connections in this zone; the agent sets none where the kernel would not take
    /// it.
    #[inline(always)]
    pub(crate) const fn new(zone: u16) -> Self {
        Self {
            netns: CURRENT_NETNS,
            error: 0,
            protocol: IPPROTO_TCP,
            direction: 0,
            zone,
            zone_direction: 0,
            reserved: [0; 3],
        }
    }

    /// Those of the packet at hand, in the working memory: they do not fit on the stack.
    /// A pointer, because callers refer to other parts of that memory.
    #[inline(always)]
    fn get() -> Option<*mut Self> {
        // SAFETY: a part of the map's value.
        WORK.get_ptr_mut(0)
            .map(|work| unsafe { &raw mut (*work).conntrack })
    }

    #[inline(always)]
    fn size() -> u32 {
        // SAFETY: a read-only global that the agent sets; volatile, so that the compiler
        // does not take the number above for its value.
        unsafe { core::ptr::read_volatile(&raw const NF_CT_OPTIONS_SIZE) }
    }
}

/// `struct nf_conn`, `struct nf_conn___init`: only ever behind a pointer.
#[repr(C)]
struct NfConn([u8; 0]);
#[repr(C)]
struct NfConnInit([u8; 0]);

unsafe extern "C" {
    fn bpf_skb_ct_lookup(
        skb: *mut __sk_buff,
        tuple: *mut bpf_sock_tuple,
        tuple_size: u32,
        options: *mut Options,
        options_size: u32,
    ) -> *mut NfConn;
    fn bpf_skb_ct_alloc(
        skb: *mut __sk_buff,
        tuple: *mut bpf_sock_tuple,
        tuple_size: u32,
        options: *mut Options,
        options_size: u32,
    ) -> *mut NfConnInit;
    fn bpf_ct_set_nat_info(
        entry: *mut NfConnInit,
        address: *mut [u32; 4],
        port: i32,
        manip: u32,
    ) -> i32;
    fn bpf_ct_set_timeout(entry: *mut NfConnInit, milliseconds: u32);
    fn bpf_ct_set_status(entry: *mut NfConnInit, status: u32) -> i32;
    fn bpf_ct_insert_entry(entry: *mut NfConnInit) -> *mut NfConn;
    fn bpf_ct_change_timeout(entry: *mut NfConn, milliseconds: u32) -> i32;
    fn bpf_ct_release(entry: *mut NfConn);
}

/// `struct nf_conntrack_tuple`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tuple {
    source: [u32; 4],
    source_port: u16,
    family: u16,
    destination: [u32; 4],
    destination_port: u16,
    protocol: u8,
    direction: u8,
}

const _: () = assert!(size_of::<Tuple>() == 40);

impl Tuple {
    #[inline(always)]
    fn endpoint(is_v4: bool, words: &[u32; 4], port: u16) -> Endpoint {
        let address = if is_v4 {
            Address::from_v4_be(words[0])
        } else {
            Address::from_v6_be(*words)
        };
        Endpoint::new(address, u16::from_be(port))
    }
}

/// `struct ip_ct_tcp_state`: what conntrack knows of the sender in a direction. The two
/// of a connection come first in `nf_conn.proto`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sender {
    /// Behind the last byte that it sent.
    end: u32,
    max_end: u32,
    /// Its largest window; 0 when conntrack has seen nothing of it yet.
    max_window: u32,
    /// Behind the last byte that it acknowledged, if [`MAXACK_SET`] is set.
    max_acknowledged: u32,
    scale: u8,
    flags: u8,
    reserved: [u8; 2],
}

/// `IP_CT_TCP_FLAG_MAXACK_SET`
const MAXACK_SET: u8 = 0x20;

/// Behind the two senders, in `struct ip_ct_tcp`: one of `enum tcp_conntrack`.
const STATE: u32 = 2 * size_of::<Sender>() as u32;
/// `TCP_CONNTRACK_SYN_RECV`, and the last state in which both ends may still send,
/// `TCP_CONNTRACK_CLOSE_WAIT`.
const SYN_RECV: u8 = 2;
const CLOSE_WAIT: u8 = 5;

const _: () = assert!(size_of::<Sender>() == 20);

impl Sender {
    /// It has everything before this position.
    #[inline(always)]
    fn has_acknowledged(&self, position: u32) -> bool {
        self.flags & MAXACK_SET != 0 && !before(self.max_acknowledged, position)
    }
}

/// The longest way ahead of the last byte that conntrack saw at which a segment is
/// believed to be the sender's own.
const AHEAD: u32 = u16::MAX as u32;

/// Fills a tuple and returns its size. The destination says of which family it
/// is: a source may be left open (`::`).
#[inline(always)]
pub(crate) fn fill(tuple: &mut bpf_sock_tuple, source: &Endpoint, destination: &Endpoint) -> u32 {
    if destination.address.is_v4() {
        tuple.__bindgen_anon_1.ipv4.saddr = source.address.v4_be();
        tuple.__bindgen_anon_1.ipv4.daddr = destination.address.v4_be();
        tuple.__bindgen_anon_1.ipv4.sport = source.port.to_be();
        tuple.__bindgen_anon_1.ipv4.dport = destination.port.to_be();
        12
    } else {
        tuple.__bindgen_anon_1.ipv6.saddr = source.address.words_be();
        tuple.__bindgen_anon_1.ipv6.daddr = destination.address.words_be();
        tuple.__bindgen_anon_1.ipv6.sport = source.port.to_be();
        tuple.__bindgen_anon_1.ipv6.dport = destination.port.to_be();
        36
    }
}

/// Who began a connection.
#[derive(Clone, Copy, Eq, PartialEq)]
#[repr(u32)]
pub(crate) enum Beginner {
    /// conntrack does not know the connection.
    Unknown,
    /// The inside host.
    Inside,
    /// The host outside.
    Peer,
}

/// An entry, held until it is released, and which of its tuples it was found by.
struct Found {
    entry: *mut NfConn,
    is_original: bool,
}

/// The entry of a connection.
#[inline(always)]
fn look_up(skb: *mut __sk_buff, source: &Endpoint, destination: &Endpoint) -> Option<Found> {
    // SAFETY: a union of integers.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    let size = fill(&mut tuple, source, destination);
    let options = Options::get()?;
    // SAFETY: both structures are readable for the sizes given.
    let entry = unsafe { bpf_skb_ct_lookup(skb, &raw mut tuple, size, options, Options::size()) };
    if entry.is_null() {
        return None;
    }
    // SAFETY: in the working memory.
    let is_original = unsafe { (*options).direction } == DIR_ORIGINAL;
    Some(Found { entry, is_original })
}

/// The inside host's own endpoint of a control connection, and the peer as that
/// host sees it. conntrack hashes a connection by its original tuple and by its
/// reply tuple; the way in from the outside is always one of the two.
#[inline(always)]
pub(crate) fn inside_of(
    skb: *mut __sk_buff,
    key: &SessionKey,
    found: &mut [Endpoint; 2],
) -> Beginner {
    let Some(Found { entry, is_original }) = look_up(skb, &key.peer, &key.outside) else {
        return Beginner::Unknown;
    };
    // SAFETY: integers only.
    let mut inside: Tuple = unsafe { core::mem::zeroed() };
    // SAFETY: `entry` is held until it is released.
    let is_read = unsafe {
        let is_read = other_tuple(entry, is_original, &mut inside);
        bpf_ct_release(entry);
        is_read
    };
    if !is_read {
        return Beginner::Unknown;
    }
    let is_v4 = key.peer.address.is_v4();
    found[0] = Tuple::endpoint(is_v4, &inside.source, inside.source_port);
    found[1] = Tuple::endpoint(is_v4, &inside.destination, inside.destination_port);
    if is_original {
        Beginner::Peer
    } else {
        Beginner::Inside
    }
}

/// The tuple of the other way than the one that an entry was found by.
///
/// # Safety
///
/// The entry has to be held.
#[inline(always)]
unsafe fn other_tuple(entry: *mut NfConn, is_original: bool, tuple: &mut Tuple) -> bool {
    // SAFETY: a read-only global that the agent sets; volatile, so that the
    // compiler does not take the zero above for its value.
    let tuplehash = unsafe { core::ptr::read_volatile(&raw const NF_CONN_TUPLEHASH) };
    // SAFETY: a read behind the entry could only fault, which the helper handles.
    let result = unsafe {
        let address = entry.cast::<u8>().add(tuplehash as usize);
        if is_original {
            bpf_probe_read_kernel(
                core::ptr::from_mut(tuple).cast(),
                size_of::<Tuple>() as u32,
                address
                    .add((TUPLE_HASH_SIZE + TUPLE_IN_HASH) as usize)
                    .cast(),
            )
        } else {
            bpf_probe_read_kernel(
                core::ptr::from_mut(tuple).cast(),
                size_of::<Tuple>() as u32,
                address.add(TUPLE_IN_HASH as usize).cast(),
            )
        }
    };
    result == 0
}

/// What conntrack saw of the inside host and of the peer of a control connection, each in
/// its own numbers: a translation of ours comes before it on the way in, and behind it on
/// the way out.
#[inline(always)]
fn senders(skb: *mut __sk_buff, key: &SessionKey) -> Option<[Sender; 2]> {
    let Found { entry, is_original } = look_up(skb, &key.peer, &key.outside)?;
    // SAFETY: as for `NF_CONN_TUPLEHASH`.
    let proto = unsafe { core::ptr::read_volatile(&raw const NF_CONN_PROTO) };
    // SAFETY: integers only.
    let mut senders: [Sender; 2] = unsafe { core::mem::zeroed() };
    // SAFETY: `entry` is held until it is released; a read behind it could only fault,
    // which the helper handles.
    let result = unsafe {
        let result = bpf_probe_read_kernel(
            (&raw mut senders).cast(),
            size_of::<[Sender; 2]>() as u32,
            entry.byte_add(proto as usize).cast(),
        );
        bpf_ct_release(entry);
        result
    };
    let [original, reply] = senders;
    (result == 0).then_some(if is_original {
        [reply, original]
    } else {
        [original, reply]
    })
}

/// Whether a segment from `from` to `end` may be the next one of its direction, by what
/// conntrack saw of that connection so far.
#[inline(never)]
pub(crate) fn expects(
    skb: *mut __sk_buff,
    key: &SessionKey,
    direction: Direction,
    from: u32,
    end: u32,
) -> bool {
    let Some([inside, peer]) = senders(skb, key) else {
        return false;
    };
    match direction {
        // Netfilter judges the segment itself only behind us.
        Direction::Ingress => peer.max_window == 0 || from.wrapping_sub(peer.end) <= AHEAD,
        // It has, unless a flow table takes them past it; of the newest one nothing was
        // acknowledged.
        Direction::Egress => {
            inside.max_window == 0
                || end.wrapping_sub(inside.end) <= AHEAD
                    && !peer.has_acknowledged(from.wrapping_add(1))
        }
    }
}

/// Whether the receiver of a direction has everything before this position of the sender.
#[inline(never)]
pub(crate) fn has_arrived(
    skb: *mut __sk_buff,
    key: &SessionKey,
    direction: Direction,
    position: u32,
) -> bool {
    senders(skb, key).is_some_and(|[inside, peer]| {
        let receiver = match direction {
            Direction::Egress => peer,
            Direction::Ingress => inside,
        };
        receiver.has_acknowledged(position)
    })
}

/// Which connections stand in the way of an awaited one.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rival {
    /// One in use: a SYN alone, which anybody can send, must not end it.
    InUse,
    /// Also one that is over: the peer may remember it, and open none like it.
    Remembered,
}

/// Whether the connection between these endpoints is there, of another inside endpoint than
/// `target`.
#[inline(never)]
pub(crate) fn is_taken(
    skb: *mut __sk_buff,
    source: &Endpoint,
    destination: &Endpoint,
    target: &Endpoint,
    rival: Rival,
) -> bool {
    let Some(Found { entry, is_original }) = look_up(skb, source, destination) else {
        return false;
    };
    // SAFETY: as for `NF_CONN_TUPLEHASH`.
    let proto = unsafe { core::ptr::read_volatile(&raw const NF_CONN_PROTO) };
    // SAFETY: integers only.
    let mut owner: Tuple = unsafe { core::mem::zeroed() };
    let mut state = 0_u8;
    // SAFETY: `entry` is held until it is released, and a read behind it could only fault,
    // which the helper handles.
    let is_read = unsafe {
        let is_read = other_tuple(entry, is_original, &mut owner)
            && bpf_probe_read_kernel(
                (&raw mut state).cast(),
                1,
                entry.byte_add((proto + STATE) as usize).cast(),
            ) == 0;
        bpf_ct_release(entry);
        is_read
    };
    let owner = Tuple::endpoint(
        destination.address.is_v4(),
        &owner.source,
        owner.source_port,
    );
    let counts = rival == Rival::Remembered || (SYN_RECV..=CLOSE_WAIT).contains(&state);
    is_read && counts && owner != *target
}

/// Removes the entry that a connection between the same ends left in TIME_WAIT:
/// many servers connect from port 20, and clients announce a port again. The two
/// ends agreed on a new connection, so the old one is over.
#[inline(never)]
fn evict(skb: *mut __sk_buff, source: &Endpoint, destination: &Endpoint) {
    // A lookup that meets an entry whose time is over removes it, so the second
    // one does the work.
    for timeout in [true, false] {
        let Some(Found { entry, .. }) = look_up(skb, source, destination) else {
            return;
        };
        // SAFETY: the entry is held until it is released.
        unsafe {
            if timeout {
                bpf_ct_change_timeout(entry, 0);
            }
            bpf_ct_release(entry);
        }
    }
}

/// What became of an entry.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is there.
    Made,
    /// Another one has its place.
    Refused,
    /// The table is full, or there is no memory: there may be room a little later.
    NoRoom,
}

/// Creates the entry of an awaited data connection before netfilter sees its
/// SYN. From then on netfilter translates and admits it like any other.
#[inline(always)]
pub(crate) fn admit(
    skb: *mut __sk_buff,
    packet: &Packet,
    expectation: &Expectation,
    mark: u32,
) -> Entry {
    // SAFETY: a union of integers.
    let mut tuple: bpf_sock_tuple = unsafe { core::mem::zeroed() };
    let (source, destination) = (&packet.source, &packet.destination);
    let target = &expectation.target;
    evict(skb, source, destination);
    evict(skb, target, source);
    let size = fill(&mut tuple, source, destination);
    let Some(options) = Options::get() else {
        return Entry::NoRoom;
    };
    // SAFETY: both structures are readable for the sizes given.
    let entry = unsafe { bpf_skb_ct_alloc(skb, &raw mut tuple, size, options, Options::size()) };
    if entry.is_null() {
        return Entry::NoRoom;
    }
    let moved = target != destination;
    // SAFETY: `entry` is ours until it is inserted, which also gives it up when
    // it fails; the address is readable for 16 bytes.
    let inserted = unsafe {
        if moved {
            let mut address = nat_address(&target.address);
            bpf_ct_set_nat_info(entry, &raw mut address, target.port.into(), MANIP_DST);
        }
        if !expectation.new_source.is_unspecified() {
            let mut address = nat_address(&expectation.new_source);
            bpf_ct_set_nat_info(entry, &raw mut address, 0, MANIP_SRC);
        }
        set_mark(entry, mark);
        bpf_ct_set_timeout(entry, SYN_TIMEOUT_MS);
        bpf_ct_set_status(entry, IPS_SEEN_REPLY);
        bpf_ct_insert_entry(entry)
    };
    if inserted.is_null() {
        return Entry::Refused;
    }
    // SAFETY: the reference that the insertion returned.
    unsafe { bpf_ct_release(inserted) };
    Entry::Made
}

/// Programs may write this one field of an entry themselves.
///
/// # Safety
///
/// `entry` has to be an entry that is not inserted yet.
#[inline(always)]
unsafe fn set_mark(entry: *mut NfConnInit, mark: u32) {
    // SAFETY: as for `NF_CONN_TUPLEHASH`.
    let offset = unsafe { core::ptr::read_volatile(&raw const NF_CONN_MARK) };
    if offset != 0 {
        // SAFETY: the field lies there, aligned, by the kernel's BTF.
        unsafe { entry.byte_add(offset as usize).cast::<u32>().write(mark) };
    }
}

/// `union nf_inet_addr`.
#[inline(always)]
fn nat_address(address: &Address) -> [u32; 4] {
    if address.is_v4() {
        [address.v4_be(), 0, 0, 0]
    } else {
        address.words_be()
    }
}
