//! 227 (RFC 959 section 4.2.2; RFC 1123 section 4.1.2.6: the text is free).

use super::harness::{announcements, check, outcomes};
use crate::grammar::{Kind, Role};

/// What each of the texts for the same endpoint comes to.
const ACCEPTED: &str = "227 127.0.0.1:1075 <127,0,0,1,4,51>";
/// What a text with the wrong numbers comes to.
const BAD: &str = "227: bad_syntax";

#[test]
fn servers_write_it_in_many_ways() {
    check(
        Role::Server,
        &[
            (
                "with a point",
                b"227 Entering Passive Mode (127,0,0,1,4,51).\r\n",
                ACCEPTED,
            ),
            (
                "without a point",
                b"227 Entering Passive Mode (127,0,0,1,4,51)\r\n",
                ACCEPTED,
            ),
            ("PASV ok", b"227 PASV ok (127,0,0,1,4,51)\r\n", ACCEPTED),
            (
                "lower case",
                b"227 Entering passive mode (127,0,0,1,4,51).\r\n",
                ACCEPTED,
            ),
            (
                "no parentheses",
                b"227 Entering Passive Mode. 127,0,0,1,4,51\r\n",
                ACCEPTED,
            ),
            (
                "another text",
                b"227 Data transfer will passively listen to 127,0,0,1,4,51\r\n",
                ACCEPTED,
            ),
            (
                "an equals sign",
                b"227 Entering Passive Mode =127,0,0,1,4,51\r\n",
                ACCEPTED,
            ),
            ("nothing but numbers", b"227 127,0,0,1,4,51\r\n", ACCEPTED),
            ("only parentheses", b"227 (127,0,0,1,4,51)\r\n", ACCEPTED),
            ("LF alone", b"227 (127,0,0,1,4,51)\n", ACCEPTED),
            ("LF right behind", b"227 127,0,0,1,4,51\n", ACCEPTED),
            ("no closing one", b"227 (127,0,0,1,4,51\r\n", ACCEPTED),
            ("square brackets", b"227 [127,0,0,1,4,51]\r\n", ACCEPTED),
            (
                "more text behind",
                b"227 (127,0,0,1,4,51) bye\r\n",
                ACCEPTED,
            ),
            (
                "the sender itself",
                b"227 Entering Passive Mode (0,0,0,0,4,51).\r\n",
                "227 0.0.0.0:1075 <0,0,0,0,4,51>",
            ),
            (
                "port 0 is for the caller to judge",
                b"227 (127,0,0,1,0,0)\r\n",
                "227 127.0.0.1:0 <127,0,0,1,0,0>",
            ),
            (
                "largest",
                b"227 (255,255,255,255,255,255)\r\n",
                "227 255.255.255.255:65535 <255,255,255,255,255,255>",
            ),
            (
                "leading zeros",
                b"227 (127,000,000,001,004,051)\r\n",
                "227 127.0.0.1:1075 <127,000,000,001,004,051>",
            ),
        ],
    );
}

#[test]
fn other_numbers_in_the_text_do_no_harm() {
    check(
        Role::Server,
        &[
            (
                "a digit in the text",
                b"227 Entering Passive Mode 2 (127,0,0,1,4,51)\r\n",
                ACCEPTED,
            ),
            (
                "a version",
                b"227 FTPd 3.0.5: passive (127,0,0,1,4,51)\r\n",
                ACCEPTED,
            ),
            (
                "a long number",
                b"227 Session 20250101123456: (127,0,0,1,4,51)\r\n",
                ACCEPTED,
            ),
            (
                "an enumeration",
                b"227 Modes 1,2,3: (127,0,0,1,4,51)\r\n",
                ACCEPTED,
            ),
            (
                "too many numbers first",
                b"227 1,2,3,4,5,6,7 (127,0,0,1,4,51)\r\n",
                ACCEPTED,
            ),
            (
                "too large a number first",
                b"227 1,2,3,4,5,256 (127,0,0,1,4,51)\r\n",
                ACCEPTED,
            ),
            (
                "a digit glued to a word",
                b"227 Mode2(127,0,0,1,4,51)\r\n",
                ACCEPTED,
            ),
            (
                "a comma in front",
                b"227 Passive,127,0,0,1,4,51\r\n",
                ACCEPTED,
            ),
            (
                "numbers behind are not looked at",
                b"227 (127,0,0,1,4,51) (10,0,0,9,0,21)\r\n",
                ACCEPTED,
            ),
            (
                "a broken run behind neither",
                b"227 (127,0,0,1,4,51) 1,2,3\r\n",
                ACCEPTED,
            ),
        ],
    );
}

