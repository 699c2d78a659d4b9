//! The packet at hand, its session, and the memory to work on both.

use aya_ebpf::bindings::__sk_buff;
use ftp_helper_common::{
    address::Endpoint,
    expectation::{Expectation, ExpectationKey},
    grammar::{Announcement, Progress},
    interface::Interface,
    rewrite::{Rewrite, Rewrites},
    session::{Direction, Handshake, Session, SessionKey},
    stream::Stream,
};

use crate::{
    atomic,
    conntrack::Options,
    maps::WORK,
    packet::Packet,
    piece::Piece,
    repeat::{Step, repeat},
};

/// Bytes that are moved or summed at a time.
pub(crate) const CHUNK: usize = 256;

/// Working memory of one packet; lives in a per-CPU map. Programs of a CPU do
/// not interrupt each other, so it has one user at a time.
#[repr(C)]
pub(crate) struct Work {
    pub(crate) key: SessionKey,
    pub(crate) packet: Packet,
    pub(crate) interface: Interface,
    pub(crate) ifindex: u32,
    /// Start of the TCP header in bytes from the start of the packet.
    pub(crate) transport: u32,
    /// Start of the TCP payload in bytes from the start of the packet.
    pub(crate) payload: u32,
    /// Payload bytes of one frame, when the packet is, or is cut out of, several that were
    /// merged; otherwise 0.
    pub(crate) segment: u32,
    /// Payload bytes that are in the packet now.
    pub(crate) len: u32,
    /// Payload bytes as the headers say.
    pub(crate) declared: u32,
    /// First payload byte that the parser has not seen.
    pub(crate) position: u32,
    /// What the parser said last.
    pub(crate) step: u32,
    /// First payload byte in `chunk`.
    pub(crate) chunk_start: u32,
    /// Bytes in `chunk`.
    pub(crate) chunk_len: u32,
    /// Sender's sequence number of the first payload byte.
    pub(crate) from: u32,
    /// Sender's sequence number behind the last payload byte to be sent.
    pub(crate) to: u32,
    /// Wire number of the first payload byte.
    pub(crate) wire: u32,
    /// What the rewrites add at most, and whether the packet has to be one frame: because
    /// they change its length, or because it was cut out of a merged one.
    pub(crate) growth: u32,
    pub(crate) single: u32,
    /// One's complement sum of what was moved or loaded.
    pub(crate) sum: u32,
    /// Parameters of a move or a sum: positions in bytes from the start of the
    /// packet.
    pub(crate) source: u32,
    pub(crate) target: u32,
    pub(crate) count: u32,
    /// New rewrites of this packet.
    pub(crate) rewrites: u32,
    /// Why the packet can not be sent: 0 while it can, else a constant of
    /// [`rewrite`](crate::rewrite).
    pub(crate) fault: u32,
    /// The segment has to go on in pieces, the first of this many bytes; 0 when
    /// it goes on as one.
    pub(crate) split: u32,
    /// The part of the packet that is due.
    pub(crate) piece: Piece,
    /// How conntrack is asked about what the packet belongs to.
    pub(crate) conntrack: Options,
    /// The handshake that the packet completes, when `is_proven`.
    pub(crate) handshake: Handshake,
    pub(crate) is_proven: u32,
    /// The session is not on a control port.
    pub(crate) is_candidate: u32,
    /// Sessions are taken on at the control port of the packet.
    pub(crate) is_open: u32,
    /// The packet goes to the server.
    pub(crate) to_server: u32,
    /// Inside host and peer as conntrack knows them; later the endpoints of a
    /// decision, inside and outside.
    pub(crate) endpoints: [Endpoint; 2],
    /// The announcement at hand, and what becomes of it.
    pub(crate) announcement: Announcement,
    pub(crate) announced: Endpoint,
    pub(crate) awaited: ExpectationKey,
    /// Where many servers open data connections from, at the port in front of their
    /// control port (RFC 959 section 3.2); port 0 when a client will open it.
    pub(crate) opener: Endpoint,
    pub(crate) expectation: Expectation,
    /// How far the text under construction is.
    pub(crate) text: Progress,
    /// The rewrite under construction.
    pub(crate) rewrite: Rewrite,
    pub(crate) chunk: Chunk,
}

/// Aligned, so that it can be cleared by words.
#[repr(C, align(8))]
pub(crate) struct Chunk(pub(crate) [u8; CHUNK], [u8; 8]);

impl Chunk {
    /// The buffer by words.
    #[inline(always)]
    pub(crate) fn words(&mut self) -> &mut [u64; CHUNK / 8] {
        // SAFETY: the buffer comes first, is aligned, and every pattern is valid for both.
        unsafe { &mut *core::ptr::from_mut(self).cast() }
    }

    /// The next eight bytes, the first one the lowest; behind the end of the buffer there
    /// are others than those of the packet.
    #[inline(always)]
    pub(crate) fn ahead(&self, at: u32) -> u64 {
        let at = at as usize & (CHUNK - 1);
        // SAFETY: inside the buffer and the bytes that follow it for this purpose.
        let bytes = unsafe {
            let first: *const u8 = core::ptr::from_ref(self).cast();
            first.add(at).cast::<[u8; 8]>().read_unaligned()
        };
        u64::from_le_bytes(bytes)
    }
}

