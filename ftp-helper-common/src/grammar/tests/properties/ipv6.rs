//! IPv6 texts against the standard library, which reads RFC 4291 and writes
//! RFC 5952.

use std::{
    format,
    net::{IpAddr, Ipv6Addr},
    string::{String, ToString as _},
};

use proptest::{collection::vec, prelude::*};

use super::round_trip::ipv6;
use crate::{
    address::Endpoint,
    grammar::{
        Kind, Role,
        tests::{
            format::written,
            harness::{announcements, outcomes},
        },
    },
};

/// Strings of hexadecimal digits and colons, most of them almost an address.
fn almost_an_address() -> impl Strategy<Value = String> {
    let group =
        prop_oneof![8 => "[0-9a-fA-F]{1,4}", 1 => "[0-9a-fA-F]{5}", 3 => Just(String::new())];
    prop_oneof![
        vec(group, 0..11).prop_map(|groups| groups.join(":")),
        "[0-9a-fA-F:]{0,42}",
        "[0-9a:]{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_written_is_what_the_standard_library_prints(address in ipv6(), port in any::<u16>()) {
        let endpoint = Endpoint::new(IpAddr::V6(address).into(), port);
        prop_assert_eq!(written(Kind::EPRT, b'|', &endpoint), format!("{address}|{port}"));
    }

    #[test]
    fn what_is_read_is_what_the_standard_library_reads(text in almost_an_address()) {
        let line = format!("EPRT |2|{text}|2000|\r\n");
        match text.parse::<Ipv6Addr>() {
            Ok(address) if address.to_ipv4_mapped().is_some() => {
                prop_assert_eq!(outcomes(Role::Client, line.as_bytes()), ["EPRT: wrong_family"]);
            }
            Ok(address) => {
                let found = announcements(Role::Client, line.as_bytes());
                prop_assert_eq!(found.len(), 1, "{} is {}", text, address);
                let endpoint = found[0].announcement.endpoint;
                prop_assert_eq!(IpAddr::from(endpoint.address), IpAddr::V6(address));
                prop_assert_eq!(endpoint.port, 2000);
            }
            Err(_) => {
                prop_assert_eq!(outcomes(Role::Client, line.as_bytes()), ["EPRT: bad_syntax"]);
            }
        }
    }
}

/// Every way to spread zero groups over an address.
#[test]
fn every_pattern_of_zeros_is_written_and_read_back() {
    for pattern in 0u32..256 {
        let groups: [u16; 8] =
            core::array::from_fn(|index| if (pattern >> index) & 1 == 0 { 0 } else { 0xa0 });
        let address = Ipv6Addr::from(groups);
        // Printed with a dotted quad by the standard library (IPv4-compatible).
        if pattern.trailing_zeros() == 6 {
            continue;
        }
        let endpoint = Endpoint::new(IpAddr::V6(address).into(), 2000);
        let text = written(Kind::EPRT, b'|', &endpoint);
        assert_eq!(text, address.to_string() + "|2000");
        let line = format!("EPRT |2|{text}|\r\n");
        let found = announcements(Role::Client, line.as_bytes());
        assert_eq!(found[0].announcement.endpoint, endpoint, "{line:?}");
    }
}
