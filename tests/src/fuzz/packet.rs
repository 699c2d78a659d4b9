//! What a packet is, and what should become of it: written a second time, from the RFCs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::IpNumber;
use ftp_helper_common::session::Direction;

use crate::packets::segment::Segment;

/// A port on which the programs look for control connections.
pub const CONTROL: u16 = 21;

const ETHERNET: usize = 14;
const TCP: u8 = 6;

/// What a packet is, as far as the programs care.
#[derive(Clone, Debug)]
pub enum Seen {
    /// No TCP, or TCP of others.
    Other,
    /// So odd that no stack would take it, or that it can not be said what it is.
    Odd,
    /// A part of a packet, with a control port.
    Fragment,
    /// Its lengths contradict each other, with a control port.
    Malformed,
    /// The first segment of another connection, from and to these.
    Knock(SocketAddr, SocketAddr),
    /// A segment with a control port.
    Segment(Box<Parsed>),
}

/// A segment, and where its parts are in the packet.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The segment.
    pub segment: Segment,
    /// Where the IP header starts.
    pub network: usize,
    /// Where the TCP header starts.
    pub transport: usize,
    /// Where the payload starts.
    pub payload: usize,
    /// Where the payload ends; behind it there may be padding.
    pub end: usize,
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    let bytes = packet.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn number(packet: &[u8], at: usize) -> Option<u32> {
    let bytes = packet.get(at..at + 4)?;
    Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// What the IP header says.
struct Network {
    source: IpAddr,
    destination: IpAddr,
    /// Length of the header with options or extension headers.
    len: usize,
    /// Length of what follows, as the header says; negative when it contradicts itself.
    rest: i64,
    is_fragment: bool,
    ip_options: Vec<u8>,
    extensions: Vec<(IpNumber, Vec<u8>)>,
}

/// Whether the kernel takes the packet for a test: it wants the whole IP header.
pub fn is_testable(packet: &[u8]) -> bool {
    let least = match word(packet, 12) {
        Some(0x0800) => ETHERNET + 20,
        Some(0x86dd) => ETHERNET + 40,
        _ => ETHERNET + 1,
    };
    packet.len() >= least
}

/// Reads a packet that takes this way.
pub fn read(direction: Direction, packet: &[u8]) -> Seen {
    parse(direction, packet).unwrap_or(Seen::Other)
}

fn parse(direction: Direction, packet: &[u8]) -> Option<Seen> {
    let mut network = ETHERNET;
    let mut kind = word(packet, 12)?;
    while kind == 0x8100 || kind == 0x88a8 {
        // Two tags at most.
        if network == ETHERNET + 8 {
            return Some(Seen::Other);
        }
        kind = word(packet, network + 2)?;
        network += 4;
    }
    let ip = match kind {
        0x0800 => v4(packet, network)?,
        0x86dd => v6(packet, network)?,
        _ => return Some(Seen::Other),
    };
    let transport = network + ip.len;
    let header = packet.get(transport..transport + 20)?;
    if ip.source.is_ipv4() && ip.len < 20 {
        return Some(Seen::Odd);
    }
    let (source, destination) = (word(header, 0)?, word(header, 2)?);
    let header_len = usize::from(header[12] >> 4) * 4;
    let least = i64::from(header[12] >> 4) * 4;
    let flags = header[13];
    let is_control = source == CONTROL || destination == CONTROL;
    let is_pure_syn = flags & 0x17 == 2;
    let source = SocketAddr::new(ip.source, source);
    let destination = SocketAddr::new(ip.destination, destination);
    if !is_control {
        let is_knock = is_pure_syn && direction == Direction::Ingress;
        return Some(if is_knock {
            Seen::Knock(source, destination)
        } else {
            Seen::Other
        });
    }
    if ip.is_fragment {
        return Some(Seen::Fragment);
    }
    let is_sound = header_len >= 20 && (least..=0xffff).contains(&ip.rest);
    let payload = transport + header_len;
    let end = transport + usize::try_from(ip.rest).unwrap_or_default();
    if !is_sound || end > packet.len() {
        return Some(Seen::Malformed);
    }
    Some(Seen::Segment(Box::new(Parsed {
        segment: Segment {
            direction,
            source,
            destination,
            sequence: number(header, 4)?,
            acknowledgment: number(header, 8)?,
            flags: flags & 0x3f,
            window: word(header, 14)?,
            urgent: word(header, 18)?,
            options: packet[transport + 20..payload].to_vec(),
            ip_options: ip.ip_options,
            tags: (network - ETHERNET) / 4,
            extensions: ip.extensions,
            payload: packet[payload..end].to_vec(),
        },
        network,
        transport,
        payload,
        end,
    })))
}

fn v4(packet: &[u8], at: usize) -> Option<Network> {
    let header = packet.get(at..at + 20)?;
    let fragment = word(header, 6)?;
    if header[9] != TCP || fragment & 0x1fff != 0 {
        return None;
    }
    let len = usize::from(header[0] & 15) * 4;
    let address = |from: usize| {
        let bits = number(header, from)?;
        Some(IpAddr::from(Ipv4Addr::from_bits(bits)))
    };
    Some(Network {
        source: address(12)?,
        destination: address(16)?,
        len,
        rest: i64::from(word(header, 2)?) - i64::from(header[0] & 15) * 4,
        is_fragment: fragment & 0x2000 != 0,
        ip_options: packet
            .get(at + 20..at + len)
            .map(<[u8]>::to_vec)
            .unwrap_or_default(),
        extensions: Vec::new(),
    })
}

fn v6(packet: &[u8], at: usize) -> Option<Network> {
    let header = packet.get(at..at + 40)?;
    let address = |from: usize| {
        let bytes: [u8; 16] = header[from..from + 16].try_into().ok()?;
        Some(IpAddr::from(Ipv6Addr::from(bytes)))
    };
    let mut network = Network {
        source: address(8)?,
        destination: address(24)?,
        len: 40,
        rest: i64::from(word(header, 4)?),
        is_fragment: false,
        ip_options: Vec::new(),
        extensions: Vec::new(),
    };
    let mut next = header[6];
    while next != TCP {
        // Six of them at most.
        if network.extensions.len() == 6 {
            return None;
        }
        let start = at + network.len;
        let extension = packet.get(start..start + 4)?;
        let len = match next {
            0 | 43 | 60 => (usize::from(extension[1]) + 1) * 8,
            44 => {
                let fragment = word(extension, 2)?;
                if fragment & 0xfff8 != 0 {
                    return None;
                }
                network.is_fragment |= fragment & 1 != 0;
                8
            }
            51 => (usize::from(extension[1]) + 2) * 4,
            _ => return None,
        };
        let bytes = packet.get(start..start + len).unwrap_or_default().to_vec();
        network.extensions.push((IpNumber(next), bytes));
        network.len += len;
        network.rest -= i64::try_from(len).ok()?;
        next = extension[0];
    }
    Some(network)
}

/// The packet when its segment has become another one; both checksums are zero.
pub fn changed(packet: &[u8], parsed: &Parsed, segment: &Segment) -> Vec<u8> {
    let before = &parsed.segment;
    let mut bytes = packet[..parsed.payload].to_vec();
    let (network, transport) = (parsed.network, parsed.transport);
    if segment.payload.len() != before.payload.len() {
        let len = parsed.payload - network + segment.payload.len();
        let (at, len) = if before.source.is_ipv4() {
            (network + 2, len)
        } else {
            (network + 4, len - 40)
        };
        let len = u16::try_from(len).unwrap_or_default();
        bytes[at..at + 2].copy_from_slice(&len.to_be_bytes());
    }
    let tcp = &mut bytes[transport..];
    tcp[4..8].copy_from_slice(&segment.sequence.to_be_bytes());
    tcp[8..12].copy_from_slice(&segment.acknowledgment.to_be_bytes());
    tcp[14..16].copy_from_slice(&segment.window.to_be_bytes());
    tcp[18..20].copy_from_slice(&segment.urgent.to_be_bytes());
    tcp[20..].copy_from_slice(&segment.options);
    if segment.direction == before.direction {
        // The two bits for congestion are nobody's business here.
        tcp[13] = tcp[13] & 0xc0 | segment.flags;
    } else {
        // Sent back.
        tcp[13] = segment.flags;
        tcp[..2].copy_from_slice(&segment.source.port().to_be_bytes());
        tcp[2..4].copy_from_slice(&segment.destination.port().to_be_bytes());
        swap(&mut bytes, 0, 6);
        if before.source.is_ipv4() {
            swap(&mut bytes, network + 12, 4);
        } else {
            swap(&mut bytes, network + 8, 16);
        }
    }
    bytes.extend_from_slice(&segment.payload);
    without_checksums(&bytes, parsed)
}

/// Two fields that lie one behind the other change places.
fn swap(bytes: &mut [u8], at: usize, len: usize) {
    let (first, second) = bytes[at..at + 2 * len].split_at_mut(len);
    first.swap_with_slice(second);
}

/// The packet with zeros for both checksums.
pub fn without_checksums(packet: &[u8], parsed: &Parsed) -> Vec<u8> {
    let mut bytes = packet.to_vec();
    if parsed.segment.source.is_ipv4()
        && let Some(checksum) = bytes.get_mut(parsed.network + 10..parsed.network + 12)
    {
        checksum.fill(0);
    }
    if let Some(checksum) = bytes.get_mut(parsed.transport + 16..parsed.transport + 18) {
        checksum.fill(0);
    }
    bytes
}

/// What the checksums of IPv4 and TCP are off, 0 for right ones. An update by
/// differences keeps both, whatever they are.
pub fn errors(packet: &[u8], parsed: &Parsed) -> Option<(u16, u16)> {
    let network = parsed.network;
    let is_v4 = parsed.segment.source.is_ipv4();
    let header = packet.get(network..network + if is_v4 { 20 } else { 40 })?;
    let (ip, end, addresses) = if is_v4 {
        let total = usize::from(word(header, 2)?);
        let options = packet.get(network + 20..parsed.transport)?;
        let error = fold(sum(header) + sum(options));
        (error, network + total, &header[12..20])
    } else {
        let len = usize::from(word(header, 4)?);
        // There is no checksum of IPv6.
        (0, network + 40 + len, &header[8..40])
    };
    let segment = packet.get(parsed.transport..end)?;
    let pseudo = sum(addresses) + u64::from(TCP) + u64::try_from(segment.len()).ok()?;
    Some((ip, fold(pseudo + sum(segment))))
}

fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u64::from(u16::from_be_bytes([pair[0], low]))
    });
    words.sum()
}

