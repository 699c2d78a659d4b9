//! What [`Text`](crate::grammar::Text) writes, the parser reads back.

use std::{
    format,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    string::String,
};

use proptest::{prelude::*, sample::select};

use super::line_end;
use crate::{
    address::{Address, Endpoint},
    grammar::{
        Kind, Role,
        tests::{format::written, harness::announcements},
    },
};

/// Pushes a line and compares the endpoint and the span.
fn read_back(role: Role, line: &str, endpoint: &Endpoint, text: &str) -> Result<(), TestCaseError> {
    let found = announcements(role, line.as_bytes());
    prop_assert_eq!(found.len(), 1, "{:?}", line);
    prop_assert_eq!(&found[0].announcement.endpoint, endpoint);
    prop_assert_eq!(&found[0].span, text.as_bytes());
    Ok(())
}

/// Delimiters that may be part of neither address.
fn delimiter() -> impl Strategy<Value = u8> {
    let plain = |byte: &u8| !byte.is_ascii_hexdigit() && !matches!(byte, b'.' | b':');
    select((33..=126).filter(plain).collect::<std::vec::Vec<u8>>())
}

/// IPv6 addresses with as many zeros as real ones, none that stands for IPv4.
pub(super) fn ipv6() -> impl Strategy<Value = Ipv6Addr> {
    let group = prop_oneof![3 => Just(0), 1 => 1u16..16, 2 => any::<u16>()];
    proptest::array::uniform8(group)
        .prop_map(Ipv6Addr::from)
        .prop_filter(
            "IPv4-compatible and -mapped ones print differently",
            |address| {
                let segments = address.segments();
                segments[..5] != [0; 5] || !matches!(segments[5], 0 | 0xffff)
            },
        )
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<Ipv4Addr>().prop_map(IpAddr::V4),
        ipv6().prop_map(IpAddr::V6)
    ]
}

proptest! {
    #[test]
    fn port(address in any::<Ipv4Addr>(), port in any::<u16>(), end in line_end()) {
        let endpoint = Endpoint::new(IpAddr::V4(address).into(), port);
        let text = written(Kind::PORT, 0, &endpoint);
        read_back(Role::Client, &format!("PORT {text}{end}"), &endpoint, &text)?;
    }

    #[test]
    fn eprt(
        address in address(),
        port in any::<u16>(),
        delimiter in delimiter(),
        end in line_end(),
    ) {
        let endpoint = Endpoint::new(address.into(), port);
        let text = written(Kind::EPRT, delimiter, &endpoint);
        let family = if address.is_ipv4() { 1 } else { 2 };
        let d = char::from(delimiter);
        let line = format!("EPRT {d}{family}{d}{text}{d}{end}");
        read_back(Role::Client, &line, &endpoint, &text)?;
        let found = announcements(Role::Client, line.as_bytes());
        prop_assert_eq!(found[0].announcement.delimiter, delimiter);
    }

    /// Whatever announcement is read, in whatever form, the text in its place is
    /// read as the endpoint that it stands for.
    #[test]
    fn eprt_in_place_of_another(
        written_address in address(),
        other in address(),
        port in any::<u16>(),
        delimiter in 33u8..=126,
    ) {
        let family = if written_address.is_ipv4() { 1 } else { 2 };
        let d = char::from(delimiter);
        let line = format!("EPRT {d}{family}{d}{written_address}{d}{port}{d}\r\n");
        let found = announcements(Role::Client, line.as_bytes());
        if let ([found], true) = (&found[..], other.is_ipv4() == written_address.is_ipv4()) {
            let endpoint = Endpoint::new(other.into(), port);
            let text = written(Kind::EPRT, found.announcement.delimiter, &endpoint);
            let (before, rest) = line.split_at(found.start);
            let line = String::from(before) + &text + &rest[found.span.len()..];
            read_back(Role::Client, &line, &endpoint, &text)?;
        }
    }

    #[test]
    fn reply_227(
        address in any::<Ipv4Addr>(),
        port in any::<u16>(),
        words in "[A-Za-z .(-]{0,20}[ (]",
        behind in "[^0-9,\n][^\n]{0,9}",
    ) {
        let endpoint = Endpoint::new(IpAddr::V4(address).into(), port);
        let text = written(Kind::REPLY_227, 0, &endpoint);
        read_back(Role::Server, &format!("227 {words}{text}{behind}\r\n"), &endpoint, &text)?;
    }

    #[test]
    fn reply_229(
        port in any::<u16>(),
        delimiter in delimiter(),
        words in "[A-Za-z0-9 .,|-]{0,20}",
        behind in "[^\n]{0,9}",
    ) {
        let endpoint = Endpoint::new(Address::UNSPECIFIED, port);
        let text = written(Kind::REPLY_229, delimiter, &endpoint);
        let d = char::from(delimiter);
        let line = format!("229 {words}({d}{d}{d}{text}{d}{behind}\r\n");
        read_back(Role::Server, &line, &endpoint, &text)?;
    }
}
