//! Lines, against the oracle.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ftp_helper_common::{
    address::{Address, Endpoint},
    grammar::{Announcement, Kind, LineParser, Progress, Role, TEXT, Text},
};

use super::reader::{Event, Reader, events};
use crate::oracle::{Line, Oracle, Reading};

/// Reads bytes of this side, whole and in pieces; every line as the oracle reads it.
pub fn check(role: Role, stream: &[u8]) {
    let whole = events(role, stream);
    in_pieces(role, stream, &whole);

    let mut oracle = Oracle::new(role);
    let mut said = whole.iter();
    let mut start = 0;
    for line in stream.split_inclusive(|byte| *byte == b'\n') {
        if !line.ends_with(b"\n") {
            break;
        }
        let expected = oracle.line(line);
        let mut announced = None;
        let (kind, code, problem) = loop {
            match said.next() {
                Some(Event::Announced(found, place)) => {
                    assert!(announced.is_none(), "two announcements in one line");
                    announced = Some((*found, *place - start));
                }
                Some(Event::Line(kind, code, problem)) => break (*kind, *code, *problem),
                None => panic!("the line has no end: {}", line.escape_ascii()),
            }
        };
        let text = line.escape_ascii();
        assert_eq!(kind, expected.kind, "the kind of \"{text}\"");
        assert_eq!(code, expected.code, "the code of \"{text}\"");
        assert!(
            announced.is_none() || problem.is_none(),
            "announced and refused: \"{text}\""
        );
        judge(line, announced, &expected);
        if let Some((found, place)) = announced {
            replace(role, line, &found, place);
        }
        start += line.len();
    }
}

/// Wherever a stream is cut, the same is said.
fn in_pieces(role: Role, stream: &[u8], whole: &[Event]) {
    // Where it is cut follows from its own bytes, so that a fuzzer can choose.
    for modulus in [1, 3, 7] {
        let mut reader = Reader::new(role);
        let mut rest = stream;
        while !rest.is_empty() {
            let len = 1 + usize::from(rest[0]) % modulus;
            let (piece, behind) = rest.split_at(len.min(rest.len()));
            reader.push_quickly(piece, modulus);
            reader.store_and_load();
            rest = behind;
        }
        assert_eq!(reader.events, whole, "in pieces of up to {modulus}");
    }
}

/// What was announced is what the oracle reads, and what is wrong is not announced.
fn judge(line: &[u8], announced: Option<(Announcement, usize)>, expected: &Line) {
    let text = line.escape_ascii();
    let found = announced.map(|(found, place)| Reading {
        kind: found.kind,
        address: match found.kind {
            Kind::REPLY_229 => {
                assert!(found.endpoint.address.is_unspecified());
                None
            }
            _ => Some(found.endpoint.address.into()),
        },
        port: found.endpoint.port,
        span: place..place + found.len as usize,
        delimiter: match found.kind {
            Kind::EPRT | Kind::REPLY_229 => Some(found.delimiter),
            _ => None,
        },
    });
    // The parser reads each byte once, so a parenthesis that belongs to a wrong 229
    // opens no right one; everything else is decided both ways.
    if expected.kind == Kind::REPLY_229 && found.is_none() {
        let opened = line.split(|byte| *byte == b'(').count();
        let plain = opened == 2 && expected.reading.is_some();
        assert!(!plain, "a 229 is not read: \"{text}\"");
        return;
    }
    if expected.kind == Kind::REPLY_229 && found != expected.reading {
        let later = found.as_ref().is_some_and(|found| {
            Oracle::new(Role::Server)
                .line(&[b"229 ", &line[found.span.start - 4..]].concat())
                .reading
                .is_some_and(|reading| reading.port == found.port)
        });
        assert!(later, "\"{text}\" is read as {found:?}");
        return;
    }
    assert_eq!(found, expected.reading, "the reading of \"{text}\"");
    if let Some((found, place)) = announced {
        let span = &line[place..place + found.len as usize];
        let digest = span.iter().fold(LineParser::digest_basis(), |sum, byte| {
            LineParser::digest_add(sum, *byte)
        });
        assert_eq!(found.digest, digest, "the digest of \"{text}\"");
    }
}

/// Another endpoint in the place of the announced one is read back as that endpoint,
/// and every other byte stays.
fn replace(role: Role, line: &[u8], found: &Announcement, place: usize) {
    let span = place..place + found.len as usize;
    for (v4, v6, port) in [
        (Ipv4Addr::new(203, 0, 113, 1), Ipv6Addr::LOCALHOST, 1024),
        (
            Ipv4Addr::BROADCAST,
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 1, 0, 0, 1),
            u16::MAX,
        ),
        (
            Ipv4Addr::new(1, 2, 3, 4),
            Ipv6Addr::from([0xffff; 8]),
            10_000,
        ),
    ] {
        let address: IpAddr = if found.endpoint.address.is_v4() {
            v4.into()
        } else {
            v6.into()
        };
        let mut new = Endpoint::new(address.into(), port);
        if found.kind == Kind::REPLY_229 {
            new.address = Address::UNSPECIFIED;
        }
        let (mut bytes, mut progress) = ([0; TEXT], Progress::default());
        Text::new(&mut bytes, &mut progress).endpoint(found.kind, found.delimiter, &new);
        let written = &bytes[..progress.len as usize];
        let mut changed = line.to_vec();
        changed.splice(span.clone(), written.iter().copied());
        let again: Vec<_> = events(role, &changed)
            .into_iter()
            .filter_map(|event| match event {
                Event::Announced(found, place) => Some((found, place)),
                Event::Line(..) => None,
            })
            .collect();
        let text = changed.escape_ascii();
        let [(read, at)] = again[..] else {
            panic!("\"{text}\" is read as {again:?}");
        };
        assert_eq!(read.endpoint, new, "\"{text}\"");
        assert_eq!(read.kind, found.kind, "\"{text}\"");
        assert_eq!(
            (at, read.len as usize),
            (place, written.len()),
            "\"{text}\""
        );
    }
}
