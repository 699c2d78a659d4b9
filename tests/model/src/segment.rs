//! A TCP segment.

use std::net::{IpAddr, SocketAddr};

use etherparse::{
    EtherType, IpNumber, Ipv4Header, Ipv4Options, Ipv6Header, NetHeaders, PacketHeaders, TcpHeader,
    TcpOptionElement, TcpOptions, TransportHeader,
};
use ftp_helper_common::session::Direction;

/// Bits of [`Segment::flags`] (RFC 9293 section 3.1).
pub mod flags {
    /// No more data from the sender.
    pub const FIN: u8 = 1;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 2;
    /// Reset the connection.
    pub const RST: u8 = 4;
    /// Push.
    pub const PSH: u8 = 8;
    /// The acknowledgment field is valid.
    pub const ACK: u8 = 16;
    /// The urgent pointer is valid.
    pub const URG: u8 = 32;
}

/// Link addresses of our interface and of the host behind it.
pub const OUR_LINK: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// See [`OUR_LINK`].
pub const PEER_LINK: [u8; 6] = [2, 0, 0, 0, 0, 2];

const TTL: u8 = 62;
const IDENTIFICATION: u16 = 0x1234;

/// A TCP segment, and the packet around it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Segment {
    /// The way it takes through the outside interface.
    pub direction: Direction,
    /// Who sends it.
    pub source: SocketAddr,
    /// Where it goes; of the same family.
    pub destination: SocketAddr,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// Bits of [`flags`].
    pub flags: u8,
    /// Window, unscaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// TCP options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// IPv4 options, a multiple of four bytes.
    pub ip_options: Vec<u8>,
    /// VLAN tags that are in the packet and not beside it.
    pub tags: usize,
    /// IPv6 extension headers: the kind of each, and its bytes, of which the
    /// first is filled in.
    pub extensions: Vec<(IpNumber, Vec<u8>)>,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Segment {
    /// With other TCP options, padded to a multiple of four bytes.
    #[must_use]
    pub fn options(mut self, options: &[TcpOptionElement]) -> Self {
        let options = TcpOptions::try_from_elements(options).expect("options fit the header");
        self.options = options.as_slice().to_vec();
        self
    }

    /// With other flags.
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// With another payload.
    #[must_use]
    pub fn payload(mut self, payload: impl AsRef<[u8]>) -> Self {
        self.payload = payload.as_ref().to_vec();
        self
    }

    /// With another acknowledgment number.
    #[must_use]
    pub fn acknowledgment(mut self, acknowledgment: u32) -> Self {
        self.acknowledgment = acknowledgment;
        self
    }

    /// With an urgent pointer.
    #[must_use]
    pub fn urgent(mut self, urgent: u16) -> Self {
        self.flags |= flags::URG;
        self.urgent = urgent;
        self
    }

    /// Length of the IP header with its options or extension headers, in bytes.
    pub fn network_len(&self) -> usize {
        if self.source.is_ipv4() {
            return 20 + self.ip_options.len();
        }
        let extensions = self.extensions.iter().map(|(_, bytes)| bytes.len());
        40 + extensions.sum::<usize>()
    }

    /// Reads a packet with TCP in plain IP. `None` for every other one, and for
    /// one with a checksum or a length that is wrong.
    pub fn read(direction: Direction, packet: &[u8]) -> Option<Self> {
        let headers = PacketHeaders::from_ethernet_slice(packet).ok()?;
        let (source, destination, ip_options): (IpAddr, IpAddr, _) = match headers.net? {
            NetHeaders::Ipv4(header, _) => {
                let ends = (header.source.into(), header.destination.into());
                (ends.0, ends.1, header.options.to_vec())
            }
            NetHeaders::Ipv6(header, _) => {
                (header.source.into(), header.destination.into(), Vec::new())
            }
            NetHeaders::Arp(_) => return None,
        };
        let Some(TransportHeader::Tcp(tcp)) = headers.transport else {
            return None;
        };
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let segment = Self {
            direction,
            source: SocketAddr::new(source, tcp.source_port),
            destination: SocketAddr::new(destination, tcp.destination_port),
            sequence: tcp.sequence_number,
            acknowledgment: tcp.acknowledgment_number,
            flags: flag(tcp.fin, flags::FIN)
                | flag(tcp.syn, flags::SYN)
                | flag(tcp.rst, flags::RST)
                | flag(tcp.psh, flags::PSH)
                | flag(tcp.ack, flags::ACK)
                | flag(tcp.urg, flags::URG),
            window: tcp.window_size,
            urgent: tcp.urgent_pointer,
            options: tcp.options.to_vec(),
            ip_options,
            tags: 0,
            extensions: Vec::new(),
            payload: headers.payload.slice().to_vec(),
        };
        (segment.bytes() == packet).then_some(segment)
    }

    /// The packet as it lies on an Ethernet, with all checksums.
    pub fn bytes(&self) -> Vec<u8> {
        let mut tcp = TcpHeader::new(
            self.source.port(),
            self.destination.port(),
            self.sequence,
            self.window,
        );
        tcp.acknowledgment_number = self.acknowledgment;
        tcp.fin = self.flags & flags::FIN != 0;
        tcp.syn = self.flags & flags::SYN != 0;
        tcp.rst = self.flags & flags::RST != 0;
        tcp.psh = self.flags & flags::PSH != 0;
        tcp.ack = self.flags & flags::ACK != 0;
        tcp.urg = self.flags & flags::URG != 0;
        tcp.urgent_pointer = self.urgent;
        tcp.set_options_raw(&self.options)
            .expect("options fit the header");
        let len = tcp.header_len() + self.payload.len();
        let mut bytes = link(self.direction, self.source.is_ipv4(), self.tags);
        match (self.source, self.destination) {
            (SocketAddr::V4(source), SocketAddr::V4(destination)) => {
                let len = len.try_into().expect("payload fits");
                let mut header = Ipv4Header::new(
                    len,
                    TTL,
                    IpNumber::TCP,
                    source.ip().octets(),
                    destination.ip().octets(),
                )
                .expect("payload fits");
                header.identification = IDENTIFICATION;
                header.options =
                    Ipv4Options::try_from(&*self.ip_options).expect("options fit the header");
                header.set_payload_len(len.into()).expect("payload fits");
                header.header_checksum = header.calc_header_checksum();
                bytes.extend_from_slice(&header.to_bytes());
                tcp.checksum = tcp
                    .calc_checksum_ipv4(&header, &self.payload)
                    .expect("payload fits");
            }
            (SocketAddr::V6(source), SocketAddr::V6(destination)) => {
                let (first, extensions) = self.extension_headers();
                let header = Ipv6Header {
                    payload_length: (extensions.len() + len).try_into().expect("payload fits"),
                    next_header: first,
                    hop_limit: TTL,
                    source: source.ip().octets(),
                    destination: destination.ip().octets(),
                    ..Ipv6Header::default()
                };
                bytes.extend_from_slice(&header.to_bytes());
                bytes.extend(extensions);
                tcp.checksum = tcp
                    .calc_checksum_ipv6(&header, &self.payload)
                    .expect("payload fits");
            }
            _ => panic!("both ends are of one family"),
        }
        bytes.extend_from_slice(&tcp.to_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// The kind of the first header behind the IPv6 header, and all but the last
    /// of them, each with the kind of the next one.
    fn extension_headers(&self) -> (IpNumber, Vec<u8>) {
        let mut following = IpNumber::TCP;
        let mut bytes = Vec::new();
        for (kind, extension) in self.extensions.iter().rev() {
            let mut extension = extension.clone();
            extension[0] = following.0;
            bytes.splice(0..0, extension);
            following = *kind;
        }
        (following, bytes)
    }
}

/// The link header of a packet that takes this way, with VLAN tags.
pub fn link(direction: Direction, is_v4: bool, tags: usize) -> Vec<u8> {
    let (source, destination) = match direction {
        Direction::Egress => (OUR_LINK, PEER_LINK),
        Direction::Ingress => (PEER_LINK, OUR_LINK),
    };
    let ether_type = if is_v4 {
        EtherType::IPV4
    } else {
        EtherType::IPV6
    };
    let mut bytes = [destination, source].concat();
    for tag in (1..=tags).rev() {
        // All but the innermost are service tags (IEEE 802.1ad).
        let kind = match tag {
            1 => EtherType::VLAN_TAGGED_FRAME,
            _ => EtherType::PROVIDER_BRIDGING,
        };
        bytes.extend(kind.0.to_be_bytes());
        bytes.extend([0, 100]);
    }
    bytes.extend(ether_type.0.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Flow;

    #[test]
    fn a_segment_is_read_as_it_was_written() {
        for flow in [Flow::client_inside(1), Flow::server_inside_v6(u32::MAX)] {
            for segment in [
                flow.egress(5, "PORT 1,2,3,4,5,6\r\n"),
                flow.ingress(0, "x").urgent(1),
                flow.peer_acknowledges(7).flags(flags::FIN | flags::ACK),
            ] {
                let packet = segment.bytes();
                let read = Segment::read(segment.direction, &packet);
                assert_eq!(read.as_ref(), Some(&segment));
                // Not with any wrong byte in the headers or the payload.
                for index in 14..packet.len() {
                    let mut wrong = packet.clone();
                    wrong[index] ^= 1;
                    assert_eq!(Segment::read(segment.direction, &wrong), None, "{index}");
                }
            }
        }
    }
}
