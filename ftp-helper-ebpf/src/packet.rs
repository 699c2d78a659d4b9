//! The headers of a TCP packet.

use aya_ebpf::bindings::__sk_buff;
use ftp_helper_common::address::{Address, Endpoint};
use network_types::{
    eth::EtherType,
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
};

use crate::{
    frame::Work,
    skb::{self, Start},
};

/// Lengths in bytes of an Ethernet header and of a VLAN tag.
pub(crate) const LINK_HEADER: u32 = 14;
const VLAN_TAG: u32 = 4;

/// Extension headers that are walked over.
const MAX_EXTENSIONS: u32 = 6;

/// Flags of the TCP header, its byte 13 (RFC 9293 section 3.1).
pub(crate) mod tcp_flags {
    pub(crate) const FIN: u8 = 1;
    pub(crate) const SYN: u8 = 2;
    pub(crate) const RST: u8 = 4;
    pub(crate) const ACK: u8 = 16;
    pub(crate) const URG: u8 = 32;
}

/// What tells the first packet of a connection from all others: it has SYN alone.
pub(crate) const FLAGS_OF_KIND: u8 =
    tcp_flags::SYN | tcp_flags::ACK | tcp_flags::RST | tcp_flags::FIN;

/// What is read of every TCP packet. Numbers are in host byte order.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    /// Start of the TCP header, in bytes from the network header.
    pub(crate) transport: u32,
    /// Length of the TCP header with its options, in bytes.
    pub(crate) transport_len: u32,
    /// Length of the TCP header and payload, in bytes, as the IP header says.
    pub(crate) segment_len: u32,
    /// Length of the VLAN tags in the packet, in bytes.
    pub(crate) tags: u32,
    /// Length of the TCP payload, in bytes. A length that contradicts the
    /// headers is `u32::MAX`.
    pub(crate) payload_len: u32,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) flags: u8,
    pub(crate) is_v4: bool,
    /// A fragment: its payload can not be inspected.
    pub(crate) is_fragment: bool,
    pub(crate) reserved: u8,
}

impl Packet {
    /// Reads the headers into `work.packet`; false for everything that is not
    /// TCP. A fragment other than the first has no ports and is not TCP in this
    /// sense; without its first one it never gets anywhere.
    #[inline(always)]
    pub(crate) fn parse(skb: *mut __sk_buff, work: &mut Work) -> bool {
        // SAFETY: the context is valid for the run of the program.
        let protocol = unsafe { (*skb).protocol } as u16;
        work.packet.tags = 0;
        let parsed = if protocol == EtherType::Ipv4 as u16 {
            parse_v4(skb, work, Start::Network, 0)
        } else if protocol == EtherType::Ipv6 as u16 {
            parse_v6(skb, work, Start::Network, 0)
        } else if protocol == EtherType::Ieee8021q as u16
            || protocol == EtherType::Ieee8021ad as u16
        {
            parse_tagged(skb, work)
        } else {
            None
        };
        parsed.is_some()
    }

    /// The first packet of a connection.
    #[inline(always)]
    pub(crate) fn is_pure_syn(&self) -> bool {
        self.flags & FLAGS_OF_KIND == tcp_flags::SYN
    }

