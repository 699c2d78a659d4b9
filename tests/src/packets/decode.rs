//! Packets in words.

use std::fmt::Write as _;

use etherparse::{NetSlice, SlicedPacket, TcpSlice, TransportSlice};

/// Bytes of payload in one line.
const LINE: usize = 48;

/// A packet, one fact a line. What can not be understood is shown in hex.
pub fn describe(packet: &[u8]) -> Vec<String> {
    let mut lines = vec![format!("length {}", packet.len())];
    match SlicedPacket::from_ethernet(packet) {
        Ok(sliced) => {
            lines.push(format!("link {}", hex(&packet[..14])));
            network(&sliced, &mut lines);
            match &sliced.transport {
                Some(TransportSlice::Tcp(tcp)) => transport(tcp, &mut lines),
                _ => lines.push(format!("not TCP: {}", hex(packet))),
            }
        }
        Err(error) => {
            lines.push(format!("malformed: {error}"));
            lines.extend(packet.chunks(16).map(hex));
        }
    }
    lines
}

fn network(sliced: &SlicedPacket<'_>, lines: &mut Vec<String>) {
    match &sliced.net {
        Some(NetSlice::Ipv4(slice)) => {
            let header = slice.header();
            lines.push(format!(
                "IPv4 {} > {}",
                header.source_addr(),
                header.destination_addr()
            ));
            lines.push(format!("IPv4 total length {}", header.total_len()));
            lines.push(format!("IPv4 checksum {:#06x}", header.header_checksum()));
            lines.push(format!("IPv4 header {}", hex(header.slice())));
        }
        Some(NetSlice::Ipv6(slice)) => {
            let header = slice.header();
            lines.push(format!(
                "IPv6 {} > {}",
                header.source_addr(),
                header.destination_addr()
            ));
            lines.push(format!("IPv6 payload length {}", header.payload_length()));
            lines.push(format!("IPv6 header {}", hex(header.slice())));
        }
        _ => lines.push("neither IPv4 nor IPv6".to_owned()),
    }
}

fn transport(tcp: &TcpSlice<'_>, lines: &mut Vec<String>) {
    lines.push(format!(
        "TCP ports {} > {}",
        tcp.source_port(),
        tcp.destination_port()
    ));
    lines.push(format!("TCP sequence {}", tcp.sequence_number()));
    lines.push(format!(
        "TCP acknowledgment {}",
        tcp.acknowledgment_number()
    ));
    let flags = [
        (tcp.fin(), "FIN"),
        (tcp.syn(), "SYN"),
        (tcp.rst(), "RST"),
        (tcp.psh(), "PSH"),
        (tcp.ack(), "ACK"),
        (tcp.urg(), "URG"),
    ];
    let flags: Vec<_> = flags
        .into_iter()
        .filter_map(|(set, name)| set.then_some(name))
        .collect();
    lines.push(format!("TCP flags {}", flags.join(" ")));
    lines.push(format!("TCP window {}", tcp.window_size()));
    lines.push(format!("TCP urgent {}", tcp.urgent_pointer()));
    lines.push(format!("TCP checksum {:#06x}", tcp.checksum()));
    for option in tcp.options_iterator() {
        lines.push(match option {
            Ok(option) => format!("option {option:?}"),
            Err(error) => format!("option malformed: {error}"),
        });
    }
    lines.push(format!("options {}", hex(tcp.options())));
    lines.push(format!("payload of {} bytes", tcp.payload().len()));
    for line in tcp.payload().chunks(LINE) {
        lines.push(format!("  \"{}\"", line.escape_ascii()));
    }
}

/// Both packets side by side, one line per fact: `-` only expected, `+` only
/// seen.
pub fn difference(expected: &[u8], seen: &[u8]) -> String {
    let (expected, seen) = (describe(expected), describe(seen));
    let common = longest_common(&expected, &seen);
    let mut text = String::new();
    let (mut left, mut right) = (0, 0);
    for (at_left, at_right) in common.into_iter().chain([(expected.len(), seen.len())]) {
        for line in &expected[left..at_left] {
            // Writing to a `String` can not fail.
            let _ = writeln!(text, "- {line}");
        }
        for line in &seen[right..at_right] {
            let _ = writeln!(text, "+ {line}");
        }
        if let Some(line) = expected.get(at_left) {
            let _ = writeln!(text, "  {line}");
        }
        (left, right) = (at_left + 1, at_right + 1);
    }
    text
}

/// Pairs of indices of the lines that both have, in order.
fn longest_common(left: &[String], right: &[String]) -> Vec<(usize, usize)> {
    // lengths[i][j]: of left[i..] and right[j..].
    let mut lengths = vec![vec![0; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            lengths[i][j] = if left[i] == right[j] {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut pairs = Vec::new();
    while i < left.len() && j < right.len() {
        if left[i] == right[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

#[cfg(test)]
mod tests {
    use crate::packets::flow::Flow;

    use super::*;

    #[test]
    fn a_difference_names_the_fields() {
        let segment = Flow::client_inside(1).egress(0, "PORT 1,2,3,4,5,6\r\n");
        let mut other = segment.clone().payload("PORT 1,2,3,4,5,7\r\n");
        other.sequence += 3;
        let text = difference(&segment.bytes(), &other.bytes());
        let marked: Vec<_> = text.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(marked.len(), 6, "{text}");
        assert!(text.contains("-   \"PORT 1,2,3,4,5,6\\r\\n\""), "{text}");
        assert!(text.contains("+   \"PORT 1,2,3,4,5,7\\r\\n\""), "{text}");
        assert!(text.contains("- TCP sequence"), "{text}");
        assert!(text.contains("- TCP checksum"), "{text}");
        assert_eq!(
            difference(&segment.bytes(), &segment.bytes())
                .lines()
                .count(),
            describe(&segment.bytes()).len()
        );
    }
}
