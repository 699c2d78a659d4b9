//! What the inside host says, and what has to arrive.

use std::{net::IpAddr, ops::Range};

use ftp_helper_common::grammar::{Kind, Role, TEXT};

use super::random::Random;
use crate::{
    flow::Flow,
    oracle::{Oracle, Reading},
};

/// Most bytes behind the numbers of an unfinished line that are held.
const TRAILING: usize = 19;

/// Bytes that may be replaced.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where they are in the sender's stream: the numbers, and for lines that are
    /// not helped the rest of the line.
    pub sent: Range<usize>,
    /// Where their replacement is in the receiver's stream.
    pub wire: Range<usize>,
    /// They are replaced.
    pub helped: bool,
}

/// A stream of commands, or of replies.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// What is sent.
    pub sent: Vec<u8>,
    /// What has to arrive.
    pub wire: Vec<u8>,
    /// Every announcement in it, in order, also those that are not helped.
    pub places: Vec<Place>,
}

impl Script {
    /// Between one and `lines` lines of all kinds; some end in the middle of the
    /// last one.
    pub fn commands(random: &mut Random, flow: &Flow, lines: usize) -> Self {
        let mut script = Self::default();
        for _ in 0..random.between(1, lines) {
            script.line(random, flow);
        }
        if random.chance(20) {
            script.break_off(random, flow);
        }
        script
    }

    /// The same with replies; every 227 and 229 has to be asked for.
    pub fn replies(random: &mut Random, flow: &Flow, lines: usize) -> Self {
        let mut script = Self::default();
        for _ in 0..random.between(1, lines) {
            script.reply(random, flow);
        }
        script
    }