impl core::ops::Deref for Chunk {
    type Target = [u8; CHUNK];
    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl core::ops::DerefMut for Chunk {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// What the stages hand to each other; small, because it is on the stack.
#[repr(C)]
pub(crate) struct Frame {
    pub(crate) skb: *mut __sk_buff,
    session: *mut Session,
    /// The direction of the packet.
    stream: *mut Stream,
    /// The other one.
    reverse: *mut Stream,
    work: *mut Work,
    pub(crate) egress: u64,
}

impl Work {
    /// The working memory of this processor.
    #[inline(always)]
    pub(crate) fn get<'a>() -> Option<&'a mut Self> {
        // SAFETY: see the type.
        WORK.get_ptr_mut(0).map(|work| unsafe { &mut *work })
    }
}

impl Frame {
    /// Binds a packet to its session, which stays memory of its map during the run of the
    /// program: see [`maps`](crate::maps).
    #[inline(always)]
    pub(crate) fn new(
        skb: *mut __sk_buff,
        work: &mut Work,
        session: *mut Session,
        direction: Direction,
    ) -> Self {
        // SAFETY: `session` points to a map value; both elements exist.
        let (egress, ingress) = unsafe {
            (
                &raw mut (*session).streams[0],
                &raw mut (*session).streams[1],
            )
        };
        let (stream, reverse) = match direction {
            Direction::Egress => (egress, ingress),
            Direction::Ingress => (ingress, egress),
        };
        Self {
            skb,
            session,
            stream,
            reverse,
            work,
            egress: (direction == Direction::Egress).into(),
        }
    }

    /// A packet alone, to be changed before its session is known: nothing of a
    /// session may be asked for.
    #[inline(always)]
    pub(crate) fn bare(skb: *mut __sk_buff, work: &mut Work) -> Self {
        Self {
            skb,
            session: core::ptr::null_mut(),
            stream: core::ptr::null_mut(),
            reverse: core::ptr::null_mut(),
            work,
            egress: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn direction(&self) -> Direction {
        if self.egress == 1 {
            Direction::Egress
        } else {
            Direction::Ingress
        }
    }

    #[inline(always)]
    pub(crate) fn session(&mut self) -> &mut Session {
        // SAFETY: a map value that lives as long as the program runs. Another
        // processor may write to it too; all of it is plain numbers, and the
        // streams have their own lock.
        unsafe { &mut *self.session }
    }

    /// Sets bits of the session's flags, as segments of both directions do; returns the
    /// flags before.
    #[inline(always)]
    pub(crate) fn set(&mut self, flags: u64) -> u64 {
        atomic::set(&mut self.session().flags, flags)
    }

    /// Clears bits of the session's flags.
    #[inline(always)]
    pub(crate) fn clear(&mut self, flags: u64) {
        atomic::clear(&mut self.session().flags, flags);
    }

    #[inline(always)]
    pub(crate) fn stream(&mut self) -> &mut Stream {
        // SAFETY: as for `session`.
        unsafe { &mut *self.stream }
    }

    #[inline(always)]
    pub(crate) fn reverse(&mut self) -> &mut Stream {
        // SAFETY: as for `session`.
        unsafe { &mut *self.reverse }
    }

    /// What became of the bytes that went out, whichever way the packet at hand goes.
    #[inline(always)]
    pub(crate) fn rewrites(&mut self) -> &mut Rewrites {
        &mut self.session().rewrites
    }

    /// True when the sender's positions are those of the wire, and nothing is held.
    #[inline(always)]
    pub(crate) fn is_plain(&mut self) -> bool {
        self.egress == 0 || self.rewrites().is_plain()
    }

    /// Bytes of this direction that are held.
    #[inline(always)]
    pub(crate) fn held(&mut self) -> u32 {
        if self.egress == 0 {
            return 0;
        }
        self.rewrites().hold_len.into()
    }

    /// The word that is not zero while a processor works on this direction.
    #[inline(always)]
    pub(crate) fn lock(&mut self) -> &mut u64 {
        let at = self.egress as usize & 1;
        &mut self.session().locks[at]
    }

    #[inline(always)]
    pub(crate) fn work(&mut self) -> &mut Work {
        // SAFETY: a per-CPU map value, see `Work`.
        unsafe { &mut *self.work }
    }

    /// Copies the rewrite of this age into the working memory. Not through the
    /// stack, which has no room for it.
    #[inline(always)]
    pub(crate) fn fetch_rewrite(&mut self, age: u32) -> bool {
        let Some(rewrite) = self.rewrites().rewrite(age) else {
            return false;
        };
        let source = core::ptr::from_ref(rewrite);
        // SAFETY: another map value.
        unsafe { &*source }.copy_to(&mut self.work().rewrite);
        true
    }

    /// The frame that was handed to a `bpf_loop` callback.
    ///
    /// # Safety
    ///
    /// `context` has to be the frame that was given to `bpf_loop`.
    #[inline(always)]
    pub(crate) unsafe fn of<'a>(context: *mut core::ffi::c_void) -> &'a mut Self {
        // SAFETY: by the contract of this function.
        unsafe { &mut *context.cast() }
    }

    /// Runs `step`, which has to take its context for a frame, with this one.
    #[inline(always)]
    pub(crate) fn repeat(&mut self, count: u32, step: Step) {
        repeat(count, step, self);
    }
}
