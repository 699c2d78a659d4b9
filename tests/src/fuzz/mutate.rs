//! What is done to the packets of a conversation.

use etherparse::IpNumber;
use ftp_helper_common::session::Direction;

use super::{
    case::{Case, Step},
    packet::{self, Parsed, Seen},
};
use crate::packets::{
    segment::{Segment, flags},
    stream::random::Random,
};

/// Longest payload that the kernel takes in a test packet.
const LONGEST: usize = 3300;

/// Lines for both roles that somebody might try.
const HOSTILE: &[&[u8]] = &[
    b"PORT 198,51,100,9,200,1\r\n",
    b"PORT 10,0,0,2,0,22\r\n",
    b"PORT 10,0,0,2,178,110\r\n",
    b"PORT 203,0,113,1,178,110\r\n",
    b"EPRT |1|10.0.0.2|6000|\r\n",
    b"PORT 203,0,113,77,178,110\r\n",
    b"PORT 198,51,100,7,178,110\r\n",
    b"EPRT |2|2001:db8::77|6000|\r\n",
    b"EPRT |2|fd00::2|6000|\r\n",
    b"227 Entering Passive Mode (10,0,0,2,178,110).\r\n",
    b"227 (198,51,100,7,178,110)\r\n",
    b"227 (0,0,0,0,178,110)\r\n",
    b"229 (|||45678|)\r\n",
    b"227-(10,0,0,2,178,110)\r\n227 (10,0,0,2,178,110)\r\n",
    b"211-a\r\n227 (10,0,0,2,178,110)\r\n211 b\r\n",
    b"PASV\r\n",
    b"EPSV\r\n",
    b"EPSV ALL\r\n",
    b"AUTH TLS\r\n",
    b"234 go\r\n",
    b"REIN\r\n",
    b"LPRT 6,16\r\n",
    b"GET / HTTP/1.1\r\n",
    b"220 hello\r\n",
    b"230 in\r\n",
    b"200 ok\r\n",
    b"425 no\r\n",
    b"421 bye\r\n",
    b"PORT ",
    b"PORT 10,0,0,2,1",
    b"\r\n",
    b"\n",
    b" ",
    b"\xff\xf4\xff\xf2ABOR\r\n",
    b"\x16\x03\x01\x02\x00",
];

/// Options: nonsense, lies about lengths, SACK blocks in plenty, timestamps cut off.
const OPTIONS: &[&[u8]] = &[
    &[],
    &[1, 1, 1, 1],
    &[1, 1, 1, 8],
    &[8, 10, 0, 1],
    &[1, 1, 8, 10, 1, 2, 3, 4],
    &[8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0],
    &[5, 2, 1, 1],
    &[5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 1, 1],
    &[5, 9, 0, 0, 0, 1, 0, 0, 0, 9, 1, 1],
    &[5, 255, 0, 0],
    &[5, 0, 0, 0],
    &[
        5, 34, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7,
        0, 0, 0, 8, 1, 1,
    ],
    &[
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 8, 10,
    ],
    &[0, 5, 10, 1],
];

/// Changes a few packets, and which there are.
pub fn case(random: &mut Random, case: &mut Case) {
    for _ in 0..random.between(1, 12) {
        if case.steps.is_empty() {
            return;
        }
        let at = random.below(case.steps.len());
        match random.below(13) {
            0 => drop(case.steps.remove(at)),
            1 => {
                let to = random.below(case.steps.len());
                case.steps.swap(at, to);
            }
            2 => {
                let step = case.steps[at].clone();
                let to = random.between(0, case.steps.len());
                case.steps.insert(to, step);
            }
            3 => raw(random, &mut case.steps[at].packet),
            4 => merge(case, at),
            5 => knock(random, case, at),
            // As the card, or the sender's own stack, merges them.
            6 => case.steps[at].merged = *random.pick(&[1, 100, 536, 700, 1220, 1448, 9000]),
            _ => {
                let step = &case.steps[at];
                if let Seen::Segment(parsed) = packet::read(step.direction, &step.packet) {
                    let Parsed { mut segment, .. } = *parsed;
                    self::segment(random, &mut segment);
                    let step = Step {
                        direction: step.direction,
                        merged: step.merged,
                        packet: segment.bytes(),
                    };
                    // In its place, or beside it.
                    if random.chance(50) {
                        case.steps[at] = step;
                    } else {
                        case.steps.insert(at + random.below(2), step);
                    }
                }
            }
        }
    }
}

