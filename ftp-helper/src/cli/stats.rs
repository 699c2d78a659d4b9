//! `ftp-helper stats`

use std::{
    io::{IsTerminal as _, stdout},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::Args;
use ftp_helper_common::reason::{Class, Reason};
use serde::Serialize;

use super::Output;
use crate::{
    datapath::maps::Counters,
    output::{self, Row, Tone, colour},
    pins::PinDirectory,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Show them again and again, with what happened in a second
    #[arg(long)]
    watch: bool,

    /// Seconds between two times
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "1",
        value_parser = interval,
        requires = "watch"
    )]
    interval: Duration,

    /// End after so many times
    #[arg(long, value_name = "NUMBER", requires = "watch")]
    times: Option<u64>,

    #[command(flatten)]
    output: Output,
}

fn interval(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse()?;
    if !(0.1..=3600.0).contains(&seconds) {
        bail!("it is from 0.1 to 3600 seconds");
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[derive(Debug, Serialize)]
struct Entry {
    reason: &'static str,
    class: &'static str,
    count: u64,
    /// What happened in a second, while it is watched.
    per_second: Option<f64>,
    help: &'static str,
    #[serde(skip)]
    tone: Tone,
}

impl Row for Entry {
    const KIND: &'static str = "counters";
    const HEADER: &'static [&'static str] = &["REASON", "CLASS", "COUNT", "PER SECOND", "MEANING"];

    fn cells(&self) -> Vec<String> {
        let rate = self.per_second.map(|rate| format!("{rate:.1}"));
        vec![
            self.reason.to_owned(),
            self.class.to_owned(),
            self.count.to_string(),
            rate.unwrap_or_else(|| "-".to_owned()),
            self.help.to_owned(),
        ]
    }

    fn tone(&self) -> Tone {
        self.tone
    }
}

impl Entry {
    fn new(reason: Reason, count: u64, per_second: Option<f64>) -> Self {
        let is_fault = matches!(reason.class(), Class::Drop | Class::Fault);
        Self {
            reason: reason.word(),
            class: reason.class().word(),
            count,
            per_second,
            help: reason.help(),
            tone: if is_fault && count > 0 {
                Tone::Warn
            } else {
                Tone::Plain
            },
        }
    }
}

/// The counters at one moment.
struct Reading {
    at: Instant,
    counts: Vec<(Reason, u64)>,
}

impl Reading {
    fn new(counters: &Counters) -> Result<Self> {
        let counts = Reason::ALL.iter();
        Ok(Self {
            at: Instant::now(),
            counts: counts
                .map(|reason| Ok((*reason, counters.get(*reason)?)))
                .collect::<Result<_>>()?,
        })
    }

    /// Every reason, also those that never came up: a list without surprises is
    /// easier to read by programs.
    fn entries(&self, before: Option<&Self>) -> Vec<Entry> {
        let earlier = |number: usize| before.and_then(|before| before.counts.get(number));
        let seconds = before.map(|before| (self.at - before.at).as_secs_f64());
        let counts = self.counts.iter().enumerate();
        counts
            .map(|(number, (reason, count))| {
                let happened = earlier(number).map(|(_, earlier)| count.saturating_sub(*earlier));
                #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
                let rate = happened
                    .zip(seconds)
                    .map(|(happened, seconds)| happened as f64 / seconds.max(f64::EPSILON))
                    // Places that mean nothing.
                    .map(|rate| (rate * 100.0).round() / 100.0);
                Entry::new(*reason, *count, rate)
            })
            .collect()
    }
}

pub(super) fn run(arguments: &Arguments, pins: &PinDirectory) -> Result<()> {
    let counters = Counters::open(pins)?;
    let format = arguments.output.output;
    let mut reading = Reading::new(&counters)?;
    if !arguments.watch {
        return output::print(&reading.entries(None), format);
    }
    let mut done = 0;
    while arguments.times.is_none_or(|times| done < times) {
        sleep(arguments.interval);
        let next = Reading::new(&counters)?;
        let mut entries = next.entries(Some(&reading));
        let mut text = "";
        if format.is_for_people() {
            // All of them are more than a screen.
            entries.retain(|entry| entry.count > 0);
            text = if stdout().is_terminal() {
                CLEAR
            } else if done > 0 {
                "\n"
            } else {
                ""
            };
        }
        let entries = output::render_with(&entries, format, colour::on_stdout())?;
        if !output::write_on(&format!("{text}{entries}"))? {
            break;
        }
        reading = next;
        done += 1;
    }
    Ok(())
}

/// Takes the cursor of a terminal home and clears what is there.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn table() {
        let rows = [
            Entry::new(Reason::SessionOpened, 7, Some(3.25)),
            Entry::new(Reason::LowPort, 0, None),
        ];
        assert_eq!(
            output::render(&rows, Format::Table).unwrap(),
            "REASON          CLASS    COUNT  PER SECOND  MEANING\n\
             session_opened  work     7      3.2         a control connection was taken on from its handshake\n\
             low_port        refusal  0      -           an announced port is below 1024\n"
        );
    }

    #[test]
    fn item() {
        assert_eq!(
            serde_json::to_value(Entry::new(Reason::LowPort, 3, None)).unwrap(),
            serde_json::json!({
                "reason": "low_port",
                "class": "refusal",
                "count": 3,
                "per_second": null,
                "help": "an announced port is below 1024",
            })
        );
    }

    #[test]
    fn what_was_dropped_deserves_attention_once_it_happened() {
        assert_eq!(Entry::new(Reason::Malformed, 0, None).tone, Tone::Plain);
        assert_eq!(Entry::new(Reason::Malformed, 1, None).tone, Tone::Warn);
        assert_eq!(Entry::new(Reason::LowPort, 1, None).tone, Tone::Plain);
    }

    #[test]
    fn rates_are_what_happened_in_a_second() {
        let at = Instant::now();
        let reading = |later: u64, count| Reading {
            at: at + Duration::from_millis(later),
            counts: vec![(Reason::SessionOpened, count), (Reason::LowPort, 5)],
        };
        let entries = reading(2000, 13).entries(Some(&reading(0, 10)));
        assert_eq!(entries[0].per_second, Some(1.5));
        assert_eq!(entries[1].per_second, Some(0.0));
        // Somebody made the maps anew.
        let entries = reading(2000, 1).entries(Some(&reading(0, 10)));
        assert_eq!(entries[0].per_second, Some(0.0));
        assert_eq!(reading(0, 1).entries(None)[0].per_second, None);
    }

    #[test]
    fn intervals() {
        assert_eq!(interval("0.5").unwrap(), Duration::from_millis(500));
        for text in ["0", "0.05", "3601", "nan", "x", "-1"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
