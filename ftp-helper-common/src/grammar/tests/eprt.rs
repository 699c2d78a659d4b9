//! `EPRT d af d address d port d` (RFC 2428 section 2): delimiters, families,
//! IPv4 addresses and ports.

use std::{format, vec::Vec};

use super::harness::{announcements, check, endpoint_text, outcomes, text};
use crate::grammar::{Kind, Role};

/// What every malformed form comes to.
const BAD: &str = "EPRT: bad_syntax";

#[test]
fn both_families_are_read() {
    check(
        Role::Client,
        &[
            (
                "IPv4",
                b"EPRT |1|10.0.0.2|45678|\r\n",
                "EPRT 10.0.0.2:45678 <10.0.0.2|45678>",
            ),
            (
                "IPv6",
                b"EPRT |2|2001:db8::2|45678|\r\n",
                "EPRT [2001:db8::2]:45678 <2001:db8::2|45678>",
            ),
            (
                "lower case, LF",
                b"eprt |1|10.0.0.2|45678|\n",
                "EPRT 10.0.0.2:45678 <10.0.0.2|45678>",
            ),
            (
                "blanks around",
                b"  EPRT \t |1|10.0.0.2|45678| \t\r\n",
                "EPRT 10.0.0.2:45678 <10.0.0.2|45678>",
            ),
            (
                "behind IAC IP, IAC DM",
                b"\xff\xf4\xff\xf2EPRT |1|10.0.0.2|45678|\r\n",
                "EPRT 10.0.0.2:45678 <10.0.0.2|45678>",
            ),
        ],
    );
}

/// Characters 33 to 126 without digits.
fn delimiters() -> impl Iterator<Item = u8> {
    (33..=126).filter(|byte: &u8| !byte.is_ascii_digit())
}

#[test]
fn any_delimiter_is_taken_that_leaves_an_ipv4_address_readable() {
    for delimiter in delimiters().filter(|byte| *byte != b'.') {
        let d = char::from(delimiter);
        let line = format!("EPRT {d}1{d}10.0.0.2{d}45678{d}\r\n");
        let found = announcements(Role::Client, line.as_bytes());
        assert_eq!(found.len(), 1, "{line:?}");
        assert_eq!(found[0].announcement.delimiter, delimiter);
        assert_eq!(
            endpoint_text(&found[0].announcement.endpoint),
            "10.0.0.2:45678"
        );
        assert_eq!(text(&found[0].span), format!("10.0.0.2{d}45678"));
    }
}

#[test]
fn any_delimiter_is_taken_that_leaves_an_ipv6_address_readable() {
    let readable = |byte: &u8| !byte.is_ascii_hexdigit() && *byte != b':';
    for delimiter in delimiters().filter(readable) {
        let d = char::from(delimiter);
        let line = format!("EPRT {d}2{d}2001:db8::2{d}45678{d}\r\n");
        let found = announcements(Role::Client, line.as_bytes());
        assert_eq!(found.len(), 1, "{line:?}");
        assert_eq!(found[0].announcement.delimiter, delimiter);
        assert_eq!(
            endpoint_text(&found[0].announcement.endpoint),
            "[2001:db8::2]:45678"
        );
        assert_eq!(text(&found[0].span), format!("2001:db8::2{d}45678"));
    }
}

/// The address put in its place may hold the delimiter, even where the announced
/// one does not.
#[test]
fn a_delimiter_that_may_be_part_of_the_address_is_refused() {
    check(
        Role::Client,
        &[
            ("a point", b"EPRT .1.10.0.0.2.45678.\r\n", BAD),
            ("a colon", b"EPRT :2:2001:db8::2:45678:\r\n", BAD),
            (
                "a hexadecimal letter",
                b"EPRT a2a2001:db8::2a45678a\r\n",
                BAD,
            ),
            ("another", b"EPRT f2f2001:db8::2f45678f\r\n", BAD),
            ("a large one", b"EPRT A2A2001:db8::2A45678A\r\n", BAD),
            ("a digit", b"EPRT 51510.0.0.25456785\r\n", BAD),
        ],
    );
}