/// Bytes of a packet, with or without the checksums that belong to them.
fn raw(random: &mut Random, packet: &mut Vec<u8>) {
    let headers = packet.len().min(80);
    match random.below(6) {
        0 => packet[12 + random.below(headers - 12)] = random.word().to_be_bytes()[0],
        1 => packet[12 + random.below(headers - 12)] ^= 1 << random.below(8),
        // The length that IP tells: version 4, version 6.
        2 => packet[*random.pick(&[16, 17, 18, 19])] ^= 1 << random.below(8),
        3 => {
            let at = random.below(packet.len());
            packet[at] ^= 1 << random.below(8);
        }
        4 => packet.truncate(random.between(34, packet.len())),
        // Padding, as on an Ethernet.
        _ => packet.extend(vec![0xaa; random.between(1, 46)]),
    }
    if packet.len() > LONGEST + 200 {
        packet.truncate(LONGEST + 200);
    }
}

/// A segment of another shape, whose checksums are right.
fn segment(random: &mut Random, segment: &mut Segment) {
    for _ in 0..random.between(1, 2) {
        match random.below(14) {
            0 => segment.flags ^= *random.pick(&[1, 2, 4, 8, 16, 32]),
            1 => segment.flags = random.word().to_be_bytes()[0] & 0x3f,
            2 => {
                let urgent = [0, 1, random.word() & 0x3f, random.word()];
                segment.flags |= flags::URG;
                segment.urgent = (*random.pick(&urgent) & 0xffff) as u16;
            }
            3 => segment.sequence = shifted(random, segment.sequence),
            4 => segment.acknowledgment = shifted(random, segment.acknowledgment),
            5 | 6 => segment.payload = random.pick(HOSTILE).to_vec(),
            7 => segment.payload.extend(*random.pick(HOSTILE)),
            8 if !segment.payload.is_empty() => {
                let at = random.below(segment.payload.len());
                segment.payload[at] = *random.pick(b"0123456789,.|: \r\nPE\xff");
            }
            9 => segment.options = sack(random, segment),
            10 => segment.options = random.pick(OPTIONS).to_vec(),
            11 => segment.tags = random.below(4),
            12 if segment.source.is_ipv4() => {
                segment.ip_options = vec![1; *random.pick(&[0, 4, 20, 40])];
            }
            12 => segment.extensions = extensions(random),
            // Like a segment that the card has merged.
            _ => {
                let line = *random.pick(HOSTILE);
                let count = random.between(1, 200);
                segment.payload.extend(line.repeat(count));
            }
        }
    }
    segment.payload.truncate(LONGEST);
}

/// A number in its neighbourhood.
fn shifted(random: &mut Random, number: u32) -> u32 {
    match random.below(4) {
        0 => number.wrapping_add(random.word() & 0x1f),
        1 => number.wrapping_sub(random.word() & 0x1f),
        2 => number.wrapping_add(random.word() & 0xfff),
        _ => random.word(),
    }
}

/// SACK blocks around what is acknowledged.
fn sack(random: &mut Random, segment: &Segment) -> Vec<u8> {
    let count = random.between(1, 4);
    let mut options = vec![1, 1, 5, u8::try_from(2 + count * 8).unwrap_or(10)];
    for _ in 0..count {
        let left = segment.acknowledgment.wrapping_add(random.word() & 0x7f);
        let right = left.wrapping_add(random.word() & 0x3f);
        options.extend(left.to_be_bytes());
        options.extend(right.to_be_bytes());
    }
    options
}