    /// Any bytes, if they are what [`Network`](super::network::Network) can judge: `None`
    /// where it depends on the segments what becomes of a line, because more of it may
    /// have to be held than is held.
    ///
    /// What has to arrive follows from the [oracle](crate::oracle) alone.
    pub fn of(text: &[u8], role: Role, flow: &Flow) -> Option<Self> {
        let mut script = Self::default();
        let mut oracle = Oracle::new(role);
        let is_translated = flow.inside.ip() != flow.outside.ip();
        let mut is_read = true;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let read = oracle.line(line);
            let is_whole = line.ends_with(b"\n");
            if !is_read || !may_hold(role, line) {
                script.plain(line);
            } else if has_long_hold(role, line) {
                return None;
            } else if let Some(reading) = read.reading.filter(|reading| {
                // A reply's numbers are final when another byte follows.
                let is_final = is_whole || role == Role::Server && reading.span.end < line.len();
                is_final && is_translated && is_helped(reading, flow)
            }) {
                let Range { start, end } = reading.span;
                // Numbers in front may be held until they turn out to be none.
                script.place_of_itself(&line[..start]);
                let span = str::from_utf8(&line[start..end]).ok()?;
                script.place(span, &replacement(&reading, flow), true);
                script.plain(&line[end..]);
            } else {
                // Any byte behind the verb may be held for a while.
                script.place_of_itself(line);
            }
            // What it means depends on when the server answers.
            if read.kind == Kind::EPSV_ALL {
                return None;
            }
            // A client of HTTP is left alone from then on.
            is_read &= read.kind != Kind::HTTP;
        }
        Some(script)
    }

    fn plain(&mut self, text: impl AsRef<[u8]>) {
        self.sent.extend_from_slice(text.as_ref());
        self.wire.extend_from_slice(text.as_ref());
    }

    /// Bytes that may be held, and go on as they are.
    fn place_of_itself(&mut self, bytes: &[u8]) {
        let (sent, wire) = (self.sent.len(), self.wire.len());
        self.plain(bytes);
        self.places.push(Place {
            sent: sent..self.sent.len(),
            wire: wire..self.wire.len(),
            helped: false,
        });
    }

    /// `numbers` become `text`.
    fn place(&mut self, numbers: &str, text: &str, helped: bool) {
        let (sent, wire) = (self.sent.len(), self.wire.len());
        self.sent.extend_from_slice(numbers.as_bytes());
        self.wire.extend_from_slice(text.as_bytes());
        self.places.push(Place {
            sent: sent..self.sent.len(),
            wire: wire..self.wire.len(),
            helped,
        });
    }

    fn line(&mut self, random: &mut Random, flow: &Flow) {
        match random.below(12) {
            0 => self.plain("NOOP\r\n"),
            1 => self.plain("PWD\n"),
            2 => {
                let len = random.between(0, 700);
                self.plain(format!("SITE {}\r\n", "ftp ".repeat(200).split_at(len).0));
            }
            // Looks like an announcement in many places.
            3 => self.plain("STOR PORT 10,0,0,2,1,1 EPRT |1|10.0.0.2|5000|\r\n"),
            4 => self.plain(b"\xff\xf4\xff\xf2ABOR\r\n"),
            5 => self.refused(random),
            6 | 7 => self.eprt(random, flow),
            _ => self.port(random, flow),
        }
    }

    fn port(&mut self, random: &mut Random, flow: &Flow) {
        let port = random.between(1024, 65535);
        let zeros = random.chance(20);
        let form = |address: String, zeros: bool| {
            let mut numbers: Vec<_> = address.split('.').map(str::to_owned).collect();
            numbers.extend([(port / 256).to_string(), (port % 256).to_string()]);
            if zeros {
                for number in &mut numbers {
                    *number = format!("{number:0>3}");
                }
            }
            numbers.join(",")
        };
        self.plain(random.pick(&["PORT ", "port ", "Port\t", " PORT  "]));
        self.place(
            &form(flow.inside.ip().to_string(), zeros),
            &form(flow.outside.ip().to_string(), false),
            true,
        );
        self.end(random);
    }

    fn eprt(&mut self, random: &mut Random, flow: &Flow) {
        let port = random.between(1024, 65535);
        let mark = random.pick(&['|', '!', '$']);
        self.plain(format!("EPRT {mark}1{mark}"));
        self.place(
            &format!("{}{mark}{port}", flow.inside.ip()),
            &format!("{}{mark}{port}", flow.outside.ip()),
            true,
        );
        self.plain(mark.to_string());
        self.end(random);
    }

    fn reply(&mut self, random: &mut Random, flow: &Flow) {
        let port = random.between(1024, 65535);
        match random.below(8) {
            0 => self.plain("200 ok\r\n"),
            1 => self.plain("211-Features:\r\n 227 (10,0,0,3,1,1)\r\n229\r\n211 End\r\n"),
            2 => {
                let len = random.between(0, 700);
                self.plain(format!("257 {}\r\n", "ftp ".repeat(200).split_at(len).0));
            }
            3 => {
                // Its port is free outside, so it stays.
                self.plain("229 Extended Passive Mode (|||");
                self.place(&port.to_string(), &port.to_string(), false);
                self.plain("|)\r\n");
            }
            4 => {
                self.plain("227 no endpoint in ");
                self.place("1,2,3", "1,2,3", false);
                self.plain(".\r\n");
            }
            _ => {
                self.plain("227 ");
                // Numbers that may be the start of an endpoint, until they are not.
                if random.chance(30) {
                    self.place("7", "7", false);
                    self.plain(" of ");
                    self.place("10", "10", false);
                    self.plain(" ");
                }
                let form = |address: String| {
                    let numbers = address.replace('.', ",");
                    format!("{numbers},{},{}", port / 256, port % 256)
                };
                self.plain(random.pick(&["Entering Passive Mode (", "=", ""]));
                self.place(
                    &form(flow.inside.ip().to_string()),
                    &form(flow.outside.ip().to_string()),
                    true,
                );
                self.plain(random.pick(&[").\r\n", "\r\n", " ok\n"]));
            }
        }
    }

    /// The end of a line, with blanks before it.
    fn end(&mut self, random: &mut Random) {
        let blanks = if random.chance(20) {
            random.between(1, 10)
        } else {
            0
        };
        let end = random.pick(&["\r\n", "\r\n", "\n"]);
        self.plain(format!("{}{end}", " ".repeat(blanks)));
    }

    fn refused(&mut self, random: &mut Random) {
        let (verb, rest) = random.pick(&[
            ("PORT ", "198,51,100,9,200,1\r\n"),
            ("PORT ", "10,0,0,2,0,22\r\n"),
            ("PORT ", "10,0,0,2\r\n"),
            ("PORT ", "10,0,0,2,200,1,\r\n"),
            ("PORT ", "10,0,0,2,256,1\r\n"),
            ("PORT ", "1,2,3,4,5,6 7\n"),
            ("EPRT |1|", "10.0.0.2|65536|\r\n"),
            ("EPRT |1|", "10.0.0.2|22|\r\n"),
        ]);
        self.plain(verb);
        self.place(rest, rest, false);
    }

    /// An announcement without its end.
    fn break_off(&mut self, random: &mut Random, flow: &Flow) {
        let numbers: Vec<_> = flow
            .inside
            .ip()
            .to_string()
            .split('.')
            .map(str::to_owned)
            .collect();
        let line = format!("{},200,1", numbers.join(","));
        let part = line.split_at(random.between(1, line.len())).0;
        self.plain("PORT ");
        self.place(part, part, false);
    }

    /// How many announcements have to be replaced.
    pub fn helped(&self) -> usize {
        self.places.iter().filter(|place| place.helped).count()
    }

    /// Where a position of the sender is on the wire: inside of what is replaced,
    /// the start of that.
    pub fn to_wire(&self, position: usize) -> usize {
        for place in self.places.iter().rev() {
            if position >= place.sent.end {
                return position + place.wire.end - place.sent.end;
            }
            if position >= place.sent.start && place.helped {
                return place.wire.start;
            }
        }
        position
    }
}

