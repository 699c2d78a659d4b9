//! The kernel's socket buffer: the few calls that aya-ebpf 0.2 does not wrap,
//! and those that need a length that only the verifier can bound.

use core::ffi::c_long;

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{
        bpf_csum_diff, bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_change_tail,
        bpf_skb_load_bytes, bpf_skb_load_bytes_relative, bpf_skb_store_bytes,
    },
};
use network_types::{
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
};

use crate::frame::CHUNK;

/// `BPF_HDR_START_MAC`, `BPF_HDR_START_NET`: where offsets count from.
const HDR_START_MAC: u32 = 0;
const HDR_START_NET: u32 = 1;
/// `BPF_F_PSEUDO_HDR`: the difference is in the pseudo header as well.
pub(crate) const PSEUDO_HEADER: u64 = 1 << 4;

#[inline(always)]
fn check(result: c_long) -> Result<(), ()> {
    if result == 0 { Ok(()) } else { Err(()) }
}

/// Where the headers of a packet start.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// The network header, on links with and without a header of their own.
    Network,
    /// The link header: behind a VLAN tag that is in the packet, the kernel does
    /// not say where the network header is.
    Link,
}

/// Reads a plain value at `offset` bytes from `start` into `to`, which is not on
/// the stack: there is little of it.
#[inline(always)]
pub(crate) fn load_header<T: Plain>(
    skb: *mut __sk_buff,
    start: Start,
    offset: u32,
    to: &mut [u8; CHUNK],
) -> Option<&T> {
    const { assert!(size_of::<T>() <= CHUNK && align_of::<T>() <= 2) };
    let start = match start {
        Start::Network => HDR_START_NET,
        Start::Link => HDR_START_MAC,
    };
    // SAFETY: the buffer is larger than the value.
    let result = unsafe {
        bpf_skb_load_bytes_relative(
            skb.cast(),
            offset,
            to.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            start,
        )
    };
    // SAFETY: initialised, aligned (see `Chunk`), and valid for every pattern.
    (result == 0).then(|| unsafe { &*to.as_ptr().cast() })
}

/// A length from 1 to `MAX`, in a form in which the verifier sees both bounds:
/// the compiler must not merge this test with what it knows already, and before
/// Linux 6.8 a verifier learns nothing from a test for zero.
#[inline(always)]
fn bounded<const MAX: usize>(len: u32) -> Result<u32, ()> {
    let last = core::hint::black_box(len.wrapping_sub(1));
    if last < MAX as u32 {
        Ok(last + 1)
    } else {
        Err(())
    }
}

/// Reads `len` bytes at `offset` from the start of the packet to the start of
/// `to`. Nothing to read, or more than fits, is an error.
#[inline(always)]
pub(crate) fn load<const MAX: usize>(
    skb: *mut __sk_buff,
    offset: u32,
    to: &mut [u8; MAX],
    len: u32,
) -> Result<(), ()> {
    let len = bounded::<MAX>(len)?;
    // SAFETY: `to` is writable for `len` bytes.
    check(unsafe { bpf_skb_load_bytes(skb.cast(), offset, to.as_mut_ptr().cast(), len) })
}

/// Writes the first `len` bytes of `from` at `offset` from the start of the
/// packet. Nothing to write, or more than there is, is an error.
#[inline(always)]
pub(crate) fn store<const MAX: usize>(
    skb: *mut __sk_buff,
    offset: u32,
    from: &[u8; MAX],
    len: u32,
) -> Result<(), ()> {
    let len = bounded::<MAX>(len)?;
    // SAFETY: `from` is readable for `len` bytes.
    check(unsafe { bpf_skb_store_bytes(skb.cast(), offset, from.as_ptr().cast(), len, 0) })
}

/// Reads exactly `LEN` bytes.
#[inline(always)]
pub(crate) fn read<const LEN: usize>(skb: *mut __sk_buff, offset: u32) -> Result<[u8; LEN], ()> {
    let mut bytes = [0; LEN];
    // SAFETY: `bytes` is writable for its length.
    check(unsafe {
        bpf_skb_load_bytes(skb.cast(), offset, bytes.as_mut_ptr().cast(), LEN as u32)
    })?;
    Ok(bytes)
}

