//! The headers of a TCP packet.

use aya_ebpf::bindings::__sk_buff;
use ftp_helper_common::address::{Address, Endpoint};
use network_types::{
    eth::EtherType,
    ip::{IpProto, Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
};

use crate::{frame::Work, skb};

/// Flags of the TCP header, its byte 13 (RFC 9293 section 3.1).
pub(crate) mod tcp_flags {
    pub(crate) const FIN: u8 = 1;
    pub(crate) const SYN: u8 = 2;
    pub(crate) const RST: u8 = 4;
    pub(crate) const ACK: u8 = 16;
    pub(crate) const URG: u8 = 32;
}

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
        let parsed = if protocol == EtherType::Ipv4 as u16 {
            parse_v4(skb, work)
        } else if protocol == EtherType::Ipv6 as u16 {
            parse_v6(skb, work)
        } else {
            None
        };
        parsed.is_some()
    }

    /// The first packet of a connection.
    #[inline(always)]
    pub(crate) fn is_pure_syn(&self) -> bool {
        self.flags & (tcp_flags::SYN | tcp_flags::ACK | tcp_flags::RST | tcp_flags::FIN)
            == tcp_flags::SYN
    }

    /// True when every one of `flags` is set.
    #[inline(always)]
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

#[inline(always)]
fn parse_v4(skb: *mut __sk_buff, work: &mut Work) -> Option<()> {
    let header: &Ipv4Hdr = skb::load_network(skb, 0, &mut work.chunk)?;
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
    parse_tcp(skb, work, header_len, total.wrapping_sub(header_len))
}

#[inline(always)]
fn parse_v6(skb: *mut __sk_buff, work: &mut Work) -> Option<()> {
    let header: &Ipv6Hdr = skb::load_network(skb, 0, &mut work.chunk)?;
    if header.next_hdr != IpProto::Tcp as u8 {
        return None;
    }
    let len = u32::from(u16::from_be_bytes(header.payload_len));
    let packet = &mut work.packet;
    packet.source.address = Address::from_v6(&header.src_addr);
    packet.destination.address = Address::from_v6(&header.dst_addr);
    packet.is_v4 = false;
    packet.is_fragment = false;
    parse_tcp(skb, work, size_of::<Ipv6Hdr>() as u32, len)
}

#[inline(always)]
fn parse_tcp(skb: *mut __sk_buff, work: &mut Work, transport: u32, segment_len: u32) -> Option<()> {
    let header: &TcpHdr = skb::load_network(skb, transport, &mut work.chunk)?;
    // network-types reads the bit field bit by bit, which is slow here.
    // SAFETY: bytes 12 and 13 lie inside the 20 bytes of the header.
    let (offset, flags) = unsafe {
        let bytes = core::ptr::from_ref(header).cast::<u8>();
        (*bytes.add(12), *bytes.add(13))
    };
    let transport_len = u32::from(offset >> 4) * 4;
    let sound = transport_len >= size_of::<TcpHdr>() as u32
        && segment_len >= transport_len
        && segment_len <= 0xffff;
    let packet = &mut work.packet;
    packet.source.port = u16::from_be_bytes(header.source);
    packet.destination.port = u16::from_be_bytes(header.dest);
    packet.sequence = u32::from_be_bytes(header.seq);
    packet.acknowledgment = u32::from_be_bytes(header.ack_seq);
    packet.window = u16::from_be_bytes(header.window);
    packet.urgent = u16::from_be_bytes(header.urg_ptr);
    packet.flags = flags;
    packet.transport = transport;
    packet.transport_len = transport_len;
    packet.payload_len = if sound {
        segment_len - transport_len
    } else {
        u32::MAX
    };
    Some(())
}
