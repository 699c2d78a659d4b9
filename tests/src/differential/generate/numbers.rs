//! Addresses and ports as text.

use std::net::IpAddr;

use proptest::{collection::vec, prelude::*, sample::select, strategy::BoxedStrategy};

use super::{mostly, one_of};

/// Ports: mostly such that are not refused.
pub(super) fn port() -> BoxedStrategy<u16> {
    prop_oneof![
        16 => 1024..=u16::MAX,
        1 => any::<u16>(),
        1 => select(&[0, 1, 20, 21, 255, 256, 1023, 1024, 6000, 6063, 9999, 10_000, 65_535][..]),
    ]
    .boxed()
}

/// A port in decimal, usually as it should be.
pub(super) fn decimal_port() -> BoxedStrategy<String> {
    let wrong = prop_oneof![
        port().prop_map(|port| format!("{port:05}")),
        port().prop_map(|port| format!("{port:06}")),
        port().prop_map(|port| format!("-{port}")),
        port().prop_map(|port| format!(" {port}")),
        (65_530..65_550u32).prop_map(|number| number.to_string()),
        any::<u32>().prop_map(|number| number.to_string()),
        one_of(&[
            "",
            "0",
            "00000",
            "99999",
            "65536",
            "4294967317",
            "x",
            "0x1F90"
        ]),
    ];
    mostly(port().prop_map(|port| port.to_string()), wrong)
}

/// A number of one octet, usually as it should be.
fn octet(value: u8) -> BoxedStrategy<String> {
    let wrong = prop_oneof![
        Just(format!("{value:03}")),
        Just(format!("{value:02}")),
        Just(format!("{value:04}")),
        Just((u32::from(value) + 256).to_string()),
        Just(format!(" {value}")),
        Just(format!("{value}\0")),
        (250..270u32).prop_map(|number| number.to_string()),
        any::<u32>().prop_map(|number| number.to_string()),
        one_of(&["", "256", "999", "1000", "-1", "0377", "0xa", "x"]),
    ];
    prop_oneof![60 => Just(value.to_string()), 1 => wrong].boxed()
}

/// `h1,h2,h3,h4,p1,p2`, usually.
pub(super) fn six_numbers(addresses: BoxedStrategy<IpAddr>) -> BoxedStrategy<String> {
    let octets = (addresses, port()).prop_map(|(address, port)| {
        let host = match address {
            IpAddr::V4(address) => address.octets(),
            // Numbers all the same.
            IpAddr::V6(address) => {
                let [.., a, b, c, d] = address.octets();
                [a, b, c, d]
            }
        };
        [&host[..], &port.to_be_bytes()].concat()
    });
    let count = prop_oneof![30 => Just(6), 1 => 0..6usize, 1 => 7..9usize];
    let commas = mostly(
        Just(String::from(",")),
        one_of(&[", ", " ,", ",,", ";", ".", ":", "\t,", " ", "\0,", "|"]),
    );
    let separated = (octets, count, commas).prop_flat_map(|(octets, count, comma)| {
        let numbers: Vec<_> = octets
            .iter()
            .cycle()
            .take(count)
            .map(|it| octet(*it))
            .collect();
        (numbers, Just(comma)).prop_map(|(numbers, comma)| numbers.join(&comma))
    });
    prop_oneof![
        30 => separated,
        1 => vec(any::<u8>(), 6).prop_map(|numbers| {
            numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
        }),
        1 => "[0-9,]{0,40}",
        1 => "[0-9]{0,30}",
    ]
    .boxed()
}

/// An address as `EPRT` has it, and its family; usually as it should be.
pub(super) fn address_text(address: IpAddr) -> BoxedStrategy<(String, String)> {
    match address {
        IpAddr::V4(address) => {
            let octets: Vec<_> = address.octets().into_iter().map(octet).collect();
            let dots = mostly(Just(String::from(".")), one_of(&[",", "..", ". ", ":", ""]));
            (octets, dots)
                .prop_map(|(octets, dots)| ("1".to_owned(), octets.join(&dots)))
                .boxed()
        }
        IpAddr::V6(address) => {
            let groups = address.segments();
            let long = |width: usize| {
                let groups: Vec<_> = groups.iter().map(|it| format!("{it:0width$x}")).collect();
                groups.join(":")
            };
            let embedded = {
                let [.., a, b, c, d] = address.octets();
                format!("::ffff:{a}.{b}.{c}.{d}")
            };
            let short = address.to_string();
            let other = select(vec![
                short.to_uppercase(),
                long(0),
                long(4),
                long(5),
                long(0) + ":1",
                format!("{short}:"),
                format!("{short}::"),
                format!(":{short}"),
                format!("::{short}"),
                format!("{short}%eth0"),
                format!("[{short}]"),
                short.replace("::", ":"),
                short.replace("::", ":::"),
                short.replace(':', "."),
                embedded,
                "::".to_owned(),
                ":".to_owned(),
                "1:2:3:4:5:6:7::".to_owned(),
                "::2:3:4:5:6:7:8".to_owned(),
                "1:2:3:4::5:6:7:8".to_owned(),
                "1::2::3".to_owned(),
                "12345::".to_owned(),
                "g::".to_owned(),
                String::new(),
            ]);
            prop_oneof![3 => Just(short), 1 => other]
                .prop_map(|text| ("2".to_owned(), text))
                .boxed()
        }
    }
}