#[test]
fn the_delimiter_is_printable_and_always_the_same() {
    check(
        Role::Client,
        &[
            ("no argument", b"EPRT\r\n", BAD),
            ("only blanks", b"EPRT  \r\n", BAD),
            (
                "a control character",
                b"EPRT \x011\x0110.0.0.2\x0145678\x01\r\n",
                BAD,
            ),
            ("DEL", b"EPRT \x7f1\x7f10.0.0.2\x7f45678\x7f\r\n", BAD),
            (
                "above ASCII",
                b"EPRT \xa61\xa610.0.0.2\xa645678\xa6\r\n",
                BAD,
            ),
            (
                "changes behind the family",
                b"EPRT |1!10.0.0.2|45678|\r\n",
                BAD,
            ),
            (
                "changes behind the address",
                b"EPRT |1|10.0.0.2!45678|\r\n",
                BAD,
            ),
            ("changes at the end", b"EPRT |1|10.0.0.2|45678!\r\n", BAD),
            ("missing at the end", b"EPRT |1|10.0.0.2|45678\r\n", BAD),
            ("missing at the end, LF", b"EPRT |1|10.0.0.2|45678\n", BAD),
            ("twice in front", b"EPRT ||1|10.0.0.2|45678|\r\n", BAD),
            ("twice at the end", b"EPRT |1|10.0.0.2|45678||\r\n", BAD),
            ("a word behind", b"EPRT |1|10.0.0.2|45678| x\r\n", BAD),
            (
                "a CR instead of the blank",
                b"EPRT\r|1|10.0.0.2|45678|\r\n",
                BAD,
            ),
            (
                "a CR among the blanks",
                b"EPRT \r|1|10.0.0.2|45678|\r\n",
                BAD,
            ),
            ("a blank inside", b"EPRT |1| 10.0.0.2|45678|\r\n", BAD),
            (
                "blank before the family",
                b"EPRT | 1|10.0.0.2|45678|\r\n",
                BAD,
            ),
            ("stops behind the verb", b"EPRT |\r\n", BAD),
            ("stops behind the family", b"EPRT |1\r\n", BAD),
            ("stops before the address", b"EPRT |1|\r\n", BAD),
            ("stops in the address", b"EPRT |1|10.0.0\r\n", BAD),
            ("stops before the port", b"EPRT |1|10.0.0.2|\r\n", BAD),
        ],
    );
}

/// RFC 2428: the server answers an unknown family with 522, so the line has to
/// reach it as it is.
#[test]
fn another_family_is_named_as_the_reason() {
    check(
        Role::Client,
        &[
            ("3", b"EPRT |3|10.0.0.2|45678|\r\n", "EPRT: wrong_family"),
            ("0", b"EPRT |0|10.0.0.2|45678|\r\n", "EPRT: wrong_family"),
            ("12", b"EPRT |12|10.0.0.2|45678|\r\n", "EPRT: wrong_family"),
            ("21", b"EPRT |21|10.0.0.2|45678|\r\n", "EPRT: wrong_family"),
            ("none", b"EPRT ||10.0.0.2|45678|\r\n", BAD),
            ("a letter", b"EPRT |x|10.0.0.2|45678|\r\n", BAD),
            (
                "IPv6 said to be IPv4",
                b"EPRT |1|2001:db8::2|45678|\r\n",
                BAD,
            ),
            ("IPv4 said to be IPv6", b"EPRT |2|10.0.0.2|45678|\r\n", BAD),
        ],
    );
}

#[test]
fn ipv4_is_four_bytes_of_one_to_three_digits() {
    check(
        Role::Client,
        &[
            (
                "smallest",
                b"EPRT |1|0.0.0.0|45678|\r\n",
                "EPRT 0.0.0.0:45678 <0.0.0.0|45678>",
            ),
            (
                "largest",
                b"EPRT |1|255.255.255.255|45678|\r\n",
                "EPRT 255.255.255.255:45678 <255.255.255.255|45678>",
            ),
            ("256 first", b"EPRT |1|256.0.0.2|45678|\r\n", BAD),
            ("256 last", b"EPRT |1|10.0.0.256|45678|\r\n", BAD),
            ("four digits", b"EPRT |1|10.0.0.0002|45678|\r\n", BAD),
            ("three numbers", b"EPRT |1|10.0.2|45678|\r\n", BAD),
            ("five numbers", b"EPRT |1|10.0.0.2.1|45678|\r\n", BAD),
            ("one number", b"EPRT |1|167772162|45678|\r\n", BAD),
            ("empty", b"EPRT |1||45678|\r\n", BAD),
            ("empty in the middle", b"EPRT |1|10..0.2|45678|\r\n", BAD),
            ("a point in front", b"EPRT |1|.10.0.0.2|45678|\r\n", BAD),
            ("a point behind", b"EPRT |1|10.0.0.2.|45678|\r\n", BAD),
            ("commas", b"EPRT |1|10,0,0,2|45678|\r\n", BAD),
            ("a name", b"EPRT |1|localhost|45678|\r\n", BAD),
        ],
    );
}

