//! Replies over several lines (RFC 959 section 4.2), and reply codes.

use super::harness::{check, outcomes};
use crate::grammar::Role;

#[test]
fn codes_are_three_digits_and_a_blank_or_the_end() {
    check(
        Role::Server,
        &[
            ("greeting", b"220 ready\r\n", "reply 220"),
            ("preliminary", b"150 here it comes\r\n", "reply 150"),
            ("error", b"500 what?\n", "reply 500"),
            ("AUTH", b"234 go\r\n", "reply 234"),
            ("RFC 2228", b"631 xyz\r\n", "reply 631"),
            ("228", b"228 Long (4,4,10,0,0,2,2,4,51)\r\n", "LPRT"),
            ("no text", b"220 \r\n", "reply 220"),
            ("no blank", b"220\r\n", "reply 220"),
            ("no blank, LF", b"220\n", "reply 220"),
            ("no code", b"hello\r\n", "other"),
            ("two digits", b"22 hello\r\n", "other"),
            ("two digits and the end", b"22\r\n", "other"),
            ("one digit and LF", b"2\n", "other"),
            ("four digits", b"2200 hello\r\n", "other"),
            ("letters behind", b"220ready\r\n", "other"),
            ("a letter inside", b"2a0 ready\r\n", "other"),
            ("a tab", b"220\tready\r\n", "other"),
            ("empty", b"\r\n", "other"),
            ("IAC in front", b"\xff\xf4220 ready\r\n", "other"),
        ],
    );
}

#[test]
fn only_the_closing_line_counts() {
    assert_eq!(
        outcomes(
            Role::Server,
            b"220-Welcome\r\nto this server\r\n\r\n220 ready\r\n331 name\r\n"
        ),
        ["other", "other", "other", "reply 220", "reply 331"]
    );
}

/// As aioftp says it.
#[test]
fn a_227_may_close_a_227_of_several_lines() {
    assert_eq!(
        outcomes(
            Role::Server,
            b"227-listen socket created\r\n227 (127,0,0,1,154,21)\r\n"
        ),
        ["other", "227 127.0.0.1:39445 <127,0,0,1,154,21>"]
    );
}

#[test]
fn the_opening_line_announces_nothing() {
    assert_eq!(
        outcomes(
            Role::Server,
            b"227-(127,0,0,1,154,21)\r\n227 done\r\n229-(|||6446|)\r\n229 done\r\n"
        ),
        ["other", "227", "other", "229"]
    );
}

/// Servers that do not pad lines which start with digits (VU#288905).
#[test]
fn a_227_or_229_inside_another_reply_does_not_count() {
    assert_eq!(
        outcomes(
            Role::Server,
            b"211-Status\r\n\
              227 Entering Passive Mode (10,0,0,9,0,22).\r\n\
              229 Entering (|||22|)\r\n\
              227\r\n\
              211 End\r\n\
              227 Entering Passive Mode (127,0,0,1,4,51).\r\n"
        ),
        [
            "other",
            "other",
            "other",
            "other",
            "reply 211",
            "227 127.0.0.1:1075 <127,0,0,1,4,51>"
        ]
    );
}

#[test]
fn other_codes_and_dashes_inside_open_nothing_new() {
    assert_eq!(
        outcomes(
            Role::Server,
            b"211-Features\r\n\
              220-nested\r\n\
              220 nested end\r\n\
              211-again\r\n\
              2111 no\r\n\
              211x no\r\n\
              \x20211 padded\r\n\
              211 End\r\n\
              220 next\r\n"
        ),
        [
            "other",
            "other",
            "other",
            "other",
            "other",
            "other",
            "other",
            "reply 211",
            "reply 220"
        ]
    );
}

#[test]
fn a_bare_code_closes_as_well() {
    assert_eq!(
        outcomes(
            Role::Server,
            b"211-Features\r\nx\r\n211\r\n220 a\r\n211-\n211\n220 b\n"
        ),
        [
            "other",
            "other",
            "reply 211",
            "reply 220",
            "other",
            "reply 211",
            "reply 220"
        ]
    );
}

#[test]
fn a_server_may_answer_nothing_but_open_replies_for_ever() {
    let outcomes = outcomes(Role::Server, &b"227-(127,0,0,1,4,51)\r\n".repeat(100));
    assert_eq!(outcomes.len(), 100);
    assert!(outcomes.iter().all(|line| line == "other"));
}
