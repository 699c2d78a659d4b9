//! The grammar a second time: whole lines, read at once.
//!
//! Independent of the parser in `ftp-helper-common`, which takes a byte at a time and can
//! look at none of them twice. It follows the RFCs, with the few things that clients and
//! servers really do besides: blanks around a command, LF without CR, Telnet commands in
//! front. What it refuses must never be taken for an announcement.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use ftp_helper_common::grammar::{Kind, Role};

/// An announcement as it stands in its line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reading {
    /// Its kind.
    pub kind: Kind,
    /// The address; `None` where the form has none.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The bytes that stand for the endpoint, by position in the line.
    pub span: Range<usize>,
    /// The byte that separates the fields of `EPRT` and 229.
    pub delimiter: Option<u8>,
}

/// What a line is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// Its kind, also when what should be an announcement is none.
    pub kind: Kind,
    /// The announcement.
    pub reading: Option<Reading>,
    /// The code of a reply; 0 for a command, and inside a reply of several lines.
    pub code: u16,
}

/// Reads the lines of one side.
#[derive(Clone, Copy, Debug)]
pub struct Oracle {
    role: Role,
    /// The code of the reply of several lines that is open.
    open: Option<u16>,
}

impl Oracle {
    /// At the start of a stream.
    pub fn new(role: Role) -> Self {
        Self { role, open: None }
    }

    /// Reads the next line, which ends with its LF.
    pub fn line(&mut self, line: &[u8]) -> Line {
        match self.role {
            Role::Client => command(line),
            Role::Server => self.reply(line),
        }
    }

    /// RFC 959 section 4.2: `ddd-` opens a reply that ends with `ddd SP` of the same
    /// code; whatever lies between is text.
    fn reply(&mut self, line: &[u8]) -> Line {
        let nothing = Line {
            kind: Kind::OTHER,
            reading: None,
            code: 0,
        };
        let [a, b, c, separator, ..] = *line else {
            return nothing;
        };
        let Some(code) = [a, b, c].iter().try_fold(0, |code: u16, byte| {
            byte.is_ascii_digit()
                .then(|| code * 10 + u16::from(byte - b'0'))
        }) else {
            return nothing;
        };
        let ends = matches!(separator, b' ' | b'\r' | b'\n');
        match self.open {
            Some(open) if !ends || code != open => return nothing,
            None if separator == b'-' => {
                self.open = Some(code);
                return nothing;
            }
            None if !ends => return nothing,
            _ => self.open = None,
        }
        let is_bare = separator != b' ';
        let (kind, reading) = match code {
            227 => (Kind::REPLY_227, reply_227(line)),
            228 => (Kind::LONG, None),
            229 => (Kind::REPLY_229, reply_229(line)),
            _ => (Kind::REPLY, None),
        };
        Line {
            kind,
            reading: reading.filter(|_| !is_bare),
            code,
        }
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Where the first byte is that is none of these.
fn skip(line: &[u8], from: usize, is_skipped: impl Fn(u8) -> bool) -> usize {
    let rest = line.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| is_skipped(**byte)).count()
}

/// Where the command starts: behind blanks and Telnet commands (RFC 854). `None` for
/// data in front of it.
fn start(line: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at = skip(line, at, is_blank);
        at += match (line.get(at)?, line.get(at + 1)) {
            (255, Some(251..=254)) => 3,
            (255, Some(255)) => return None,
            (255, _) => 2,
            _ => return Some(at),
        };
    }
}

fn command(line: &[u8]) -> Line {
    let (kind, at) = verb(line);
    let arguments = at.min(line.len());
    let reading = match kind {
        Kind::PORT => port(line, arguments),
        Kind::EPRT => eprt(line, arguments),
        _ => None,
    };
    Line {
        kind,
        reading,
        code: 0,
    }
}

/// The kind of a command, and where the byte behind its verb is.
fn verb(line: &[u8]) -> (Kind, usize) {
    let nothing = (Kind::OTHER, line.len());
    let Some(first) = start(line) else {
        return nothing;
    };
    // No text starts with such a byte, but other protocols do.
    if line[first] < b' ' && !matches!(line[first], b'\r' | b'\n') {
        return (Kind::HTTP, line.len());
    }
    let end = skip(line, first, |byte| byte.is_ascii_alphabetic());
    let verb = line[first..end].to_ascii_uppercase();
    match line.get(end) {
        Some(b' ' | b'\t' | b'\r' | b'\n') => {}
        // A field of the header of HTTP.
        Some(b':') if verb == b"HOST" => return (Kind::HTTP, line.len()),
        _ => return nothing,
    }
    let kind = match verb.as_slice() {
        b"PORT" => Kind::PORT,
        b"EPRT" => Kind::EPRT,
        b"PASV" => Kind::PASV,
        b"EPSV" if is_all(&line[end..]) => Kind::EPSV_ALL,
        b"EPSV" => Kind::EPSV,
        b"LPRT" | b"LPSV" => Kind::LONG,
        b"AUTH" => Kind::AUTH,
        b"CCC" => Kind::CCC,
        b"REIN" | b"HOST" => Kind::RESTART,
        b"USER" | b"FEAT" | b"SYST" | b"OPTS" | b"CLNT" => Kind::LOGIN,
        b"GET" | b"HEAD" | b"POST" | b"PUT" => Kind::HTTP,
        _ => Kind::OTHER,
    };
    (kind, end)
}

