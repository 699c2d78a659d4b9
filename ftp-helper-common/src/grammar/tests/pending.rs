//! Which bytes of an unfinished line must not be passed on yet.

use std::string::String;

use super::harness::Reader;
use crate::grammar::{LineParser, Role};

/// A number after each byte of a line: a digit for each, a point for none, `+` for
/// ten or more.
fn profile(role: Role, line: &[u8], number: fn(&LineParser) -> u32) -> String {
    let mut reader = Reader::new(role);
    line.iter()
        .map(|byte| {
            reader.push(*byte);
            match number(&reader.parser) {
                0 => '.',
                number => char::from_digit(number, 10).unwrap_or('+'),
            }
        })
        .collect()
}

/// Compares with the profile of pending bytes behind each line.
#[track_caller]
fn check(role: Role, table: &[[&str; 2]]) {
    for [line, expected] in table {
        assert_eq!(
            profile(role, line.as_bytes(), LineParser::pending),
            *expected,
            "{line:?}"
        );
    }
}

#[test]
fn port_is_pending_from_its_first_digit_to_the_end_of_the_line() {
    check(
        Role::Client,
        &[
            ["PORT 1,2,3,4,5,6\r\n", ".....123456789+++."],
            ["PORT  1,2,3,4,5,6 \n", "......123456789+++."],
            ["PORT 1,2,3,4,5,6\n", ".....123456789++."],
            ["PORT 12,34", ".....12345"],
        ],
    );
}

#[test]
fn a_spoiled_port_is_let_go_at_once() {
    check(
        Role::Client,
        &[
            ["PORT x,1,2", ".........."],
            ["PORT 1,2,x,4,5,6", ".....1234......."],
            ["PORT 256,1", ".....12..."],
            ["PORT 1,2\r\n", ".....123.."],
            ["PORT 1,2,3,4,5,6 x\r\n", ".....123456789+++..."],
            ["PORT 1,2,3,4,5,6,7", ".....123456789++.."],
            ["PORTS 1,2,3", "..........."],
        ],
    );
}

#[test]
fn eprt_is_pending_from_its_address_to_the_end_of_the_line() {
    check(
        Role::Client,
        &[
            ["EPRT |1|1.2.3.4|56|\r\n", "........123456789+++."],
            ["EPRT |2|::1|56| \n", "........12345678."],
        ],
    );
}

#[test]
fn a_spoiled_eprt_is_let_go_at_once() {
    check(
        Role::Client,
        &[
            ["EPRT |3|1.2.3.4|56|", "..................."],
            ["EPRT |1|1.2.3|56|", "........12345...."],
            ["EPRT |2|1::2::3|", "........12345..."],
            ["EPRT |1|1.2.3.4|x", "........12345678."],
            ["EPRT |1|1.2.3.4|5|x", "........123456789+."],
        ],
    );
}

#[test]
fn each_run_of_numbers_in_a_227_is_pending_until_it_ends() {
    check(
        Role::Server,
        &[
            ["227 (1,2,3,4,5,6)\r\n", ".....123456789++..."],
            ["227 1,2,3,4,5,6\r\n", "....123456789++.."],
            ["227 a 2.0 1,2 (1,2,3)", "......1.1.123..12345."],
        ],
    );
}

#[test]
fn the_port_of_a_229_is_pending_from_its_first_digit() {
    check(
        Role::Server,
        &[
            ["229 (|||6446|)\r\n", "........1234...."],
            ["229 (|||65536|)\n", "........1234...."],
            ["229 (||6446|)", "............."],
            ["229 (|||x (|||1|)", "..............1.."],
        ],
    );
}

#[test]
fn nothing_else_is_ever_pending() {
    check(
        Role::Client,
        &[
            ["RETR 1,2,3,4,5,6\r\n", ".................."],
            ["EPSV 1\r\nPASV\r\n", ".............."],
        ],
    );
    check(
        Role::Server,
        &[
            ["226 (1,2,3,4,5,6)\r\n", "..................."],
            ["227-(1,2,3,4,5,6)\r\n", "..................."],
        ],
    );
}

#[test]
fn what_lies_behind_the_numbers_is_counted_apart() {
    for (role, line, expected) in [
        (
            Role::Client,
            "PORT 1,2,3,4,5,6 \t\r\nPORT 1",
            "................123.......",
        ),
        (Role::Client, "PORT 1,2,3,4,5,6\n", "................."),
        (
            Role::Client,
            "EPRT |1|1.2.3.4|56| \r\n",
            "..................123.",
        ),
        (Role::Client, "EPRT |1|1.2.3.4|56|x", "..................1."),
        (
            Role::Server,
            "227 (1,2,3,4,5,6) \r\n",
            "....................",
        ),
        (Role::Server, "229 (|||56|) \r\n", "..............."),
    ] {
        assert_eq!(
            profile(role, line.as_bytes(), LineParser::trailing),
            expected,
            "{line:?}"
        );
    }
}
