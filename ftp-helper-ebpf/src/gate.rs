//! The way of all packets that are none of ours: most of what a gateway forwards.
//!
//! A look at the headers where they lie, without a helper function of the kernel and
//! without the working memory. Only plain shapes are judged here: an Ethernet header,
//! an IP header without options or extensions, all of it in the linear part of the
//! packet. Every other shape goes to [`packet`](crate::packet), which reads them all
//! and comes to the same result.

use aya_ebpf::bindings::__sk_buff;
use ftp_helper_common::session::Direction;
use network_types::{
    eth::EtherType,
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
};

use crate::{
    packet::{FLAGS_OF_KIND, LINK_HEADER, is_extension, tcp_flags},
    port,
};

/// Start of the network header, in bytes from the start of the packet.
const NETWORK: usize = LINK_HEADER as usize;
/// A version 4 and five words of header (RFC 791 section 3.1).
const PLAIN_V4: u8 = 0x45;

/// True when a packet is certainly none of ours. A function of its own, behind which
/// the verifier's paths meet.
#[inline(never)]
pub(crate) fn is_foreign(skb: *mut __sk_buff, direction: Direction) -> bool {
    // SAFETY: the context is valid for the run of the program.
    let (protocol, start, end) = unsafe {
        (
            (*skb).protocol as u16,
            (*skb).data as usize,
            (*skb).data_end as usize,
        )
    };
    let bytes = start as *const u8;
    let transport = if protocol == EtherType::Ipv4 as u16 {
        const TRANSPORT: usize = NETWORK + size_of::<Ipv4Hdr>();
        if start + TRANSPORT > end {
            return false;
        }
        // SAFETY: inside the packet, as was just tested.
        let (version, high, low, next) = unsafe {
            (
                *bytes.add(NETWORK),
                *bytes.add(NETWORK + 6),
                *bytes.add(NETWORK + 7),
                *bytes.add(NETWORK + 9),
            )
        };
        if version != PLAIN_V4 || !is_ethernet(bytes, protocol, 4) {
            return false;
        }
        // The rest of a fragmented packet has no ports.
        if next != IpProto::Tcp as u8 || (u16::from(high) << 8 | u16::from(low)) & 0x1fff != 0 {
            return true;
        }
        TRANSPORT
    } else if protocol == EtherType::Ipv6 as u16 {
        const TRANSPORT: usize = NETWORK + size_of::<Ipv6Hdr>();
        if start + TRANSPORT > end {
            return false;
        }
        // SAFETY: inside the packet, as was just tested.
        let (version, next) = unsafe { (*bytes.add(NETWORK) >> 4, *bytes.add(NETWORK + 6)) };
        if version != 6 || !is_ethernet(bytes, protocol, 6) {
            return false;
        }
        if next != IpProto::Tcp as u8 {
            return !is_extension(next);
        }
        TRANSPORT
    } else {
        // Everything but what `packet` takes apart.
        return protocol != EtherType::Ieee8021q as u16 && protocol != EtherType::Ieee8021ad as u16;
    };
    if start + transport + size_of::<TcpHdr>() > end {
        return false;
    }
    // SAFETY: inside the packet, as was just tested; both ports lie at an even
    // position, and the processors that BPF runs on read them from any.
    let (source, destination, flags) = unsafe {
        let header = bytes.add(transport);
        (
            u16::from_be(header.cast::<u16>().read_unaligned()),
            u16::from_be(header.add(2).cast::<u16>().read_unaligned()),
            *header.add(13),
        )
    };
    let opens = direction == Direction::Ingress && flags & FLAGS_OF_KIND == tcp_flags::SYN;
    !(opens && port::is_awaited(destination) || port::may_be_control(source, destination))
}

/// True when the packet at `bytes` starts with an Ethernet header and can not start with
/// an IP header of this version: the kernel does not say where the network header is.
/// The caller has tested that a network header behind a link header is inside the packet.
#[inline(always)]
fn is_ethernet(bytes: *const u8, protocol: u16, version: u8) -> bool {
    // SAFETY: by the test of the caller.
    let (first, kind) = unsafe {
        (
            *bytes,
            bytes.add(NETWORK - 2).cast::<u16>().read_unaligned(),
        )
    };
    kind == protocol && first >> 4 != version
}
