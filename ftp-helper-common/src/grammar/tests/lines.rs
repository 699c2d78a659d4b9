//! Lines in a stream: several in a row, unknown starts, skipping, giving up.

use std::vec::Vec;

use super::harness::{Event, Line, Reader, outcomes};
use crate::{
    grammar::{Kind, LineParser, Role},
    reason::Reason,
};

#[test]
fn every_line_of_a_row_is_read() {
    assert_eq!(
        outcomes(
            Role::Client,
            b"USER me\r\nPASS PORT 1,2,3,4,5,6\r\nport 10,0,0,2,4,1\nEPSV ALL\r\n\r\n\
              EPRT |1|10.0.0.2|1026|\r\nPORT 1,2,3\r\nPORT 10,0,0,2,4,3\r\nQUIT\r\n"
        ),
        [
            "login",
            "other",
            "PORT 10.0.0.2:1025 <10,0,0,2,4,1>",
            "EPSV ALL",
            "other",
            "EPRT 10.0.0.2:1026 <10.0.0.2|1026>",
            "PORT: bad_syntax",
            "PORT 10.0.0.2:1027 <10,0,0,2,4,3>",
            "other",
        ]
    );
}

#[test]
fn a_path_may_hold_cr_nul_and_any_byte_but_lf() {
    let mut stream = b"RETR ".to_vec();
    stream.extend((0..=255u8).filter(|byte| *byte != b'\n'));
    stream.extend_from_slice(b"\r\0PORT 1,2,3,4,5,6\r\nPASV\r\n");
    assert_eq!(outcomes(Role::Client, &stream), ["other", "PASV"]);
}

#[test]
fn a_very_long_line_is_one_line() {
    let mut stream = b"SITE ".to_vec();
    stream.resize(100_000, b'x');
    stream.extend_from_slice(b" PORT 1,2,3,4,5,6\r\nPASV\r\n");
    assert_eq!(outcomes(Role::Client, &stream), ["other", "PASV"]);
}

#[test]
fn an_unsynchronised_parser_waits_for_the_end_of_a_line() {
    let mut client = Reader::with(Role::Client, LineParser::unsynchronised());
    client.push_all(b"PORT 10,0,0,2,4,1\r\nPORT 10,0,0,2,4,2\r\n");
    let [
        Event::Line(first),
        Event::Announcement(found),
        Event::Line(_),
    ] = &client.events[..]
    else {
        panic!("{:?}", client.events)
    };
    assert_eq!(first.kind, Kind::PART);
    assert_eq!(found.announcement.endpoint.port, 1026);

    let mut server = Reader::with(Role::Server, LineParser::unsynchronised());
    server.push_all(b"227 (10,0,0,2,4,1)\r\n220 hi\r\n");
    let codes: Vec<_> = server
        .events
        .iter()
        .map(|event| match event {
            Event::Line(line) => line.code,
            Event::Announcement(found) => panic!("{found:?}"),
        })
        .collect();
    assert_eq!(codes, [0, 220]);
}

#[test]
fn an_abandoned_line_says_nothing_and_the_next_one_is_read() {
    let mut reader = Reader::new(Role::Client);
    reader.push_all(b"PORT 10,0,0,2,4,");
    assert!(reader.parser.pending() > 0);
    reader.parser.abandon();
    assert_eq!(reader.parser.pending(), 0);
    assert!(reader.parser.skipping());
    reader.push_all(b"1\r\nPORT 10,0,0,2,4,2\r\n");
    let [
        Event::Line(first),
        Event::Announcement(found),
        Event::Line(_),
    ] = &reader.events[..]
    else {
        panic!("{:?}", reader.events)
    };
    assert_eq!((first.kind, first.problem), (Kind::OTHER, None));
    assert_eq!(found.announcement.endpoint.port, 1026);
}

#[test]
fn an_abandoned_reply_keeps_its_code() {
    let mut reader = Reader::new(Role::Server);
    reader.push_all(b"227 1,2,3 (10,0,0,2,4,");
    reader.parser.abandon();
    reader.push_all(b"1)\r\n");
    assert_eq!(
        reader.events,
        [Event::Line(Line {
            kind: Kind::OTHER,
            code: 227,
            problem: Some(Reason::BadSyntax),
        })]
    );
}

#[test]
fn skipping_is_offered_where_only_the_end_of_the_line_matters() {
    for (role, line, offered) in [
        (Role::Client, b"".as_slice(), false),
        (Role::Client, b"PO", false),
        (Role::Client, b"PORT ", false),
        (Role::Client, b"PORT x", true),
        (Role::Client, b"EPSV ", false),
        (Role::Client, b"EPSV 1", true),
        (Role::Client, b"USER ", true),
        (Role::Client, b"STORED", true),
        (Role::Client, b"\xff\xff", true),
        (Role::Server, b"220", false),
        (Role::Server, b"220 ", true),
        (Role::Server, b"220-", true),
        (Role::Server, b"x", true),
        (Role::Server, b"227 ", false),
        (Role::Server, b"227 (1,2,3,4,5,6", false),
        (Role::Server, b"227 (1,2,3,4,5,6)", true),
        (Role::Server, b"229 (|||6446", false),
        (Role::Server, b"229 (|||6446|", true),
    ] {
        let mut reader = Reader::new(role);
        reader.push_all(line);
        assert_eq!(reader.parser.skipping(), offered, "{line:?}");
    }
    let unknown = LineParser::unsynchronised();
    assert!(
        !unknown.skipping(),
        "a line has to begin before it is skipped"
    );
}

#[test]
fn skipped_bytes_count_as_part_of_the_line() {
    let mut reader = Reader::new(Role::Client);
    reader.push_all(b"USER ");
    reader.skip(b"PORT 1,2,3,4,5,6");
    assert_eq!(reader.parser.column(), 21);
    reader.parser.skip(u32::MAX);
    assert_eq!(reader.parser.column(), u32::MAX);
    reader.parser.push(Role::Client, b'x');
    assert_eq!(reader.parser.column(), u32::MAX);
    assert_eq!(
        reader.parser.push(Role::Client, b'\n'),
        crate::grammar::LINE
    );
    assert_eq!(reader.parser.column(), 0);
}
