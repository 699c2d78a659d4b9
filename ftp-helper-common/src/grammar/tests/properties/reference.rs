//! The parser against naive readers that see the whole line at once.

use std::{
    format,
    net::{IpAddr, Ipv4Addr},
    string::String,
    vec::Vec,
};

use proptest::{collection::vec, prelude::*, sample::select};

use super::{eprt_line, line_end, port_line, stream, without};
use crate::grammar::{
    Kind, Role,
    tests::harness::{Event, announcements, endpoint_text, events, text},
};

/// Endpoint and replaced text, as the harness prints them.
type Reading = Option<(String, String)>;

/// A number of one to three digits, up to 255.
fn byte(field: &str) -> Option<u8> {
    let digits = (1..=3).contains(&field.len()) && field.bytes().all(|b| b.is_ascii_digit());
    if digits { field.parse().ok() } else { None }
}

/// `h1,h2,h3,h4,p1,p2`.
fn six_numbers(text: &str) -> Reading {
    let fields: Option<Vec<u8>> = text.split(',').map(byte).collect();
    let [a, b, c, d, high, low] = fields?[..] else {
        return None;
    };
    let address = Ipv4Addr::new(a, b, c, d);
    let port = u16::from_be_bytes([high, low]);
    Some((format!("{address}:{port}"), text.into()))
}

/// The argument of a command without its LF. Only at the end may there be a CR.
fn argument<'a>(verb: &str, line: &'a [u8]) -> Option<&'a str> {
    let blanks = [' ', '\t'];
    let line = str::from_utf8(line).ok()?.trim_start_matches(blanks);
    let (first, argument) = line.split_at_checked(4)?;
    if !first.eq_ignore_ascii_case(verb) || !argument.starts_with(blanks) {
        return None;
    }
    Some(
        argument
            .trim_start_matches(blanks)
            .trim_end_matches([' ', '\t', '\r']),
    )
}

/// A `PORT` line without its LF.
fn port(line: &[u8]) -> Reading {
    six_numbers(argument("PORT", line)?)
}

/// An `EPRT` line for IPv4 without its LF.
fn eprt_v4(line: &[u8]) -> Reading {
    let argument = argument("EPRT", line)?;
    let delimiter = argument.chars().next()?;
    if !delimiter.is_ascii_graphic() || delimiter.is_ascii_digit() {
        return None;
    }
    let fields: Vec<&str> = argument.split(delimiter).collect();
    let ["", "1", address, port, ""] = fields[..] else {
        return None;
    };
    let octets: Option<Vec<u8>> = address.split('.').map(byte).collect();
    let [a, b, c, d] = octets?[..] else {
        return None;
    };
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let number: u16 = if digits {
        port.parse().ok()?
    } else {
        return None;
    };
    let address_text = Ipv4Addr::new(a, b, c, d);
    Some((
        format!("{address_text}:{number}"),
        format!("{address}{delimiter}{port}"),
    ))
}

/// A single-line 227 with its LF.
fn reply_227(line: &[u8]) -> Reading {
    let line: String = line.iter().map(|byte| char::from(*byte)).collect();
    let words = line.strip_prefix("227 ")?;
    words
        .split_inclusive(|c: char| !matches!(c, '0'..='9' | ','))
        .find_map(|run| {
            // A comma before the first digit is not part of the run, and one has
            // to see the byte behind it.
            let (run, end) = run.split_at(run.len() - run.chars().next_back()?.len_utf8());
            let open = end.chars().all(|c| matches!(c, '0'..='9' | ','));
            if open {
                None
            } else {
                six_numbers(run.trim_start_matches(','))
            }
        })
}

fn readings(role: Role, line: &[u8]) -> Reading {
    let found = announcements(role, line);
    assert!(found.len() < 2);
    let found = found.first()?;
    Some((
        endpoint_text(&found.announcement.endpoint),
        text(&found.span),
    ))
}

