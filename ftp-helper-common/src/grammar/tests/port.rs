//! `PORT h1,h2,h3,h4,p1,p2` (RFC 959 section 4.1.2).

use super::harness::{announcements, check, outcomes};
use crate::grammar::{Kind, Role};

/// What every accepted form of the same command comes to.
const ACCEPTED: &str = "PORT 10.0.0.2:45678 <10,0,0,2,178,110>";

#[test]
fn the_verb_may_have_any_case_and_blanks_around() {
    check(
        Role::Client,
        &[
            ("as in the RFC", b"PORT 10,0,0,2,178,110\r\n", ACCEPTED),
            ("lower case", b"port 10,0,0,2,178,110\r\n", ACCEPTED),
            ("mixed case", b"pOrT 10,0,0,2,178,110\r\n", ACCEPTED),
            ("leading blank", b" PORT 10,0,0,2,178,110\r\n", ACCEPTED),
            (
                "leading tab and blanks",
                b"\t  PORT 10,0,0,2,178,110\r\n",
                ACCEPTED,
            ),
            ("several blanks", b"PORT   10,0,0,2,178,110\r\n", ACCEPTED),
            ("a tab", b"PORT\t10,0,0,2,178,110\r\n", ACCEPTED),
            (
                "blanks and tabs",
                b"PORT \t \t10,0,0,2,178,110\r\n",
                ACCEPTED,
            ),
            ("trailing blank", b"PORT 10,0,0,2,178,110 \r\n", ACCEPTED),
            (
                "trailing blanks and tab",
                b"PORT 10,0,0,2,178,110 \t \r\n",
                ACCEPTED,
            ),
        ],
    );
}

#[test]
fn the_line_may_end_with_lf_alone() {
    check(
        Role::Client,
        &[
            ("LF", b"PORT 10,0,0,2,178,110\n", ACCEPTED),
            ("blank and LF", b"PORT 10,0,0,2,178,110 \n", ACCEPTED),
            ("two CR and LF", b"PORT 10,0,0,2,178,110\r\r\n", ACCEPTED),
            (
                "CR NUL is not the end of a line",
                b"PORT 10,0,0,2,178,110\r\0\r\n",
                "PORT: bad_syntax",
            ),
            (
                "a CR instead of the blank",
                b"PORT\r10,0,0,2,178,110\r\n",
                "PORT: bad_syntax",
            ),
            (
                "a CR among the blanks",
                b"PORT \r 10,0,0,2,178,110\r\n",
                "PORT: bad_syntax",
            ),
            (
                "a CR in the numbers",
                b"PORT 10,0,0,2\r,178,110\r\n",
                "PORT: bad_syntax",
            ),
        ],
    );
}

#[test]
fn numbers_are_bytes_of_one_to_three_digits() {
    check(
        Role::Client,
        &[
            (
                "smallest",
                b"PORT 0,0,0,0,0,0\r\n",
                "PORT 0.0.0.0:0 <0,0,0,0,0,0>",
            ),
            (
                "largest",
                b"PORT 255,255,255,255,255,255\r\n",
                "PORT 255.255.255.255:65535 <255,255,255,255,255,255>",
            ),
            (
                "leading zeros",
                b"PORT 010,000,00,002,178,009\r\n",
                "PORT 10.0.0.2:45577 <010,000,00,002,178,009>",
            ),
            ("256 first", b"PORT 256,0,0,2,178,110\r\n", BAD),
            ("256 fourth", b"PORT 10,0,0,256,178,110\r\n", BAD),
            ("256 fifth", b"PORT 10,0,0,2,256,110\r\n", BAD),
            ("256 last", b"PORT 10,0,0,2,178,256\r\n", BAD),
            ("999", b"PORT 10,0,0,2,178,999\r\n", BAD),
            ("four digits", b"PORT 10,0,0,0002,178,110\r\n", BAD),
            ("four digits first", b"PORT 0010,0,0,2,178,110\r\n", BAD),
            ("wraps in 8 bits", b"PORT 266,0,0,2,178,110\r\n", BAD),
            (
                "wraps in 32 bits",
                b"PORT 4294967306,0,0,2,178,110\r\n",
                BAD,
            ),
            (
                "very long number",
                b"PORT 00000000000000000000000000000000000000000000000000000000000000000010,0,0,2,178,110\r\n",
                BAD,
            ),
        ],
    );
}

/// What every malformed form comes to.
const BAD: &str = "PORT: bad_syntax";

