//! Which bytes of an unfinished line must not be passed on yet.

use std::string::String;

use super::harness::Reader;
use crate::grammar::Role;

/// `pending` after each byte of a line: one digit per byte, `+` for ten or more.
fn profile(role: Role, line: &[u8]) -> String {
    let mut reader = Reader::new(role);
    line.iter()
        .map(|byte| {
            reader.push(*byte);
            char::from_digit(reader.parser.pending(), 10).unwrap_or('+')
        })
        .collect()
}

/// Compares with the profile under each line.
#[track_caller]
fn check(role: Role, table: &[[&str; 2]]) {
    for [line, expected] in table {
        assert_eq!(profile(role, line.as_bytes()), *expected, "{line:?}");
    }
}

#[test]
fn port_is_pending_from_its_first_digit_to_the_end_of_the_line() {
    check(
        Role::Client,
        &[
            ["PORT 1,2,3,4,5,6\r\n", "00000123456789+++0"],
            ["PORT  1,2,3,4,5,6 \n", "000000123456789+++0"],
            ["PORT 1,2,3,4,5,6\n", "00000123456789++0"],
            ["PORT 12,34", "0000012345"],
        ],
    );
}

#[test]
fn a_spoiled_port_is_let_go_at_once() {
    check(
        Role::Client,
        &[
            ["PORT x,1,2", "0000000000"],
            ["PORT 1,2,x,4,5,6", "0000012340000000"],
            ["PORT 256,1", "0000012000"],
            ["PORT 1,2\r\n", "0000012300"],
            ["PORT 1,2,3,4,5,6 x\r\n", "00000123456789++0000"],
            ["PORT 1,2,3,4,5,6,7", "00000123456789++00"],
            ["PORTS 1,2,3", "00000000000"],
        ],
    );
}

#[test]
fn eprt_is_pending_from_its_address_to_the_end_of_the_line() {
    check(
        Role::Client,
        &[
            ["EPRT |1|1.2.3.4|56|\r\n", "00000000123456789++++0"],
            ["EPRT |2|::1|56| \n", "000000001234567890"],
        ],
    );
}

#[test]
fn a_spoiled_eprt_is_let_go_at_once() {
    check(
        Role::Client,
        &[
            ["EPRT |3|1.2.3.4|56|", "0000000000000000000"],
            ["EPRT |1|1.2.3|56|", "00000000123450000"],
            ["EPRT |2|1::2::3|", "0000000012345000"],
            ["EPRT |1|1.2.3.4|x", "00000000123456780"],
            ["EPRT |1|1.2.3.4|5|x", "0000000012345678900"],
        ],
    );
}

#[test]
fn each_run_of_numbers_in_a_227_is_pending_until_it_ends() {
    check(
        Role::Server,
        &[
            ["227 (1,2,3,4,5,6)\r\n", "00000123456789++000"],
            ["227 1,2,3,4,5,6\r\n", "0000123456789++00"],
            ["227 a 2.0 1,2 (1,2,3)", "000000101012300123450"],
        ],
    );
}

#[test]
fn the_port_of_a_229_is_pending_from_its_first_digit() {
    check(
        Role::Server,
        &[
            ["229 (|||6446|)\r\n", "0000000012340000"],
            ["229 (|||65536|)\n", "0000000012340000"],
            ["229 (||6446|)", "0000000000000"],
            ["229 (|||x (|||1|)", "00000000000000010"],
        ],
    );
}

#[test]
fn nothing_else_is_ever_pending() {
    check(
        Role::Client,
        &[
            ["RETR 1,2,3,4,5,6\r\n", "000000000000000000"],
            ["EPSV 1\r\nPASV\r\n", "00000000000000"],
        ],
    );
    check(
        Role::Server,
        &[
            ["226 (1,2,3,4,5,6)\r\n", "0000000000000000000"],
            ["227-(1,2,3,4,5,6)\r\n", "0000000000000000000"],
        ],
    );
}
