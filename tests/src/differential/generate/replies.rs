//! What servers say.

use std::net::IpAddr;

use proptest::{collection::vec, prelude::*, sample::select, strategy::BoxedStrategy};

use super::{
    line_end, mostly,
    numbers::{decimal_port, six_numbers},
    one_of,
};

/// Replies without an endpoint.
const PLAIN: &[&str] = &[
    "200 ok",
    "220 ready",
    "230 in",
    "232 in",
    "234 go",
    "334 go",
    "421 bye",
    "500 what",
    "227",
    "229",
    "228 Entering Long Passive Mode (4,4,1,2,3,4,2,5,6)",
    "150 here",
    "125 here",
    "331 pass",
    "227 Logout.",
    "229 ok",
    "227 (",
    "229 (",
    "229 (|",
    "229 (||",
    "229 (|||",
    "22",
    "2",
    "",
    " ",
    "999 x",
    "000 x",
    "2270 x",
    "22a x",
    "-227 x",
    " 227 (10,0,0,3,4,1)",
    "x227 (10,0,0,3,4,1)",
    "PORT 10,0,0,3,4,1",
    "220",
    "220\t",
    "230-",
    "220-",
    "227-",
    "229-",
    "257 \"227 (10,0,0,3,4,1)\"",
    "550 227 (10,0,0,3,4,1)",
    "227\t(10,0,0,3,4,1)",
    "227(10,0,0,3,4,1)",
    "226 (|||5000|)",
];

/// One reply; a reply may have several lines.
pub(super) fn lines(addresses: &BoxedStrategy<IpAddr>) -> impl Strategy<Value = Vec<u8>> + use<> {
    let line = line(addresses);
    prop_oneof![
        8 => line.clone(),
        2 => multi_line(line),
    ]
}

fn line(addresses: &BoxedStrategy<IpAddr>) -> BoxedStrategy<Vec<u8>> {
    let text = prop_oneof![
        7 => passive(addresses.clone()),
        5 => extended(),
        4 => select(PLAIN).prop_map(str::to_owned),
        1 => "[ -~]{0,40}",
        1 => (60..300usize).prop_map(|len| format!("214 {}", "x".repeat(len))),
    ];
    (text, line_end())
        .prop_map(|(text, end)| (text + &end).into_bytes())
        .boxed()
}

/// `code-` to `code `, with anything in between.
fn multi_line(line: BoxedStrategy<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let code = select(&["227", "229", "211", "220", "230", "234"][..]);
    // Mostly its own end, else that of another one, or none.
    let end =
        prop_oneof![8 => Just(None), 1 => select(&["211 ", "227 ", "227-", ""][..]).prop_map(Some)];
    (
        code,
        one_of(&["", "hello", "(10,0,0,3,4,1)"]),
        vec(line.clone(), 0..4),
        end,
        line,
    )
        .prop_map(|(code, first, middle, end, last)| {
            let mut bytes = format!("{code}-{first}\r\n").into_bytes();
            bytes.extend(middle.concat());
            match end {
                Some(other) => bytes.extend(other.bytes()),
                None => bytes.extend(format!("{code} ").bytes()),
            }
            // Its text, with or without the code.
            let last = if last.starts_with(code.as_bytes()) && last.len() > 4 {
                &last[4..]
            } else {
                &last
            };
            bytes.extend(last);
            bytes
        })
}

/// Text in front of the numbers.
fn words() -> BoxedStrategy<String> {
    prop_oneof![
        6 => one_of(&["Entering Passive Mode (", "Entering Passive Mode. ", "PASV ok (", "=", ""]),
        3 => one_of(&["7 of 10 (", "1,2,3 (", "(", "((", "[", "at 10.0.0.3, ", "256,", ",", ",,", "-"]),
        1 => "[ -~]{0,30}",
        1 => "[0-9, (]{0,20}",
        1 => one_of(&["ä (", "\0", "\t", "\r", "\u{ff}(", "1,2,3,4,5 (", "1,2,3,4,5,6,7 ("]),
    ]
    .boxed()
}

fn passive(addresses: BoxedStrategy<IpAddr>) -> BoxedStrategy<String> {
    let behind = prop_oneof![
        6 => one_of(&[")", ").", "", " ok", " ", ")\t"]),
        1 => one_of(&[",", ",1", "1", ",)", ".", ";", "\0", "\r", "|", ",1,2,3,4,5,6", "x(1,2,3,4,5,6)"]),
    ];
    (code("227"), words(), six_numbers(addresses), behind)
        .prop_map(|(code, words, numbers, behind)| code + &words + &numbers + &behind)
        .boxed()
}

fn extended() -> BoxedStrategy<String> {
    let words = prop_oneof![
        6 => one_of(&["Entering Extended Passive Mode (", "EPSV ok (", "("]),
        2 => one_of(&["", "((", "(x) (", "(|||", "(||5|) (", "(|||99999|) (", "[", "<", "( "]),
        1 => "[ -~]{0,30}",
    ];
    let delimiter = prop_oneof![
        8 => Just(String::from("|")),
        4 => select((33..=126u8).collect::<Vec<_>>()).prop_map(|it| char::from(it).to_string()),
        1 => one_of(&["", " ", "\0", "\x7f", "ä"]),
    ];
    let filled = mostly(
        Just((String::new(), String::new())),
        (
            one_of(&["", "1", "2", " "]),
            one_of(&["", "10.0.0.3", "fd00::3", " "]),
        ),
    );
    let marks = mostly(
        Just(None),
        (0..4usize, one_of(&["", " ", "!", "(", "||"])).prop_map(Some),
    );
    let behind = mostly(
        one_of(&[")", ").", "", ") ok"]),
        one_of(&["|", "1|", "\0", ")(|||5000|)"]),
    );
    let numbers = (delimiter, filled, decimal_port(), marks);
    (code("229"), words, numbers, behind)
        .prop_map(
            |(code, words, (delimiter, (family, address), port, marks), behind)| {
                let mut delimiters = vec![delimiter; 4];
                if let Some((index, other)) = marks {
                    delimiters[index] = other;
                }
                let [a, b, c, d] = &delimiters[..] else {
                    unreachable!("four were made");
                };
                format!("{code}{words}{a}{family}{b}{address}{c}{port}{d}{behind}")
            },
        )
        .boxed()
}

/// A code and what separates it from the text, seldom another one.
fn code(code: &'static str) -> BoxedStrategy<String> {
    let other = one_of(&[
        "227 ", "229 ", "228 ", "226 ", "22 ", "2270 ", " 227 ", "0227 ", "22７ ",
    ]);
    let separator = mostly(
        Just(String::from(" ")),
        one_of(&["-", "", "\t", "\r", "\n", "  ", ".", "("]),
    );
    mostly(
        separator.prop_map(move |separator| format!("{code}{separator}")),
        other,
    )
}