fn extensions(random: &mut Random) -> Vec<(IpNumber, Vec<u8>)> {
    (0..random.between(0, 7))
        .map(|_| match random.below(5) {
            0 => (IpNumber(0), vec![0; 8]),
            1 => (IpNumber(43), vec![0; 8]),
            2 => (
                IpNumber(60),
                vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
            // An atomic fragment (RFC 6946), and one that is none.
            3 => (
                IpNumber(44),
                vec![0, 0, 0, u8::from(random.chance(20)), 0, 0, 0, 1],
            ),
            _ => (IpNumber(51), vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        })
        .collect()
}

/// A packet and those behind it become one, as far as they belong together.
fn merge(case: &mut Case, at: usize) {
    let read = |step: &Step| match packet::read(step.direction, &step.packet) {
        Seen::Segment(parsed) => Some(parsed.segment),
        _ => None,
    };
    let Some(mut merged) = read(&case.steps[at]) else {
        return;
    };
    let size = u32::try_from(merged.payload.len()).unwrap_or_default();
    for step in &case.steps[at + 1..] {
        let Some(next) = read(step) else {
            continue;
        };
        let end = u32::try_from(merged.payload.len())
            .map_or(merged.sequence, |len| merged.sequence.wrapping_add(len));
        let is_next = next.direction == merged.direction && next.sequence == end;
        if is_next && merged.payload.len() + next.payload.len() <= LONGEST {
            merged.payload.extend(&next.payload);
            merged.flags |= next.flags;
        }
    }
    case.steps[at].packet = merged.bytes();
    case.steps[at].merged = size;
}

/// The same behind any packet.
pub fn knock_somewhere(random: &mut Random, case: &mut Case) {
    if !case.steps.is_empty() {
        let at = random.below(case.steps.len());
        knock(random, case, at);
    }
}

/// The peer, or somebody else, opens a data connection.
fn knock(random: &mut Random, case: &mut Case, at: usize) {
    let flow = case.flow;
    let mut syn = flow.ingress(random.word(), "").flags(flags::SYN);
    // Not the port in front of the control port: what is connected from there keeps its
    // outside port from the announcements of later cases, and the model knows no conntrack.
    syn.source.set_port(2020);
    if random.chance(20) {
        syn.source.set_ip(flow.inside.ip());
    } else if random.chance(20) && flow.peer.is_ipv4() {
        // One of the third parties that may be allowed, and one that is not.
        let last = *random.pick(&[9, 20]);
        syn.source.set_ip([198, 51, 100, last].into());
    }
    if random.chance(20) {
        // Where the peer itself announced.
        syn.destination.set_ip(flow.peer.ip());
    }
    // Ports that are announced often, and one out of the text of a packet.
    let announced = case.steps[..=at].iter().rev().find_map(|step| {
        let Seen::Segment(parsed) = packet::read(step.direction, &step.packet) else {
            return None;
        };
        let text = parsed.segment.payload;
        let numbers = text
            .split(|byte| !byte.is_ascii_digit())
            .filter_map(|number| str::from_utf8(number).ok()?.parse::<u16>().ok());
        let numbers: Vec<u16> = numbers.collect();
        let [.., high, low] = numbers[..] else {
            return None;
        };
        Some(if high < 256 && low < 256 {
            high << 8 | low
        } else {
            low
        })
    });
    let port = announced.unwrap_or(45_678);
    syn.destination.set_port(port);
    if random.chance(20) {
        syn.payload = b"x".to_vec();
    }
    let step = Step {
        direction: Direction::Ingress,
        merged: 0,
        packet: syn.bytes(),
    };
    case.steps.insert(at + 1, step);
}
