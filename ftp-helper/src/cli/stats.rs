//! `ftp-helper stats`

use anyhow::Result;
use ftp_helper_common::reason::Reason;
use serde::Serialize;

use crate::{
    datapath::maps::Counters,
    output::{self, Format, Row},
    pins::PinDirectory,
};

#[derive(Debug, Serialize)]
struct Entry {
    reason: &'static str,
    class: &'static str,
    count: u64,
    help: &'static str,
}

impl Row for Entry {
    const HEADER: &'static [&'static str] = &["REASON", "CLASS", "COUNT", "MEANING"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.reason.to_owned(),
            self.class.to_owned(),
            self.count.to_string(),
            self.help.to_owned(),
        ]
    }
}

impl Entry {
    fn new(reason: Reason, count: u64) -> Self {
        Self {
            reason: reason.word(),
            class: reason.class().word(),
            count,
            help: reason.help(),
        }
    }
}

/// Every reason, also those that never came up: a list without surprises is
/// easier to read by programs.
pub(super) fn list(pins: &PinDirectory, format: Format) -> Result<()> {
    let counters = Counters::open(pins)?;
    let entries: Result<Vec<Entry>> = Reason::ALL
        .iter()
        .map(|reason| Ok(Entry::new(*reason, counters.get(*reason)?)))
        .collect();
    output::print(&entries?, format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let rows = [
            Entry::new(Reason::SessionOpened, 7),
            Entry::new(Reason::LowPort, 0),
        ];
        assert_eq!(
            output::render(&rows, Format::Table).unwrap(),
            "REASON          CLASS    COUNT  MEANING\n\
             session_opened  work     7      a control connection was taken on from its handshake\n\
             low_port        refusal  0      an announced port is below 1024\n"
        );
    }

    #[test]
    fn json() {
        let text = output::render(&[Entry::new(Reason::LowPort, 3)], Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!([{
                "reason": "low_port",
                "class": "refusal",
                "count": 3,
                "help": "an announced port is below 1024",
            }])
        );
    }
}
