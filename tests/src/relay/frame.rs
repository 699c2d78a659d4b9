//! Ethernet frames with TCP in them.

use crate::setup::ControlPort;

/// Length of the Ethernet header.
const LINK: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const TCP: u8 = 6;
/// FIN and PSH: only the last piece of a segment has them.
const ENDING: u8 = 0x09;

/// Where the parts of a frame begin.
struct Parts {
    transport: usize,
    payload: usize,
    end: usize,
}

fn is_v4(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&IPV4)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// Nothing here sends IPv6 extension headers.
fn parts(frame: &[u8]) -> Option<Parts> {
    let (transport, end) = if is_v4(frame) {
        if *frame.get(LINK + 9)? != TCP {
            return None;
        }
        let header = usize::from(frame[LINK] & 15) * 4;
        (LINK + header, LINK + usize::from(word(frame, LINK + 2)?))
    } else if frame.get(12..14) == Some(&IPV6) && *frame.get(LINK + 6)? == TCP {
        let length = usize::from(word(frame, LINK + 4)?);
        (LINK + 40, LINK + 40 + length)
    } else {
        return None;
    };
    let payload = transport + usize::from(*frame.get(transport + 12)? >> 4) * 4;
    (payload <= end && end <= frame.len()).then_some(Parts {
        transport,
        payload,
        end,
    })
}

/// Whether it is a TCP packet.
pub(super) fn is_tcp(frame: &[u8]) -> bool {
    parts(frame).is_some()
}

/// A control segment in pieces of `size` bytes; `None` for everything else, and
/// for what is no longer than that.
pub(super) fn cut(frame: &[u8], size: usize, control: ControlPort) -> Option<Vec<Vec<u8>>> {
    let found = parts(frame)?;
    let used = [
        word(frame, found.transport)?,
        word(frame, found.transport + 2)?,
    ];
    let is_control = [control.served, control.dialled]
        .iter()
        .any(|port| used.contains(port));
    let payload = &frame[found.payload..found.end];
    if !is_control || payload.len() <= size {
        return None;
    }
    let count = payload.len().div_ceil(size);
    let pieces = payload.chunks(size).enumerate();
    pieces
        .map(|(number, bytes)| {
            let mut piece = frame[..found.payload].to_owned();
            piece.extend_from_slice(bytes);
            let at = found.transport;
            let sequence = u32::from_be_bytes(piece[at + 4..at + 8].try_into().ok()?);
            let offset = u32::try_from(number * size).ok()?;
            let sequence = sequence.wrapping_add(offset);
            piece[at + 4..at + 8].copy_from_slice(&sequence.to_be_bytes());
            if number + 1 < count {
                piece[at + 13] &= !ENDING;
            }
            finish(&mut piece, at)?;
            Some(piece)
        })
        .collect()
}

/// Sets the length and the checksums.
fn finish(frame: &mut [u8], transport: usize) -> Option<()> {
    let length = u16::try_from(frame.len() - transport).ok()?;
    let addresses = if is_v4(frame) {
        let total = u16::try_from(frame.len() - LINK).ok()?;
        frame[LINK + 2..LINK + 4].copy_from_slice(&total.to_be_bytes());
        frame[LINK + 10..LINK + 12].fill(0);
        let sum = fold(add(0, &frame[LINK..transport]));
        frame[LINK + 10..LINK + 12].copy_from_slice(&(!sum).to_be_bytes());
        LINK + 12..LINK + 20
    } else {
        frame[LINK + 4..LINK + 6].copy_from_slice(&length.to_be_bytes());
        LINK + 8..LINK + 40
    };
    let checksum = transport + 16;
    frame[checksum..checksum + 2].fill(0);
    let pseudo = add(u64::from(length) + u64::from(TCP), &frame[addresses]);
    let sum = fold(add(pseudo, &frame[transport..]));
    frame[checksum..checksum + 2].copy_from_slice(&(!sum).to_be_bytes());
    Some(())
}

fn add(sum: u64, bytes: &[u8]) -> u64 {
    bytes.chunks(2).fold(sum, |sum, pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        sum + u64::from(u16::from_be_bytes([pair[0], low]))
    })
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Fits: the loop saw to it.
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};

    use super::*;

    #[test]
    fn pieces_are_whole_packets_with_right_checksums() {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([1; 6], [2; 6])
            .ipv4([10, 0, 0, 2], [203, 0, 113, 2], 64)
            .tcp(40_000, 21, 1000, 500)
            .psh()
            .write(&mut frame, b"PORT 1")
            .unwrap();
        assert!(is_tcp(&frame));
        let pieces = cut(&frame, 4, ControlPort::default()).unwrap();
        assert_eq!(pieces.len(), 2);
        let mut stream = Vec::new();
        for (piece, sequence) in pieces.iter().zip([1000, 1004]) {
            let packet = SlicedPacket::from_ethernet(piece).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
                panic!("not TCP: {packet:?}");
            };
            assert_eq!(tcp.sequence_number(), sequence);
            assert_eq!(
                tcp.checksum(),
                tcp.calc_checksum_ipv4([10, 0, 0, 2], [203, 0, 113, 2])
                    .unwrap()
            );
            stream.extend_from_slice(tcp.payload());
        }
        assert_eq!(stream, b"PORT 1");
        assert_eq!(cut(&frame, 6, ControlPort::default()), None);
    }
}