/// The line may be one of those that are held.
fn may_hold(role: Role, line: &[u8]) -> bool {
    let has = |word: &[u8]| {
        line.windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
    };
    match role {
        Role::Client => has(b"PORT") || has(b"EPRT"),
        Role::Server => line.starts_with(b"227") || line.starts_with(b"229"),
    }
}

/// More may be held of the line than a gateway holds.
fn has_long_hold(role: Role, line: &[u8]) -> bool {
    let longest = |is_part: fn(&u8) -> bool| {
        line.split(|byte| !is_part(byte))
            .map(<[u8]>::len)
            .max()
            .unwrap_or(0)
    };
    match role {
        // Blanks, CR and the delimiter of `EPRT`.
        Role::Client => longest(|byte| matches!(byte, b' ' | b'\t' | b'\r')) + 1 > TRAILING,
        Role::Server => longest(|byte| byte.is_ascii_digit() || *byte == b',') > TEXT,
    }
}

/// The endpoint is the inside host's own, and one that may be announced.
fn is_helped(reading: &Reading, flow: &Flow) -> bool {
    let is_own = match reading.address {
        // A port of its own needs no other text.
        None => false,
        Some(address) if address.is_unspecified() => false,
        Some(address) => address == flow.inside.ip(),
    };
    is_own && reading.port >= 1024
}

/// The endpoint as it is known outside, in the form of the one that it replaces.
fn replacement(reading: &Reading, flow: &Flow) -> String {
    let (address, port) = (flow.outside.ip(), reading.port);
    match (reading.kind, address) {
        (Kind::EPRT, address) => {
            let delimiter = char::from(reading.delimiter.unwrap_or(b'|'));
            format!("{address}{delimiter}{port}")
        }
        (_, IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{a},{b},{c},{d},{},{}", port >> 8, port & 0xff)
        }
        (_, IpAddr::V6(_)) => unreachable!("no IPv4 address is the inside host's"),
    }
}
