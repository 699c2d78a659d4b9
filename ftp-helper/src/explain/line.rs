//! A line of the control connection, or something that happened to its data
//! connection, with what was decided.

use ftp_helper_common::{
    grammar::Kind,
    interface::Interface,
    journal::{self, origin},
    reason::{Class, Reason},
};
use serde::Serialize;

use super::verb;
use crate::{
    admin::notice::announced,
    clock,
    output::{Tone, known_endpoint, or_dash},
};

/// A line, or an event that is none.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Line {
    /// When: RFC 3339, UTC.
    pub time: String,
    /// Who said it: `client`, `server`, or `network` for what is no line.
    pub from: &'static str,
    /// The command without its arguments, or the reply's code.
    pub line: String,
    /// What was announced, or where the data connection leads.
    pub inside: Option<String>,
    /// What it became, or where the data connection is awaited.
    pub outside: Option<String>,
    /// Word of the reason for what was done.
    pub decision: Option<&'static str>,
    /// What that means.
    pub meaning: Option<&'static str>,
    #[serde(skip)]
    ago: String,
    #[serde(skip)]
    tone: Tone,
}

/// In the place of what is not one of FTP's commands.
const UNKNOWN: &str = "(unknown verb)";

impl Line {
    /// What an entry of the journal says.
    pub fn new(entry: &journal::Entry, interface: Option<&Interface>, now: u64) -> Self {
        let reason = entry.reason();
        let (from, line) = match entry.origin {
            origin::CLIENT => {
                let name = verb::name(entry.verb).unwrap_or(UNKNOWN);
                ("client", name.to_owned())
            }
            origin::SERVER if entry.code == 0 => ("server", "(part of a reply)".to_owned()),
            origin::SERVER => ("server", entry.code.to_string()),
            _ => ("network", "(data connection)".to_owned()),
        };
        let mut outside = entry.outside;
        if let (Some(Reason::AnnouncementRewritten), Some(interface)) = (reason, interface) {
            outside = announced(outside, Kind(entry.kind), interface);
        }
        let time = entry.time.nanoseconds();
        Self {
            time: clock::to_timestamp(time),
            from,
            line,
            inside: known_endpoint(&entry.inside),
            outside: known_endpoint(&outside),
            decision: reason.map(Reason::word),
            meaning: reason.map(Reason::help),
            ago: clock::to_words(now.saturating_sub(time)),
            tone: match reason.map(Reason::class) {
                None | Some(Class::Work) => Tone::Plain,
                Some(Class::Refusal) => Tone::Warn,
                Some(Class::Drop | Class::Fault) => Tone::Bad,
            },
        }
    }

    /// Heads of the columns for people.
    pub const HEADER: &'static [&'static str] = &[
        "AGO", "FROM", "LINE", "INSIDE", "OUTSIDE", "DECISION", "MEANING",
    ];

    /// The cells for people.
    pub fn cells(&self) -> (Vec<String>, Tone) {
        let cells = vec![
            self.ago.clone(),
            self.from.to_owned(),
            self.line.clone(),
            or_dash(self.inside.as_deref()),
            or_dash(self.outside.as_deref()),
            or_dash(self.decision),
            or_dash(self.meaning),
        ];
        (cells, self.tone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(entry: journal::Entry) -> Line {
        Line::new(&entry, None, clock::seconds(10))
    }

    #[test]
    fn what_is_no_command_of_ftp_is_not_shown() {
        let entry = |verb: &[u8; 4]| journal::Entry {
            verb: u32::from_be_bytes(*verb),
            ..journal::Entry::default()
        };
        assert_eq!(line(entry(b"RETR")).line, "RETR");
        assert_eq!(line(entry(b"HUNT")).line, UNKNOWN);
        assert_eq!(line(entry(&[0; 4])).line, UNKNOWN);
    }

    #[test]
    fn replies_and_what_is_no_line() {
        let reply = journal::Entry {
            origin: origin::SERVER,
            code: 227,
            decision: Reason::Unsolicited as u8 + 1,
            time: journal::Moment::at(clock::seconds(4)),
            ..journal::Entry::default()
        };
        let shown = line(reply);
        assert_eq!((shown.from, shown.line.as_str()), ("server", "227"));
        assert_eq!(shown.decision, Some("unsolicited"));
        assert_eq!((shown.ago.as_str(), shown.tone), ("6s", Tone::Warn));
        let other = journal::Entry {
            origin: origin::OTHER,
            ..reply
        };
        assert_eq!(line(other).from, "network");
    }
}