#[test]
fn without_numbers_it_is_just_a_reply() {
    check(
        Role::Server,
        &[
            ("a farewell", b"227 Logout.\r\n", "227"),
            (
                "a truncated reply",
                b"227 Entering Passive Mode (\r\n",
                "227",
            ),
            ("a number", b"227 Goodbye number 5\r\n", "227"),
            ("a time", b"227 Logout at 12:34:56.\r\n", "227"),
            ("only the code", b"227\r\n", "227"),
            ("only the code, LF", b"227\n", "227"),
            ("the code and a blank", b"227 \r\n", "227"),
            ("commas without numbers", b"227 a,b,,c,\r\n", "227"),
        ],
    );
}

#[test]
fn wrong_numbers_are_refused() {
    check(
        Role::Server,
        &[
            (
                "octets too large",
                b"227 Entering Passive Mode (1216,256,2,127,127,127)\r\n",
                BAD,
            ),
            ("256 last", b"227 (127,0,0,1,4,256)\r\n", BAD),
            ("four digits", b"227 (127,0,0,1,4,0051)\r\n", BAD),
            ("five numbers", b"227 (127,0,0,1,4)\r\n", BAD),
            ("seven numbers", b"227 (127,0,0,1,4,51,1)\r\n", BAD),
            (
                "fourteen numbers",
                b"227 (1,2,3,4,5,6,7,8,9,10,11,12,13,14)\r\n",
                BAD,
            ),
            ("empty last", b"227 (127,0,0,1,4,)\r\n", BAD),
            ("empty in the middle", b"227 (127,0,,1,4,51)\r\n", BAD),
            ("a comma behind", b"227 (127,0,0,1,4,51,)\r\n", BAD),
            ("two commas behind", b"227 (127,0,0,1,4,51,,)\r\n", BAD),
            ("blanks between", b"227 (127, 0, 0, 1, 4, 51)\r\n", BAD),
            ("cut by a CR", b"227 (127,0,0,\r1,4,51)\r\n", BAD),
            ("cut off", b"227 (127,0,0,1,4\r\n", BAD),
            ("cut off, LF", b"227 (127,0,0,1,4,\n", BAD),
        ],
    );
}

#[test]
fn only_227_at_the_start_of_a_line_counts() {
    check(
        Role::Server,
        &[
            (
                "another code",
                b"257 \"227 (1,2,3,4,5,6)\" created\r\n",
                "reply 257",
            ),
            ("another code", b"226 (127,0,0,1,4,51)\r\n", "reply 226"),
            ("in the text", b"500 227 (1,2,3,4,5,6)\r\n", "reply 500"),
            ("a blank in front", b" 227 (127,0,0,1,4,51)\r\n", "other"),
            ("a NUL in front", b"\x00227 (127,0,0,1,4,51)\r\n", "other"),
            ("four digits", b"2270 (127,0,0,1,4,51)\r\n", "other"),
            ("a zero in front", b"0227 (127,0,0,1,4,51)\r\n", "other"),
            (
                "a CR instead of the blank",
                b"227\r(127,0,0,1,4,51)\r\n",
                "227",
            ),
            ("no blank", b"227(127,0,0,1,4,51)\r\n", "other"),
            ("a comma", b"227,127,0,0,1,4,51\r\n", "other"),
            ("behind CR", b"220 a\r227 (127,0,0,1,4,51)\r\n", "reply 220"),
            (
                "behind CR NUL",
                b"220 a\r\x00227 (127,0,0,1,4,51)\r\n",
                "reply 220",
            ),
        ],
    );
    assert_eq!(
        outcomes(Role::Client, b"227 (127,0,0,1,4,51)\r\n"),
        ["other"],
        "a client does not say 227"
    );
}

#[test]
fn it_is_complete_behind_the_last_number_without_waiting_for_the_line() {
    let found = &announcements(Role::Server, b"220 hi\r\n227 Passive (127,0,0,1,4,51)")[0];
    assert_eq!(found.announcement.kind, Kind::REPLY_227);
    assert_eq!(found.start, b"220 hi\r\n227 Passive (".len());
    assert_eq!(
        found.announcement.distance as usize,
        "127,0,0,1,4,51)".len()
    );
    // The last number could have another digit.
    assert_eq!(
        announcements(Role::Server, b"227 Passive (127,0,0,1,4,51"),
        []
    );
}
