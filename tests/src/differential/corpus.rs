//! Lines as real servers and clients send them.
//!
//! Each has in front of it where it is seen, and behind it what it is read as:
//!
//! ```text
//! # BusyBox ftpd.
//! 227 PASV ok (192,168,7,3,195,80)
//!     => 227 192.168.7.3:50000
//! ```
//!
//! CRLF ends a line, unless it ends with an escaped LF of its own. `\r`, `\n`,
//! `\t`, `\\` and `\x00` to `\xff` stand for bytes that an editor would not show.
//! A reply of several lines is one entry with several readings, `; ` between them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use ftp_helper_common::grammar::{ANNOUNCEMENT, Kind, LINE, LineParser, Role};

/// What clients say.
const COMMANDS: &str = include_str!("../../corpus/commands.txt");
/// What servers say.
const REPLIES: &str = include_str!("../../corpus/replies.txt");

/// An entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Who sends it.
    pub role: Role,
    /// Where it is seen.
    pub seen: String,
    /// The line, or lines, with their ends.
    pub bytes: Vec<u8>,
    /// What each line is read as.
    pub reading: Vec<String>,
}

impl Entry {
    /// The address that is announced in it, if there is one.
    pub fn announced(&self) -> Option<IpAddr> {
        let endpoint = self.reading.iter().find_map(|line| {
            let (_, endpoint) = line.split_once(' ')?;
            endpoint.parse::<SocketAddr>().ok()
        })?;
        Some(endpoint.ip()).filter(|address| !address.is_unspecified())
    }
}

/// Every entry of a role.
pub fn entries(role: Role) -> Result<Vec<Entry>> {
    match role {
        Role::Client => parse(role, COMMANDS).context("commands.txt"),
        Role::Server => parse(role, REPLIES).context("replies.txt"),
    }
}

fn parse(role: Role, text: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let (mut seen, mut line) = (None, None);
    for (index, row) in text.lines().enumerate() {
        let number = index + 1;
        if let Some(reading) = row.strip_prefix("    => ") {
            let (Some(seen), Some(bytes)) = (seen.clone(), line.take()) else {
                bail!("line {number}: a reading of nothing");
            };
            entries.push(Entry {
                role,
                seen,
                bytes,
                reading: reading.split("; ").map(str::to_owned).collect(),
            });
        } else if let Some(words) = row.strip_prefix("# ") {
            seen = Some(words.to_owned());
        } else if !row.is_empty() {
            ensure!(
                line.is_none(),
                "line {number}: the one before has no reading"
            );
            let mut bytes = unescape(row).with_context(|| format!("line {number}"))?;
            if !bytes.ends_with(b"\n") {
                bytes.extend(b"\r\n");
            }
            line = Some(bytes);
        }
    }
    ensure!(line.is_none(), "the last line has no reading");
    Ok(entries)
}

fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits = [rest.next(), rest.next()].map(Option::unwrap_or_default);
                let digits = str::from_utf8(&digits).context("\\x without digits")?;
                u8::from_str_radix(digits, 16).context("\\x without digits")?
            }
            other => bail!("an escape that is none: {other:?}"),
        });
    }
    Ok(bytes)
}

/// What the host's build of the grammar reads: for each line its kind, with the
/// endpoint of an announcement, the problem of one that is none, or the code of
/// a reply.
pub fn readings(role: Role, bytes: &[u8]) -> Vec<String> {
    let mut parser = LineParser::default();
    let mut announced = None;
    let mut readings = Vec::new();
    for byte in bytes {
        let step = parser.push(role, *byte);
        if step & ANNOUNCEMENT != 0 {
            let endpoint = parser.announcement().endpoint;
            announced = Some(SocketAddr::new(endpoint.address.into(), endpoint.port));
        }
        if step & LINE == 0 {
            continue;
        }
        let kind = parser.kind();
        readings.push(match (announced.take(), parser.problem()) {
            (Some(endpoint), _) => format!("{} {endpoint}", kind.word()),
            (None, Some(problem)) => format!("{}: {}", kind.word(), problem.word()),
            (None, None) if kind == Kind::REPLY => format!("reply {}", parser.code()),
            (None, None) => kind.word().to_owned(),
        });
    }
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_read_as_it_says() {
        for role in [Role::Client, Role::Server] {
            let entries = entries(role).unwrap();
            assert!(entries.len() > 40, "{}", entries.len());
            for entry in entries {
                let read = readings(role, &entry.bytes);
                let line = entry.bytes.escape_ascii();
                assert_eq!(read, entry.reading, "{}: \"{line}\"", entry.seen);
            }
        }
    }

    #[test]
    fn entries_have_origins_lines_and_readings() {
        let text = "# Here.\nPASV\n    => PASV\n\nNOOP\\xff\\t\\\\\\n\n    => other; x\n";
        let entry = |bytes: &[u8], reading: &[&str]| Entry {
            role: Role::Client,
            seen: "Here.".to_owned(),
            bytes: bytes.to_vec(),
            reading: reading.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(
            parse(Role::Client, text).unwrap(),
            [
                entry(b"PASV\r\n", &["PASV"]),
                entry(b"NOOP\xff\t\\\n", &["other", "x"])
            ]
        );
        for wrong in [
            "PASV\n    => PASV\n",
            "# Here.\n    => PASV\n",
            "# Here.\nPASV\n",
            "# Here.\nPASV\nPASV\n    => PASV\n",
            "# Here.\n\\q\n    => PASV\n",
            "# Here.\n\\xg0\n    => PASV\n",
        ] {
            assert!(parse(Role::Client, wrong).is_err(), "{wrong}");
        }
    }
}