/// ` ALL` and the end of the word.
fn is_all(rest: &[u8]) -> bool {
    let word = skip(rest, 0, is_blank);
    let argument = &rest[word..];
    word > 0
        && argument.len() > 3
        && argument[..3].eq_ignore_ascii_case(b"ALL")
        && matches!(argument[3], b' ' | b'\t' | b'\r' | b'\n')
}

/// Nothing but blanks and CR up to the LF.
fn is_end(line: &[u8], from: usize) -> bool {
    let end = skip(line, from, |byte| is_blank(byte) || byte == b'\r');
    line[end..] == *b"\n"
}

/// A decimal number of so many digits at most, and not above the limit.
fn number(text: &[u8], digits: usize, limit: u32) -> Option<u32> {
    if text.is_empty() || text.len() > digits || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = str::from_utf8(text).ok()?.parse().ok()?;
    (number <= limit).then_some(number)
}

/// `h1,h2,h3,h4,p1,p2`: address and port.
fn six_numbers(text: &[u8]) -> Option<(IpAddr, u16)> {
    let numbers: Option<Vec<u8>> = text
        .split(|byte| *byte == b',')
        .map(|field| number(field, 3, 255).and_then(|number| u8::try_from(number).ok()))
        .collect();
    let [a, b, c, d, high, low] = numbers?[..] else {
        return None;
    };
    let address = Ipv4Addr::new(a, b, c, d);
    Some((address.into(), u16::from_be_bytes([high, low])))
}

fn port(line: &[u8], arguments: usize) -> Option<Reading> {
    let start = skip(line, arguments, is_blank);
    if start == arguments {
        return None;
    }
    let end = skip(line, start, |byte| byte.is_ascii_digit() || byte == b',');
    let (address, port) = six_numbers(&line[start..end])?;
    is_end(line, end).then_some(Reading {
        kind: Kind::PORT,
        address: Some(address),
        port,
        span: start..end,
        delimiter: None,
    })
}

/// `EPRT |1|132.235.1.2|6275|` (RFC 2428 section 2).
fn eprt(line: &[u8], arguments: usize) -> Option<Reading> {
    let start = skip(line, arguments, is_blank);
    if start == arguments {
        return None;
    }
    let delimiter = *line.get(start)?;
    if !delimiter.is_ascii_graphic() || delimiter.is_ascii_digit() {
        return None;
    }
    let mut fields = line[start + 1..].split(|byte| *byte == delimiter);
    let (family, address, port) = (fields.next()?, fields.next()?, fields.next()?);
    // There has to be one more field, or the last delimiter is missing.
    fields.next()?;
    let text = str::from_utf8(address).ok()?;
    let parsed = match family {
        b"1" => v4(address)?.into(),
        // A letter of the address would end it, in the one that is put in its place.
        b"2" if !delimiter.is_ascii_hexdigit() && !text.contains('.') => {
            let address: Ipv6Addr = text.parse().ok()?;
            if address.to_ipv4_mapped().is_some() {
                return None;
            }
            address.into()
        }
        _ => return None,
    };
    let span = start + 3..start + 3 + address.len() + 1 + port.len();
    let number = number(port, 5, 65535)?;
    is_end(line, span.end + 1).then_some(Reading {
        kind: Kind::EPRT,
        address: Some(parsed),
        port: u16::try_from(number).ok()?,
        span,
        delimiter: Some(delimiter),
    })
}

/// Four numbers with dots; leading zeros are decimal.
fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    let octets: Option<Vec<u8>> = text
        .split(|byte| *byte == b'.')
        .map(|field| number(field, 3, 255).and_then(|number| u8::try_from(number).ok()))
        .collect();
    let [a, b, c, d] = octets?[..] else {
        return None;
    };
    Some(Ipv4Addr::new(a, b, c, d))
}

