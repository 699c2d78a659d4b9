//! What clients say.

use std::net::IpAddr;

use proptest::{collection::vec, prelude::*, sample::select, strategy::BoxedStrategy};

use super::{
    line_end, mostly,
    numbers::{address_text, decimal_port, six_numbers},
    one_of,
};

/// Commands without an endpoint; what is behind them is not read.
const PLAIN: &[&str] = &[
    "PASV",
    "PASV x",
    "EPSV",
    "EPSV 1",
    "EPSV 2",
    "EPSV 3",
    "EPSV ALL",
    "EPSV  ALL",
    "EPSV ALLX",
    "EPSV AL",
    "EPSV A",
    "EPSV ALL x",
    "EPSV\tALL",
    "EPSVALL",
    "EPSV 1 ALL",
    "LPRT 4,4,1,2,3,4,2,5,6",
    "LPSV",
    "AUTH TLS",
    "AUTH SSL",
    "AUTH",
    "CCC",
    "CC",
    "CCCC",
    "REIN",
    "HOST ftp.example",
    "USER a",
    "FEAT",
    "SYST",
    "OPTS UTF8 ON",
    "CLNT x",
    "NOOP",
    "QUIT",
    "ABOR",
    "STAT",
    "XPWD",
    "RETR 227 (1)",
    "STOR PORT 10,0,0,2,1,1",
    "SITE PORT 10,0,0,2,4,1",
    "PORTS 10,0,0,2,4,1",
    "POR",
    "P",
    "EPR",
    "EPRTS |1|10.0.0.2|5000|",
    "227 Entering Passive Mode (10,0,0,2,4,1)",
    "",
    " ",
    "PASSWD",
];

/// A line, with its end.
pub(super) fn line(addresses: BoxedStrategy<IpAddr>) -> impl Strategy<Value = Vec<u8>> {
    let plain = (select(PLAIN), cases()).prop_map(|(line, cases)| cased(line, cases));
    let line = prop_oneof![
        6 => port(addresses.clone()),
        7 => eprt(addresses),
        5 => plain,
        1 => "[ -~]{0,40}",
        // Longer than what is held, and longer than a segment.
        1 => (60..300usize).prop_map(|len| format!("SITE {}", "x".repeat(len))),
    ];
    (before(), line, line_end()).prop_map(|(mut before, line, end)| {
        before.extend(line.into_bytes());
        before.extend(end.into_bytes());
        before
    })
}

/// What may be in front of a command: blanks, and Telnet's control functions.
fn before() -> BoxedStrategy<Vec<u8>> {
    let telnet: &[&[u8]] = &[
        b"\xff\xf4",
        b"\xff\xf2",
        b"\xff\xf4\xff\xf2",
        b"\xff\xfb\x01",
        b"\xff\xfe\x06",
        b"\xff\xff",
        b"\xff",
        b"\xf2",
    ];
    let blank: &[&[u8]] = &[b" ", b"\t", b"  \t", b"\0", b"\r", b"\xc3\xa4", b"x", b"1"];
    let piece = prop_oneof![select(telnet), select(blank)].prop_map(<[u8]>::to_vec);
    prop_oneof![
        14 => Just(Vec::new()),
        1 => vec(piece, 1..4).prop_map(|pieces| pieces.concat()),
    ]
    .boxed()
}

fn port(addresses: BoxedStrategy<IpAddr>) -> BoxedStrategy<String> {
    (verb("PORT"), gap(), six_numbers(addresses), behind())
        .prop_map(|(verb, gap, numbers, behind)| verb + &gap + &numbers + &behind)
        .boxed()
}

fn eprt(addresses: BoxedStrategy<IpAddr>) -> BoxedStrategy<String> {
    let delimiter = prop_oneof![
        8 => Just(String::from("|")),
        4 => select((33..=126u8).collect::<Vec<_>>()).prop_map(|it| char::from(it).to_string()),
        1 => one_of(&["", " ", "||", "\0", "\t", "\x7f", "ä"]),
    ];
    let address = addresses.prop_flat_map(address_text);
    let family = one_of(&["0", "1", "2", "3", "9", "01", "12", "", " 1", "1 ", "x"]);
    let family = prop_oneof![15 => Just(None), 1 => family.prop_map(Some)];
    // A delimiter that is missing, or is not the first one's.
    let marks = mostly(
        Just(None),
        (0..4usize, one_of(&["", " ", "!", "||"])).prop_map(Some),
    );
    let parts = (delimiter, address, family, decimal_port(), marks);
    (verb("EPRT"), gap(), parts, behind())
        .prop_map(
            |(verb, gap, (delimiter, (known, address), family, port, marks), behind)| {
                let mut delimiters = vec![delimiter; 4];
                if let Some((index, other)) = marks {
                    delimiters[index] = other;
                }
                let family = family.unwrap_or(known);
                let [a, b, c, d] = &delimiters[..] else {
                    unreachable!("four were made");
                };
                format!("{verb}{gap}{a}{family}{b}{address}{c}{port}{d}{behind}")
            },
        )
        .boxed()
}

/// A verb in any mixture of cases, seldom another one.
fn verb(verb: &'static str) -> BoxedStrategy<String> {
    let other = one_of(&["PORT", "EPRT", "XPRT", "LPRT", "", "PORTX", "EPR", "227"]);
    mostly(cases().prop_map(move |cases| cased(verb, cases)), other)
}

/// A bit for each letter that is a small one.
fn cases() -> impl Strategy<Value = u8> {
    prop_oneof![6 => Just(0), 1 => Just(0xff), 1 => any::<u8>()]
}

fn cased(text: &str, cases: u8) -> String {
    let letters = text.chars().enumerate();
    let letters = letters.map(|(index, letter)| {
        if index < 8 && cases >> index & 1 == 1 {
            letter.to_ascii_lowercase()
        } else {
            letter
        }
    });
    letters.collect()
}

/// Between verb and argument.
fn gap() -> BoxedStrategy<String> {
    let wrong = prop_oneof![
        3 => one_of(&["", "  ", "\t", " \t ", "\r", " \r", "\0", "\n", ",", "-"]),
        1 => (1..90usize).prop_map(|len| " ".repeat(len)),
    ];
    mostly(Just(String::from(" ")), wrong)
}

/// Behind the argument.
fn behind() -> BoxedStrategy<String> {
    let other = prop_oneof![
        3 => one_of(&[" ", "\t", "  \t", ",", ".", "x", " x", ",1", "\0", "\r", "\r\0", "|", "\u{e4}"]),
        2 => (1..80usize).prop_map(|len| " ".repeat(len)),
    ];
    prop_oneof![6 => Just(String::new()), 1 => other].boxed()
}