#[test]
fn there_are_six_numbers_and_nothing_else() {
    check(
        Role::Client,
        &[
            ("no argument", b"PORT\r\n", BAD),
            ("no argument, LF", b"PORT\n", BAD),
            ("only blanks", b"PORT   \r\n", BAD),
            ("one number", b"PORT 10\r\n", BAD),
            ("five numbers", b"PORT 10,0,0,2,178\r\n", BAD),
            ("five numbers and a comma", b"PORT 10,0,0,2,178,\r\n", BAD),
            ("seven numbers", b"PORT 10,0,0,2,178,110,1\r\n", BAD),
            ("a comma behind", b"PORT 10,0,0,2,178,110,\r\n", BAD),
            ("a comma in front", b"PORT ,10,0,0,2,178,110\r\n", BAD),
            ("empty first", b"PORT ,0,0,2,178,110\r\n", BAD),
            ("empty in the middle", b"PORT 10,0,,2,178,110\r\n", BAD),
            ("all empty", b"PORT ,,,,,\r\n", BAD),
            ("a word behind", b"PORT 10,0,0,2,178,110 x\r\n", BAD),
            ("a letter behind", b"PORT 10,0,0,2,178,110x\r\n", BAD),
            (
                "a second argument",
                b"PORT 10,0,0,2,178,110 10,0,0,2,178,110\r\n",
                BAD,
            ),
            ("a blank inside", b"PORT 10, 0,0,2,178,110\r\n", BAD),
            ("a blank before a comma", b"PORT 10 ,0,0,2,178,110\r\n", BAD),
            ("points", b"PORT 10.0.0.2.178.110\r\n", BAD),
            ("a port in one number", b"PORT 10,0,0,2,45678\r\n", BAD),
            ("parentheses", b"PORT (10,0,0,2,178,110)\r\n", BAD),
            ("a sign", b"PORT +10,0,0,2,178,110\r\n", BAD),
            ("a negative number", b"PORT 10,0,0,-2,178,110\r\n", BAD),
            ("hexadecimal", b"PORT 0xa,0,0,2,178,110\r\n", BAD),
            ("NUL behind", b"PORT 10,0,0,2,178,110\0\r\n", BAD),
            ("high bytes", b"PORT 10,0,0,2,178,\xb1\xb2\r\n", BAD),
            (
                "a telnet command inside",
                b"PORT 10,0,\xff\xf40,2,178,110\r\n",
                BAD,
            ),
        ],
    );
}

#[test]
fn only_the_whole_verb_at_the_start_of_a_line_counts() {
    check(
        Role::Client,
        &[
            ("a longer verb", b"PORTxyz 1,2,3,4,5,6\r\n", "other"),
            ("one letter more", b"PORTS 1,2,3,4,5,6\r\n", "other"),
            ("a shorter verb", b"POR 1,2,3,4,5,6\r\n", "other"),
            ("no blank", b"PORT1,2,3,4,5,6\r\n", "other"),
            ("a comma instead", b"PORT,1,2,3,4,5,6\r\n", "other"),
            ("a letter in front", b"XPORT 1,2,3,4,5,6\r\n", "other"),
            ("cut in two", b"PO RT 1,2,3,4,5,6\r\n", "other"),
            ("an argument", b"SITE PORT 1,2,3,4,5,6\r\n", "other"),
            ("in quotes", b"\"PORT 1,2,3,4,5,6\"\r\n", "other"),
            ("behind a digit", b"1PORT 1,2,3,4,5,6\r\n", "other"),
            ("behind a NUL", b"\0PORT 1,2,3,4,5,6\r\n", "HTTP"),
            ("behind a CR", b"\rPORT 1,2,3,4,5,6\r\n", "other"),
            ("behind CR NUL", b"NOOP\r\0PORT 1,2,3,4,5,6\r\n", "other"),
        ],
    );
    assert_eq!(
        outcomes(Role::Server, b"PORT 10,0,0,2,178,110\r\n"),
        ["other"],
        "a server does not say PORT"
    );
}

#[test]
fn the_span_is_the_numbers_and_the_distance_counts_from_behind_the_lf() {
    let found = &announcements(Role::Client, b"NOOP\r\n PORT  10,0,0,2,178,110 \r\n")[0];
    assert_eq!(found.announcement.kind, Kind::PORT);
    assert_eq!(found.start, b"NOOP\r\n PORT  ".len());
    assert_eq!(found.span, b"10,0,0,2,178,110");
    assert_eq!(
        found.announcement.distance as usize,
        b"10,0,0,2,178,110 \r\n".len()
    );
}
