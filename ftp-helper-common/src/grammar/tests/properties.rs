//! Properties that hold for every stream, and the streams to try them on.

mod ipv6;
mod reference;
mod round_trip;
mod streams;

use std::{format, net::IpAddr, string::String, vec::Vec};

use proptest::{collection::vec, prelude::*, sample::select};

/// Pieces that lines of interest are made of. Strung together by chance they
/// come close to announcements far more often than random bytes do.
const PIECES: &[&[u8]] = &[
    b"PORT",
    b"port ",
    b"EPRT ",
    b"eprt |1|",
    b"EPRT |2|",
    b"PASV",
    b"EPSV",
    b"EPSV ALL",
    b"227 ",
    b"227-",
    b"229 ",
    b"229 (|||",
    b"211-",
    b"211 ",
    b"220 x",
    b"(",
    b")",
    b"|",
    b"!",
    b",",
    b".",
    b":",
    b"::",
    b"1",
    b"12",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"f00d",
    b"10,0,0,2,178,110",
    b"1,2,3",
    b"10.0.0.2",
    b"2001:db8::2",
    b" ",
    b"\t",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\0",
    b"\0",
    b"\xff\xf4",
    b"\xff\xfb",
    b"\xff",
    b"x",
];

/// Any stream, with a good chance of nearly correct lines.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => select(PIECES).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 1..4),
        2 => port_line().prop_map(String::into_bytes),
        2 => eprt_line(any::<IpAddr>()).prop_map(String::into_bytes),
        2 => reply_line().prop_map(String::into_bytes),
    ];
    vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// The stream with every `byte` taken out.
fn without(byte: u8, mut stream: Vec<u8>) -> Vec<u8> {
    stream.retain(|other| *other != byte);
    stream
}

fn line_end() -> impl Strategy<Value = &'static str> {
    select(&["\r\n", "\n", " \r\n", " \t\r\n"][..])
}

/// A correct `PORT`.
fn port_line() -> impl Strategy<Value = String> {
    (any::<[u8; 6]>(), line_end())
        .prop_map(|([a, b, c, d, e, f], end)| format!("PORT {a},{b},{c},{d},{e},{f}{end}"))
}

/// A correct `EPRT`.
fn eprt_line(address: impl Strategy<Value = IpAddr>) -> impl Strategy<Value = String> {
    (address, any::<u16>(), line_end()).prop_map(|(address, port, end)| {
        let family = if address.is_ipv4() { 1 } else { 2 };
        format!("EPRT |{family}|{address}|{port}|{end}")
    })
}

/// A correct 227 or 229.
fn reply_line() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 6]>()
            .prop_map(|[a, b, c, d, e, f]| format!("227 Go ({a},{b},{c},{d},{e},{f}).\r\n")),
        any::<u16>().prop_map(|port| format!("229 Go (|||{port}|)\r\n")),
    ]
}
