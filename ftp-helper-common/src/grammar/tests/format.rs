//! Texts that replace an announcement.

use std::{net::IpAddr, string::String};

use super::harness::text;
use crate::{
    address::{Address, Endpoint},
    grammar::{Kind, Progress, TEXT, Text},
};

/// The text for an endpoint, and a check that nothing is left behind it.
pub(super) fn written(kind: Kind, delimiter: u8, endpoint: &Endpoint) -> String {
    let mut bytes = [0xaa; TEXT];
    let mut progress = Progress::default();
    Text::new(&mut bytes, &mut progress).endpoint(kind, delimiter, endpoint);
    let (written, rest) = bytes.split_at(progress.len as usize);
    assert!(rest.iter().all(|byte| *byte == 0), "zero-padded");
    text(written)
}

fn endpoint(address: &str, port: u16) -> Endpoint {
    let address: IpAddr = address.parse().expect("an address of the test");
    Endpoint::new(address.into(), port)
}

#[test]
fn port_and_227_are_six_numbers() {
    for kind in [Kind::PORT, Kind::REPLY_227] {
        for (address, port, expected) in [
            ("203.0.113.1", 45678, "203,0,113,1,178,110"),
            ("0.0.0.0", 0, "0,0,0,0,0,0"),
            ("255.255.255.255", 65535, "255,255,255,255,255,255"),
            ("1.10.100.99", 256, "1,10,100,99,1,0"),
            ("9.19.109.200", 2660, "9,19,109,200,10,100"),
        ] {
            assert_eq!(written(kind, b'|', &endpoint(address, port)), expected);
        }
    }
}

#[test]
fn eprt_keeps_its_delimiter() {
    for (delimiter, address, port, expected) in [
        (b'|', "203.0.113.1", 45678, "203.0.113.1|45678"),
        (b'!', "10.0.0.2", 1, "10.0.0.2!1"),
        (b',', "255.255.255.255", 65535, "255.255.255.255,65535"),
        (b'|', "2001:db8::1", 1024, "2001:db8::1|1024"),
        (
            b'|',
            "2001:db8:1111:2222:3333:4444:5555:6666",
            65535,
            "2001:db8:1111:2222:3333:4444:5555:6666|65535",
        ),
    ] {
        assert_eq!(
            written(Kind::EPRT, delimiter, &endpoint(address, port)),
            expected
        );
    }
}

#[test]
fn reply_229_is_the_port_alone() {
    for (port, expected) in [
        (0, "0"),
        (9, "9"),
        (10, "10"),
        (99, "99"),
        (100, "100"),
        (999, "999"),
        (1000, "1000"),
        (9999, "9999"),
        (10000, "10000"),
        (65535, "65535"),
        (60708, "60708"),
    ] {
        let endpoint = Endpoint::new(Address::UNSPECIFIED, port);
        assert_eq!(written(Kind::REPLY_229, b'|', &endpoint), expected);
    }
}

/// RFC 5952 section 4.
#[test]
fn ipv6_is_written_in_its_canonical_form() {
    for (address, expected) in [
        ("2001:0DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8::", "2001:db8::"),
        ("fe80::1", "fe80::1"),
        ("0:0:1::", "0:0:1::"),
        ("::1:0:0:0", "::1:0:0:0"),
        ("1:0:0:0:0:0:0:0", "1::"),
        ("0:1:0:1:0:1:0:1", "0:1:0:1:0:1:0:1"),
        ("0:0:1:0:0:1:0:0", "::1:0:0:1:0:0"),
        ("1:0:0:1:0:0:1:1", "1::1:0:0:1:1"),
        (
            "abcd:ef01:2:30:400:5000:f:ff",
            "abcd:ef01:2:30:400:5000:f:ff",
        ),
        ("::1", "::1"),
        ("::", "::"),
    ] {
        let expected = std::format!("{expected}|2000");
        assert_eq!(
            written(Kind::EPRT, b'|', &endpoint(address, 2000)),
            expected
        );
    }
}

#[test]
fn what_does_not_fit_is_lost() {
    let mut bytes = [0; TEXT];
    let mut progress = Progress::default();
    let mut text = Text::new(&mut bytes, &mut progress);
    for byte in 0..=255 {
        text.push(byte);
    }
    assert_eq!(progress.len as usize, TEXT);
    assert!(
        bytes
            .iter()
            .enumerate()
            .all(|(index, byte)| usize::from(*byte) == index)
    );
}

#[test]
fn a_new_text_is_empty() {
    let mut bytes = [0; TEXT];
    let mut progress = Progress::default();
    Text::new(&mut bytes, &mut progress).push(b'x');
    Text::new(&mut bytes, &mut progress).push(b'y');
    assert_eq!(progress.len, 1);
    assert_eq!(bytes[..2], *b"y\0");
}
