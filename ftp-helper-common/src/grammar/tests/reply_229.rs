//! 229 (RFC 2428 section 3): `(<d><d><d><port><d>)` behind any text.

use std::format;

use super::harness::{announcements, check, outcomes};
use crate::{
    address::Address,
    grammar::{Kind, Role},
};

/// What each of the texts for the same port comes to.
const ACCEPTED: &str = "229 [::]:6446 <6446>";
/// What a malformed text comes to.
const BAD: &str = "229: bad_syntax";

#[test]
fn servers_write_it_in_many_ways() {
    check(
        Role::Server,
        &[
            (
                "as in the RFC",
                b"229 Entering Extended Passive Mode (|||6446|)\r\n",
                ACCEPTED,
            ),
            ("EPSV ok", b"229 EPSV ok (|||6446|)\r\n", ACCEPTED),
            (
                "another text",
                b"229 Extended Passive mode OK (|||6446|)\r\n",
                ACCEPTED,
            ),
            ("a point behind", b"229 Go (|||6446|).\r\n", ACCEPTED),
            ("nothing else", b"229 (|||6446|)\r\n", ACCEPTED),
            ("LF alone", b"229 (|||6446|)\n", ACCEPTED),
            ("no closing parenthesis", b"229 (|||6446|\r\n", ACCEPTED),
            ("no closing, LF", b"229 (|||6446|\n", ACCEPTED),
            (
                "digits in the text",
                b"229 FTP 1.2 (|||6446|)\r\n",
                ACCEPTED,
            ),
            (
                "a parenthesis in the text",
                b"229 Passive (extended) (|||6446|)\r\n",
                ACCEPTED,
            ),
            (
                "empty parentheses in the text",
                b"229 epsv() (|||6446|)\r\n",
                ACCEPTED,
            ),
            (
                "another port behind is not looked at",
                b"229 (|||6446|) (|||21|)\r\n",
                ACCEPTED,
            ),
            (
                "a broken one in front",
                b"229 (|||x|) (|||6446|)\r\n",
                ACCEPTED,
            ),
            (
                "too large a port in front",
                b"229 (|||65536|) (|||6446|)\r\n",
                ACCEPTED,
            ),
        ],
    );
}

#[test]
fn the_delimiter_may_be_any_but_a_digit() {
    for delimiter in (33..=126u8).filter(|byte| !byte.is_ascii_digit()) {
        let d = char::from(delimiter);
        let line = format!("229 Entering ({d}{d}{d}6446{d})\r\n");
        assert_eq!(
            outcomes(Role::Server, line.as_bytes()),
            [ACCEPTED],
            "{line:?}"
        );
        let found = announcements(Role::Server, line.as_bytes());
        assert_eq!(found[0].announcement.delimiter, delimiter);
    }
}

#[test]
fn the_delimiters_are_equal_and_printable() {
    check(
        Role::Server,
        &[
            ("digits", b"229 (11164461)\r\n", BAD),
            ("blanks", b"229 (   6446 )\r\n", BAD),
            (
                "a control character",
                b"229 (\x01\x01\x016446\x01)\r\n",
                BAD,
            ),
            ("NUL", b"229 (\0\0\x006446\0)\r\n", BAD),
            ("above ASCII", b"229 (\xa6\xa6\xa66446\xa6)\r\n", BAD),
            ("the second differs", b"229 (|!|6446|)\r\n", BAD),
            ("the third differs", b"229 (||!6446|)\r\n", BAD),
            ("the fourth differs", b"229 (|||6446!)\r\n", BAD),
            ("two delimiters", b"229 (||6446|)\r\n", BAD),
            ("four delimiters", b"229 (||||6446|)\r\n", BAD),
            ("none behind", b"229 (|||6446)\r\n", BAD),
            ("cut off", b"229 (|||6446\r\n", BAD),
            ("cut off, LF", b"229 (|||6446\n", BAD),
        ],
    );
}

/// RFC 2428 has family and address empty; a filled address could be another
/// host's.
#[test]
fn filled_fields_are_refused() {
    check(
        Role::Server,
        &[
            ("family", b"229 (|1||6446|)\r\n", BAD),
            ("address", b"229 (||10.0.0.2|6446|)\r\n", BAD),
            ("both", b"229 (|1|10.0.0.2|6446|)\r\n", BAD),
            ("both, IPv6", b"229 (|2|2001:db8::2|6446|)\r\n", BAD),
            ("blanks", b"229 (| | |6446|)\r\n", BAD),
        ],
    );
}

#[test]
fn the_port_has_sixteen_bits_and_at_most_five_digits() {
    check(
        Role::Server,
        &[
            (
                "0 is for the caller to judge",
                b"229 (|||0|)\r\n",
                "229 [::]:0 <0>",
            ),
            (
                "1 is for the caller to judge",
                b"229 (|||1|)\r\n",
                "229 [::]:1 <1>",
            ),
            ("largest", b"229 (|||65535|)\r\n", "229 [::]:65535 <65535>"),
            (
                "leading zeros",
                b"229 (|||00021|)\r\n",
                "229 [::]:21 <00021>",
            ),
            ("65536", b"229 (|||65536|)\r\n", "229: bad_port"),
            ("1000000", b"229 (|||1000000|)\r\n", "229: bad_port"),
            ("six digits", b"229 (|||000021|)\r\n", "229: bad_port"),
            ("empty", b"229 (||||)\r\n", BAD),
            ("negative", b"229 (|||-1|)\r\n", BAD),
            ("letters", b"229 (|||port|)\r\n", BAD),
            ("a blank", b"229 (||| 6446|)\r\n", BAD),
        ],
    );
}

#[test]
fn without_a_parenthesis_it_is_just_a_reply() {
    check(
        Role::Server,
        &[
            ("text", b"229 Entering Extended Passive Mode\r\n", "229"),
            ("no parentheses", b"229 |||6446|\r\n", "229"),
            ("only the code", b"229\r\n", "229"),
            ("only the code, LF", b"229\n", "229"),
            ("the numbers of a 227", b"229 127,0,0,1,4,51\r\n", "229"),
            ("227 without numbers", b"227 (|||6446|)\r\n", "227"),
            ("another code", b"228 (|||6446|)\r\n", "LPRT"),
            ("in a multi-line reply", b"229-(|||6446|)\r\n", "other"),
        ],
    );
    assert_eq!(outcomes(Role::Client, b"229 (|||6446|)\r\n"), ["other"]);
}

#[test]
fn the_span_is_the_port_alone_and_there_is_no_address() {
    let found = &announcements(Role::Server, b"220 hi\r\n229 Go (|||6446|")[0];
    assert_eq!(found.announcement.kind, Kind::REPLY_229);
    assert_eq!(found.announcement.endpoint.address, Address::UNSPECIFIED);
    assert_eq!(found.start, b"220 hi\r\n229 Go (|||".len());
    assert_eq!(found.announcement.distance as usize, b"6446|".len());
}