/// Lines that are almost, or just, a `PORT`.
fn almost_port() -> impl Strategy<Value = Vec<u8>> {
    let blanks = "[ \t]{0,2}";
    let number = prop_oneof![
        8 => any::<u8>().prop_map(|number| format!("{number}")),
        1 => "[0-9]{0,4}",
        1 => Just(String::from("256")),
    ];
    let count = prop_oneof![6 => 6..7usize, 1 => 0..9usize];
    let numbers = count.prop_flat_map(move |count| vec(number.clone(), count));
    let verb = select(&["PORT", "port", "PoRt", "PORTS", "POR", "EPRT"][..]);
    let behind = select(&["", "", "", "", ",", "x", " x", "\r\0", "."][..]);
    (blanks, verb, "[ \t\r]{0,2}", numbers, behind, line_end()).prop_map(
        |(blanks, verb, gap, numbers, behind, end)| {
            let numbers = numbers.join(",");
            format!("{blanks}{verb}{gap}{numbers}{behind}{end}").into_bytes()
        },
    )
}

/// A correct line with one byte changed, taken out or put in.
fn damaged(line: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => select(b" \t\r,.|:!(0123456789aFx".to_vec()),
        1 => any::<u8>().prop_filter("a line has one LF", |byte| *byte != b'\n'),
    ];
    (line, any::<prop::sample::Index>(), 0..4u8, byte).prop_map(|(line, at, how, byte)| {
        let mut line = line.into_bytes();
        let at = at.index(line.len() - 1);
        match how {
            0 => line[at] = byte,
            1 => line.insert(at, byte),
            2 => drop(line.remove(at)),
            _ => {}
        }
        line
    })
}

fn reply_227_line() -> impl Strategy<Value = String> {
    let run = "[0-9]{1,3}(,[0-9]{1,3}){0,7},?";
    let words = prop_oneof!["[A-Za-z0-9 ,.(]{0,12}", run];
    (vec(words, 0..3), any::<[u8; 6]>(), "[).]{0,2}[ -~]{0,12}").prop_map(
        |(words, [a, b, c, d, e, f], behind)| {
            let words = words.join(" (");
            format!("227 {words} ({a},{b},{c},{d},{e},{f}{behind}\r\n")
        },
    )
}

/// What the naive reader says of a line, and what the parser says.
fn compare(role: Role, line: &[u8], naive: fn(&[u8]) -> Reading) -> Result<(), TestCaseError> {
    let (content, _) = line.split_at(line.len() - 1);
    let expected = naive(if role == Role::Client { content } else { line });
    prop_assert_eq!(readings(role, line), expected, "{:?}", text(line));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn port_lines_agree(line in prop_oneof![almost_port(), damaged(port_line())]) {
        compare(Role::Client, &line, port)?;
    }

    #[test]
    fn eprt_lines_for_ipv4_agree(line in damaged(eprt_line(any::<Ipv4Addr>().prop_map(IpAddr::V4)))) {
        compare(Role::Client, &line, eprt_v4)?;
    }

    #[test]
    fn replies_227_agree(line in damaged(reply_227_line())) {
        compare(Role::Server, &line, reply_227)?;
    }

    /// Without IAC: the naive reader does not know Telnet.
    #[test]
    fn whole_streams_agree_about_port(stream in stream()) {
        let stream = without(0xff, stream);
        let found: Vec<_> = events(Role::Client, &stream)
            .into_iter()
            .filter_map(|event| match event {
                Event::Announcement(found) if found.announcement.kind == Kind::PORT => {
                    Some((endpoint_text(&found.announcement.endpoint), text(&found.span)))
                }
                _ => None,
            })
            .collect();
        let expected: Vec<_> = stream
            .split_inclusive(|byte| *byte == b'\n')
            .filter_map(|line| line.strip_suffix(b"\n"))
            .filter_map(port)
            .collect();
        prop_assert_eq!(found, expected);
    }
}