    /// True when every one of `flags` is set.
    #[inline(always)]
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

/// Length in bytes of the link header of a packet on a device that has none: in front of
/// what IPsec has decrypted is that of the device beneath (`xfrm_input`). 0 unless the
/// packet starts with anything but its network header.
#[inline(never)]
pub(crate) fn link_header(skb: *mut __sk_buff, work: &mut Work) -> u32 {
    let Some(header) = skb::load_header::<[u8; 8]>(skb, Start::Network, 0, &mut work.chunk) else {
        return 0;
    };
    match skb::read::<8>(skb, 0) {
        Ok(first) if first != *header => LINK_HEADER,
        _ => 0,
    }
}

/// VLAN tags that are in the packet and not beside it: at most two (802.1ad).
#[inline(never)]
fn parse_tagged(skb: *mut __sk_buff, work: &mut Work) -> Option<()> {
    let mut offset = LINK_HEADER;
    for _ in 0..2 {
        // The last two bytes of a tag are the type of what follows it.
        let tag: &[u8; 4] = skb::load_header(skb, Start::Link, offset, &mut work.chunk)?;
        let protocol = u16::from_ne_bytes([tag[2], tag[3]]);
        offset += VLAN_TAG;
        work.packet.tags = offset - LINK_HEADER;
        if protocol == EtherType::Ipv4 as u16 {
            return parse_v4(skb, work, Start::Link, offset);
        }
        if protocol == EtherType::Ipv6 as u16 {
            return parse_v6(skb, work, Start::Link, offset);
        }
        if protocol != EtherType::Ieee8021q as u16 && protocol != EtherType::Ieee8021ad as u16 {
            return None;
        }
    }
    None
}

#[inline(always)]
fn parse_v4(skb: *mut __sk_buff, work: &mut Work, start: Start, network: u32) -> Option<()> {
    let header: &Ipv4Hdr = skb::load_header(skb, start, network, &mut work.chunk)?;
    if header.proto != IpProto::Tcp as u8 {
        return None;
    }
    let fragment = u16::from_be_bytes(header.frags);
    if fragment & 0x1fff != 0 {
        return None;
    }
    let header_len = u32::from(header.vihl & 15) * 4;
    let total = u32::from(u16::from_be_bytes(header.tot_len));
    let packet = &mut work.packet;
    packet.source.address = Address::from_v4(header.src_addr);
    packet.destination.address = Address::from_v4(header.dst_addr);
    packet.is_v4 = true;
    packet.is_fragment = fragment & 0x2000 != 0;
    packet.transport = header_len;
    packet.segment_len = total.wrapping_sub(header_len);
    parse_tcp(skb, work, start, network)
}

#[inline(always)]
fn parse_v6(skb: *mut __sk_buff, work: &mut Work, start: Start, network: u32) -> Option<()> {
    let header: &Ipv6Hdr = skb::load_header(skb, start, network, &mut work.chunk)?;
    let next = header.next_hdr;
    let packet = &mut work.packet;
    packet.source.address = Address::from_v6(&header.src_addr);
    packet.destination.address = Address::from_v6(&header.dst_addr);
    packet.is_v4 = false;
    packet.is_fragment = false;
    packet.transport = size_of::<Ipv6Hdr>() as u32;
    packet.segment_len = u32::from(u16::from_be_bytes(header.payload_len));
    if next != IpProto::Tcp as u8 && !skip_extensions(skb, work, start, network, next) {
        return None;
    }
    parse_tcp(skb, work, start, network)
}

/// Whether `next` is an extension header that a TCP header may follow.
#[inline(always)]
pub(crate) const fn is_extension(next: u8) -> bool {
    next == IpProto::HopOpt as u8
        || next == IpProto::Ipv6Route as u8
        || next == IpProto::Ipv6Opts as u8
        || next == IpProto::Ipv6Frag as u8
        || next == IpProto::Ah as u8
}

/// Walks over extension headers (RFC 8200 section 4) to the TCP header; false
/// when there is none.
#[inline(never)]
fn skip_extensions(
    skb: *mut __sk_buff,
    work: &mut Work,
    start: Start,
    network: u32,
    first: u8,
) -> bool {
    let mut next = first;
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(next) {
            return false;
        }
        let at = network + work.packet.transport;
        let Some(header) = skb::load_header::<[u8; 4]>(skb, start, at, &mut work.chunk) else {
            return false;
        };
        let [following, len, offset_high, offset_low] = *header;
        let len = if next == IpProto::Ipv6Frag as u8 {
            let fragment = u16::from_be_bytes([offset_high, offset_low]);
            if fragment & 0xfff8 != 0 {
                return false;
            }
            work.packet.is_fragment |= fragment & 1 != 0;
            8
        } else if next == IpProto::Ah as u8 {
            (u32::from(len) + 2) * 4
        } else {
            (u32::from(len) + 1) * 8
        };
        work.packet.transport += len;
        work.packet.segment_len = work.packet.segment_len.wrapping_sub(len);
        next = following;
        if next == IpProto::Tcp as u8 {
            return true;
        }
    }
    false
}

#[inline(always)]
fn parse_tcp(skb: *mut __sk_buff, work: &mut Work, start: Start, network: u32) -> Option<()> {
    let at = network + work.packet.transport;
    let header: &TcpHdr = skb::load_header(skb, start, at, &mut work.chunk)?;
    // network-types reads the bit field bit by bit, which is slow here.
    // SAFETY: bytes 12 and 13 lie inside the 20 bytes of the header.
    let (offset, flags) = unsafe {
        let bytes = core::ptr::from_ref(header).cast::<u8>();
        (*bytes.add(12), *bytes.add(13))
    };
    let transport_len = u32::from(offset >> 4) * 4;
    let packet = &mut work.packet;
    let sound = transport_len >= size_of::<TcpHdr>() as u32
        && packet.segment_len >= transport_len
        && packet.segment_len <= 0xffff;
    packet.source.port = u16::from_be_bytes(header.source);
    packet.destination.port = u16::from_be_bytes(header.dest);
    packet.sequence = u32::from_be_bytes(header.seq);
    packet.acknowledgment = u32::from_be_bytes(header.ack_seq);
    packet.window = u16::from_be_bytes(header.window);
    packet.urgent = u16::from_be_bytes(header.urg_ptr);
    packet.flags = flags;
    packet.transport_len = transport_len;
    packet.payload_len = if sound {
        packet.segment_len - transport_len
    } else {
        u32::MAX
    };
    Some(())
}