#[test]
fn the_port_has_sixteen_bits_and_at_most_five_digits() {
    check(
        Role::Client,
        &[
            (
                "0 is for the caller to judge",
                b"EPRT |1|10.0.0.2|0|\r\n",
                "EPRT 10.0.0.2:0 <10.0.0.2|0>",
            ),
            (
                "1",
                b"EPRT |1|10.0.0.2|1|\r\n",
                "EPRT 10.0.0.2:1 <10.0.0.2|1>",
            ),
            (
                "leading zeros",
                b"EPRT |1|10.0.0.2|00021|\r\n",
                "EPRT 10.0.0.2:21 <10.0.0.2|00021>",
            ),
            (
                "largest",
                b"EPRT |1|10.0.0.2|65535|\r\n",
                "EPRT 10.0.0.2:65535 <10.0.0.2|65535>",
            ),
            ("65536", b"EPRT |1|10.0.0.2|65536|\r\n", "EPRT: bad_port"),
            (
                "wraps to 21",
                b"EPRT |1|10.0.0.2|65557|\r\n",
                "EPRT: bad_port",
            ),
            (
                "six digits",
                b"EPRT |1|10.0.0.2|000021|\r\n",
                "EPRT: bad_port",
            ),
            (
                "wraps in 32 bits",
                b"EPRT |2|::2|4294967317|\r\n",
                "EPRT: bad_port",
            ),
            ("empty", b"EPRT |1|10.0.0.2||\r\n", BAD),
            ("empty, IPv6", b"EPRT |2|::2||\r\n", BAD),
            ("negative", b"EPRT |1|10.0.0.2|-1|\r\n", BAD),
            ("a letter", b"EPRT |1|10.0.0.2|4567x|\r\n", BAD),
            ("a comma", b"EPRT |1|10.0.0.2|178,110|\r\n", BAD),
        ],
    );
}

#[test]
fn a_line_keeps_nothing_of_the_one_before() {
    let lines: Vec<&[u8]> = [
        b"EPRT |2|1:2:3:4:5:6:7:8|9999|\r\n".as_slice(),
        b"EPRT |1|10.0.0.2|45678|\r\n",
        b"EPRT |2|a::b|45678|\r\n",
        b"EPRT |2|::|1|\r\n",
        b"EPRT |1|1.2.3|4|\r\n",
        b"EPRT !2!c::!5!\r\n",
        b"PORT 10,0,0,2,178,110\r\n",
        b"EPRT |2|1::2|65536|\r\n",
        b"EPRT |2|1:2:3:4:5:6:7:8|2000|\r\n",
    ]
    .into();
    let alone: Vec<_> = lines
        .iter()
        .flat_map(|line| outcomes(Role::Client, line))
        .collect();
    assert_eq!(outcomes(Role::Client, &lines.concat()), alone);
    assert_eq!(
        alone[1..4],
        [
            "EPRT 10.0.0.2:45678 <10.0.0.2|45678>",
            "EPRT [a::b]:45678 <a::b|45678>",
            "EPRT [::]:1 <::|1>"
        ]
    );
}

#[test]
fn the_span_is_address_delimiter_and_port() {
    let found = &announcements(Role::Client, b"NOOP\r\nEPRT |1|10.0.0.2|45678| \r\n")[0];
    assert_eq!(found.announcement.kind, Kind::EPRT);
    assert_eq!(found.start, b"NOOP\r\nEPRT |1|".len());
    assert_eq!(
        found.announcement.distance as usize,
        b"10.0.0.2|45678| \r\n".len()
    );
}
