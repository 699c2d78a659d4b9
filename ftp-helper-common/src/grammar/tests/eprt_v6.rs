//! The text forms of an IPv6 address in `EPRT` (RFC 4291 section 2.2).

use std::format;

use super::harness::{check, outcomes};
use crate::grammar::Role;

/// Pairs of an address as written and as the standard library prints it.
const READABLE: &[(&str, &str)] = &[
    ("::", "::"),
    ("::1", "::1"),
    ("1::", "1::"),
    ("0:0:0:0:0:0:0:0", "::"),
    ("0:0:0:0:0:0:0:1", "::1"),
    ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
    ("2001:db8::2", "2001:db8::2"),
    ("2001:DB8::ABCD", "2001:db8::abcd"),
    ("2001:0db8:0000:0000:0000:0000:0000:0002", "2001:db8::2"),
    (
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ),
    ("fe80::1", "fe80::1"),
    ("1:2:3::6:7:8", "1:2:3::6:7:8"),
    ("1::3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
    ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
    ("1:2:3:4:5:6::8", "1:2:3:4:5:6:0:8"),
    ("1:2::", "1:2::"),
    ("::7:8", "::7:8"),
    ("1:0:0:4:0:0:0:8", "1:0:0:4::8"),
    ("0:0:3::", "0:0:3::"),
    ("0::0", "::"),
    ("0::", "::"),
    ("::0", "::"),
    ("a:b:c:d:e:f:0:1", "a:b:c:d:e:f:0:1"),
];

#[test]
fn every_text_form_is_read() {
    for (written, printed) in READABLE {
        let line = format!("EPRT |2|{written}|45678|\r\n");
        assert_eq!(
            outcomes(Role::Client, line.as_bytes()),
            [format!("EPRT [{printed}]:45678 <{written}|45678>")]
        );
    }
}

const UNREADABLE: &[(&str, &str)] = &[
    ("empty", ""),
    ("one colon", ":"),
    ("three colons", ":::"),
    ("four colons", "::::"),
    ("one group", "1"),
    ("seven groups", "1:2:3:4:5:6:7"),
    ("nine groups", "1:2:3:4:5:6:7:8:9"),
    ("sixteen groups", "1:2:3:4:5:6:7:8:1:2:3:4:5:6:7:8"),
    ("eight groups and a gap", "1:2:3:4::5:6:7:8"),
    ("eight groups before a gap", "1:2:3:4:5:6:7:8::"),
    ("eight groups behind a gap", "::1:2:3:4:5:6:7:8"),
    ("nine groups and a gap", "1::2:3:4:5:6:7:8:9"),
    ("two gaps", "1::2::3"),
    ("two gaps, one in front", "::1::"),
    ("two gaps, one behind", "1::2::"),
    ("a gap of three colons", "1:::2"),
    ("a single colon in front", ":1:2:3:4:5:6:7:8"),
    ("a single colon in front of seven", ":2:3:4:5:6:7:8"),
    ("a single colon in front of a gap", ":1::2"),
    ("a single colon behind", "1:2:3:4:5:6:7:8:"),
    ("a single colon behind seven", "1:2:3:4:5:6:7:"),
    ("a single colon behind a gap", "1::2:"),
    ("a single colon behind a leading gap", "::2:"),
    ("five digits", "12345::1"),
    ("five digits, the first a zero", "02001:db8::1"),
    ("five digits at the end", "::00001"),
    ("no hexadecimal digit", "2001:dg8::1"),
    ("a dotted quad", "::10.0.0.2"),
    ("a mapped dotted quad", "::ffff:10.0.0.2"),
    ("a scope", "fe80::1%eth0"),
    ("a prefix", "2001:db8::/32"),
    ("brackets", "[2001:db8::1]"),
    ("a blank", "2001: db8::1"),
];

#[test]
fn what_is_no_address_is_refused() {
    for (name, written) in UNREADABLE {
        let line = format!("EPRT |2|{written}|45678|\r\n");
        assert_eq!(
            outcomes(Role::Client, line.as_bytes()),
            ["EPRT: bad_syntax"],
            "{name}: {line:?}"
        );
    }
}

/// An IPv4-mapped address stands for IPv4 everywhere in this crate; it would be
/// written back as a dotted quad, which family 2 does not have.
#[test]
fn an_ipv4_mapped_address_is_of_the_wrong_family() {
    check(
        Role::Client,
        &[
            (
                "mapped",
                b"EPRT |2|::ffff:a00:2|45678|\r\n",
                "EPRT: wrong_family",
            ),
            (
                "mapped, written in full",
                b"EPRT |2|0:0:0:0:0:FFFF:0a00:0002|45678|\r\n",
                "EPRT: wrong_family",
            ),
            (
                "one group further left",
                b"EPRT |2|::ffff:0:a00:2|45678|\r\n",
                "EPRT [::ffff:0:a00:2]:45678 <::ffff:0:a00:2|45678>",
            ),
            (
                "something in front",
                b"EPRT |2|1::ffff:a00:2|45678|\r\n",
                "EPRT [1::ffff:a00:2]:45678 <1::ffff:a00:2|45678>",
            ),
            (
                "something right in front",
                b"EPRT |2|::1:ffff:a00:2|45678|\r\n",
                "EPRT [::1:ffff:a00:2]:45678 <::1:ffff:a00:2|45678>",
            ),
            (
                "almost the mark",
                b"EPRT |2|::fffe:a00:2|45678|\r\n",
                "EPRT [::fffe:a00:2]:45678 <::fffe:a00:2|45678>",
            ),
        ],
    );
}

#[test]
fn every_group_before_the_mark_tells_from_an_ipv4_mapped_address() {
    for pattern in 1u16..32 {
        let group = |index: u16| (pattern >> index) & 1;
        let address = format!(
            "{}:{}:{}:{}:{}:ffff:a00:2",
            group(0),
            group(1),
            group(2),
            group(3),
            group(4)
        );
        let line = format!("EPRT |2|{address}|45678|\r\n");
        let printed: std::net::Ipv6Addr = address.parse().expect("eight groups");
        assert_eq!(
            outcomes(Role::Client, line.as_bytes()),
            [format!("EPRT [{printed}]:45678 <{address}|45678>")]
        );
    }
}