/// Modulo 65535, where 0 stands for both zeros of one's complement.
fn fold(sum: u64) -> u16 {
    u16::try_from(sum % 0xffff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::flow::Flow;

    #[test]
    fn a_packet_is_read_as_it_was_made() {
        for flow in [Flow::client_inside(1), Flow::server_inside_v6(9)] {
            let mut segment = flow.egress(3, "PORT 1,2\r\n").urgent(2);
            segment.tags = 2;
            if flow.peer.is_ipv4() {
                segment.ip_options = vec![1, 1, 1, 0];
            } else {
                segment.extensions = vec![(IpNumber(60), vec![0; 8]), (IpNumber(0), vec![0; 8])];
            }
            let packet = segment.bytes();
            let Seen::Segment(parsed) = read(Direction::Egress, &packet) else {
                panic!("not a segment");
            };
            assert_eq!(parsed.segment.payload, segment.payload);
            assert_eq!(parsed.segment.network_len(), segment.network_len());
            assert_eq!(parsed.end, packet.len());
            assert_eq!(errors(&packet, &parsed), Some((0, 0)));
            assert_eq!(
                changed(&packet, &parsed, &parsed.segment),
                without_checksums(&packet, &parsed)
            );
            let mut wrong = packet.clone();
            wrong[parsed.payload] ^= 1;
            assert_ne!(errors(&wrong, &parsed), Some((0, 0)));
        }
    }
}