/// Writes exactly `LEN` bytes.
#[inline(always)]
pub(crate) fn write<const LEN: usize>(
    skb: *mut __sk_buff,
    offset: u32,
    bytes: &[u8; LEN],
) -> Result<(), ()> {
    // SAFETY: `bytes` is readable for its length.
    check(unsafe { bpf_skb_store_bytes(skb.cast(), offset, bytes.as_ptr().cast(), LEN as u32, 0) })
}

/// Makes the packet `len` bytes long, at its end. Undoes GSO.
#[inline(always)]
pub(crate) fn set_len(skb: *mut __sk_buff, len: u32) -> Result<(), ()> {
    // SAFETY: `skb` is the context of the program.
    check(unsafe { bpf_skb_change_tail(skb, len, 0) })
}

/// Applies a difference to the IPv4 header checksum at `offset`.
#[inline(always)]
pub(crate) fn l3_replace(skb: *mut __sk_buff, offset: u32, from: u16, to: u16) -> Result<(), ()> {
    // SAFETY: `skb` is the context of the program.
    check(unsafe { bpf_l3_csum_replace(skb.cast(), offset, u64::from(from), u64::from(to), 2) })
}

/// Applies the difference of two 16-bit words (as they lie in the packet) to
/// the TCP checksum at `offset`. `flags`: 0 or [`PSEUDO_HEADER`].
#[inline(always)]
pub(crate) fn l4_replace_u16(
    skb: *mut __sk_buff,
    offset: u32,
    from: u16,
    to: u16,
    flags: u64,
) -> Result<(), ()> {
    // SAFETY: `skb` is the context of the program.
    check(unsafe {
        bpf_l4_csum_replace(
            skb.cast(),
            offset,
            u64::from(from),
            u64::from(to),
            flags | 2,
        )
    })
}

/// Applies a difference made of [`sum`]s to the TCP checksum at `offset`. A
/// packet whose checksum is left to the device is not changed by this.
#[inline(always)]
pub(crate) fn l4_apply(skb: *mut __sk_buff, offset: u32, difference: u32) -> Result<(), ()> {
    // SAFETY: `skb` is the context of the program.
    check(unsafe { bpf_l4_csum_replace(skb.cast(), offset, 0, u64::from(difference), 0) })
}

/// One's complement sum of `bytes`, as if they started at an even position. Their
/// number has to be a multiple of 4.
#[inline(always)]
pub(crate) fn sum<const LEN: usize>(bytes: &[u8; LEN]) -> u32 {
    // SAFETY: `bytes` is readable for its length; the helper does not write.
    let sum = unsafe {
        bpf_csum_diff(
            core::ptr::null_mut(),
            0,
            bytes.as_ptr().cast_mut().cast(),
            LEN as u32,
            0,
        )
    };
    // Never negative: the two lengths are valid.
    sum.cast_unsigned() as u32
}

/// One's complement addition.
#[inline(always)]
pub(crate) const fn add(a: u32, b: u32) -> u32 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u32)
}

/// One's complement subtraction.
#[inline(always)]
pub(crate) const fn subtract(a: u32, b: u32) -> u32 {
    add(a, !b)
}

/// The sum of the same bytes when they start at `position`: an odd one swaps
/// the bytes of every word (RFC 1071 section 2).
#[inline(always)]
pub(crate) const fn at(sum: u32, position: u32) -> u32 {
    if position & 1 == 0 {
        sum
    } else {
        sum.rotate_right(8)
    }
}

/// A type that consists of bytes only.
///
/// # Safety
///
/// Every bit pattern has to be a valid value, and there is no padding.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: arrays of bytes, see network-types.
unsafe impl Plain for Ipv4Hdr {}
// SAFETY: as above.
unsafe impl Plain for Ipv6Hdr {}
// SAFETY: bytes.
unsafe impl Plain for [u8; 4] {}
// SAFETY: as above.
unsafe impl Plain for [u8; 8] {}
// SAFETY: as above; its bit field is an array of bytes too.
unsafe impl Plain for TcpHdr {}