/// The first six numbers joined by commas, wherever they are (RFC 1123 section
/// 4.1.2.6); digits and commas that go on are one piece of text.
fn reply_227(line: &[u8]) -> Option<Reading> {
    let mut at = 4;
    while at < line.len() {
        if !line[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = skip(line, at, |byte| byte.is_ascii_digit() || byte == b',');
        if let Some((address, port)) = six_numbers(&line[at..end]) {
            return Some(Reading {
                kind: Kind::REPLY_227,
                address: Some(address),
                port,
                span: at..end,
                delimiter: None,
            });
        }
        at = end;
    }
    None
}

/// `(|||6446|)` (RFC 2428 section 3), the first one.
fn reply_229(line: &[u8]) -> Option<Reading> {
    (4..line.len()).find_map(|at| reply_229_at(line, at))
}

/// What stands at this parenthesis.
fn reply_229_at(line: &[u8], at: usize) -> Option<Reading> {
    let [b'(', first, second, third, ref rest @ ..] = line[at..] else {
        return None;
    };
    let is_delimiter = first.is_ascii_graphic() && !first.is_ascii_digit();
    if !is_delimiter || second != first || third != first {
        return None;
    }
    let len = skip(rest, 0, |byte| byte.is_ascii_digit());
    if rest.get(len) != Some(&first) {
        return None;
    }
    let number = number(&rest[..len], 5, 65535)?;
    Some(Reading {
        kind: Kind::REPLY_229,
        address: None,
        port: u16::try_from(number).ok()?,
        span: at + 4..at + 4 + len,
        delimiter: Some(first),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(role: Role, line: &str) -> Option<String> {
        let reading = Oracle::new(role).line(line.as_bytes()).reading?;
        let address = reading
            .address
            .map_or("-".to_owned(), |address| address.to_string());
        Some(format!(
            "{} {} {} <{}>",
            reading.kind.word(),
            address,
            reading.port,
            &line[reading.span]
        ))
    }

    #[test]
    fn the_examples_of_the_rfcs_are_read() {
        let client = |line: &str| read(Role::Client, line);
        assert_eq!(
            client("PORT 10,0,0,2,178,110\r\n").as_deref(),
            Some("PORT 10.0.0.2 45678 <10,0,0,2,178,110>")
        );
        assert_eq!(
            client("EPRT |1|132.235.1.2|6275|\r\n").as_deref(),
            Some("EPRT 132.235.1.2 6275 <132.235.1.2|6275>")
        );
        assert_eq!(
            client(" eprt |2|1080::8:800:200C:417A|5282| \n").as_deref(),
            Some("EPRT 1080::8:800:200c:417a 5282 <1080::8:800:200C:417A|5282>")
        );
        let server = |line: &str| read(Role::Server, line);
        assert_eq!(
            server("227 Entering Passive Mode (10,0,0,2,4,1).\r\n").as_deref(),
            Some("227 10.0.0.2 1025 <10,0,0,2,4,1>")
        );
        assert_eq!(
            server("229 Entering Extended Passive Mode (|||6446|)\r\n").as_deref(),
            Some("229 - 6446 <6446>")
        );
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for line in [
            "PORT 10,0,0,2,256,1\r\n",
            "PORT 10,0,0,2,1\r\n",
            "PORT 10,0,0,2,1,1,1\r\n",
            "PORT 10,0,0,2,1,1x\r\n",
            "PORT 10,0,0,2,0001,1\r\n",
            "PORT10,0,0,2,1,1\r\n",
            "PORTS 10,0,0,2,1,1\r\n",
            "xPORT 10,0,0,2,1,1\r\n",
            "EPRT |1|10.0.0.2|65536|\r\n",
            "EPRT |1|10.0.0|1025|\r\n",
            "EPRT |1|fd00::1|1025|\r\n",
            "EPRT |2|10.0.0.2|1025|\r\n",
            "EPRT |2|::ffff:a00:2|1025|\r\n",
            "EPRT |1|10.0.0.2|1025\r\n",
            "EPRT 111110.0.0.2110251\r\n",
            "\u{ff}PORT 10,0,0,2,1,1\r\n",
        ] {
            assert_eq!(read(Role::Client, line), None, "{line:?}");
        }
        for line in [
            "227-(10,0,0,2,1,1)\r\n",
            "227 (10,0,0,2,1)\r\n",
            "227 (10,0,0,2,1,1,)\r\n",
            "227x(10,0,0,2,1,1)\r\n",
            "229 (||1025|)\r\n",
            "229 (|||70000|)\r\n",
            "229 (|||1025)\r\n",
            "230 (10,0,0,2,1,1)\r\n",
        ] {
            assert_eq!(read(Role::Server, line), None, "{line:?}");
        }
    }

    #[test]
    fn inside_a_reply_of_several_lines_is_text() {
        let mut oracle = Oracle::new(Role::Server);
        assert_eq!(oracle.line(b"211-Features\r\n").reading, None);
        assert_eq!(oracle.line(b"227 (1,2,3,4,5,6)\r\n").reading, None);
        assert_eq!(oracle.line(b"211 End\r\n").code, 211);
        assert!(oracle.line(b"227 (1,2,3,4,5,6)\r\n").reading.is_some());
    }
}
