//! `ftp-helper watch`

use std::{
    io::{self, Write as _, stdout},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use ftp_helper_common::address::Endpoint;
use serde::Serialize;

use super::interrupt;
use crate::{
    admin::{
        RunDirectory,
        client::Client,
        notice::{Notice, parse_endpoint},
        protocol::{Message, Place, Request},
        word::Word,
    },
    failure::{Failure, NOT_RUNNING, exit_code},
    inspect::filter::{Filter, Subject},
    output::{colour, colour::Tone, envelope},
    pins::PinDirectory,
};

/// How often it is looked for the next agent.
const RETRY: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The time of each event in front of it (RFC 3339, UTC)
    #[arg(short, long)]
    timestamp: bool,

    /// Form of the lines
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Form,

    /// When the agent ends, wait for the next one instead of ending too
    #[arg(long)]
    follow: bool,

    /// Only these events, like new,used,rejected
    #[arg(
        long = "event",
        value_enum,
        value_name = "WORD",
        value_delimiter = ',',
        ignore_case = true,
        help_heading = "Filters"
    )]
    events: Vec<Word>,

    #[command(flatten)]
    filter: Filter,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Form {
    /// A line for people
    #[default]
    Table,
    /// One JSON object a line
    #[value(alias = "json")]
    Jsonl,
}

/// What is only counted, as an item.
#[derive(Serialize)]
struct Counted<'a> {
    event: Word,
    reason: &'a str,
    count: u64,
}

/// What is lost, as an item.
#[derive(Serialize)]
struct Lost {
    count: u64,
    place: Place,
}

/// Nobody reads what is printed.
struct Unread;

pub(super) fn run(
    arguments: &Arguments,
    pins: &PinDirectory,
    run_directory: &RunDirectory,
) -> Result<()> {
    // Each line is written as a whole.
    interrupt::is_success(|| {})?;
    let mut is_waiting = false;
    loop {
        match watch(arguments, pins, run_directory, is_waiting) {
            Ok(Unread) => return Ok(()),
            Err(error) if arguments.follow && exit_code(&error) == NOT_RUNNING => {
                if !is_waiting {
                    eprintln!("ftp-helper: no agent runs; waiting for the next one");
                }
                is_waiting = true;
                thread::sleep(RETRY);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Prints everything until nobody reads it; an error when there is no agent, or no
/// more.
fn watch(
    arguments: &Arguments,
    pins: &PinDirectory,
    run_directory: &RunDirectory,
    has_waited: bool,
) -> Result<Unread> {
    let mut client = Client::ask(run_directory, pins, Request::Watch)?;
    let coloured = colour::on_stdout();
    while let Some(message) = client.message()? {
        if matches!(message, Message::Hello { .. }) {
            // Also for scripts, which know from here on that nothing is missed.
            let word = if has_waited {
                "the next agent is there"
            } else {
                "watching"
            };
            eprintln!("ftp-helper: {word}; Ctrl-C ends this");
        }
        let Some(text) = shown(&message, arguments, coloured)? else {
            continue;
        };
        let mut stdout = stdout().lock();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            // `ftp-helper watch | head` is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Unread),
            written => written.context("can not write to standard output")?,
        }
    }
    Err(Failure::not_running(
        "the agent has ended; its programs go on: start it again with `ftp-helper run`, and \
         `ftp-helper watch --follow` waits for that",
    )
    .into())
}

/// The message as it is printed, if it is.
fn shown(message: &Message, arguments: &Arguments, coloured: bool) -> Result<Option<String>> {
    let is_json = arguments.output == Form::Jsonl;
    match message {
        Message::Event(notice) => {
            let is_asked_for =
                arguments.events.is_empty() || arguments.events.contains(&notice.event);
            if !is_asked_for || !arguments.filter.admits(&subject(notice)) {
                return Ok(None);
            }
            if is_json {
                return envelope::line("event", notice).map(Some);
            }
            let mut text = line(notice);
            if arguments.timestamp {
                text.insert_str(0, &format!("{} ", notice.time));
            }
            Ok(Some(
                colour::line(&text, tone(notice.event), coloured) + "\n",
            ))
        }
        Message::Counted {
            event,
            reason,
            count,
        } => {
            // Nobody knows whose it was, so filters have nothing to look at.
            if !arguments.events.is_empty() && !arguments.events.contains(event) {
                return Ok(None);
            }
            let (event, count) = (*event, *count);
            if is_json {
                let counted = Counted {
                    event,
                    reason,
                    count,
                };
                return envelope::line("counted", &counted).map(Some);
            }
            let text = format!("{event}({reason}) {count} times");
            Ok(Some(colour::line(&text, tone(event), coloured) + "\n"))
        }
        // Whatever is asked for: something of it may be missing.
        Message::Lost { count, place } => {
            let (count, place) = (*count, *place);
            if is_json {
                return envelope::line("lost", &Lost { count, place }).map(Some);
            }
            let text = format!("{} {count} events: {}", Word::Lost, place.explanation());
            Ok(Some(colour::line(&text, Tone::Bad, coloured) + "\n"))
        }
        Message::Hello { .. }
        | Message::Reloaded(_)
        | Message::Discovery { .. }
        | Message::Error { .. } => Ok(None),
    }
}

/// An event as a line, without its end.
fn line(notice: &Notice) -> String {
    let reason = notice.known_reason();
    let needs_reason = reason.is_none_or(|reason| notice.event.needs_reason(reason));
    let word = if needs_reason {
        format!("{}({})", notice.event, notice.reason)
    } else {
        notice.event.to_string()
    };
    let mut parts = vec![format!("{word:<8}")];
    parts.extend(notice.mode.clone());
    parts.extend(detail(notice));
    if let Some(session) = &notice.session {
        parts.push(format!("session={}<->{}", session.outside, session.peer));
        let inside = session.inside.as_ref();
        parts.extend(inside.map(|inside| format!("inside={inside}")));
    }
    parts.push(format!("iface={}", notice.interface));
    parts.join(" ")
}

/// The endpoints of what is announced or awaited.
fn detail(notice: &Notice) -> Option<String> {
    let inside = notice.inside.as_deref()?;
    let outside = notice.outside.as_deref();
    match notice.event {
        Word::Rewrite => Some(format!("{inside} -> {}", outside?)),
        Word::New | Word::Used | Word::Expired | Word::Evicted => {
            let source = notice.source.map(|source| source.to_string());
            let source = source.as_deref().unwrap_or("any");
            Some(format!("{source} -> {} to {inside}", outside?))
        }
        Word::Accepted | Word::Rejected | Word::Failed | Word::Dropped => Some(inside.to_owned()),
        Word::Open | Word::Close | Word::Tls | Word::Clear | Word::Stream | Word::Lost => None,
    }
}

const fn tone(word: Word) -> Tone {
    match word {
        Word::Rejected | Word::Expired | Word::Tls => Tone::Warn,
        Word::Dropped | Word::Failed | Word::Lost => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// What the filters look at: the client is the source.
fn subject(notice: &Notice) -> Subject<'_> {
    let parse = |text: &Option<String>| text.as_deref().and_then(parse_endpoint);
    let mut here: Vec<Endpoint> = Vec::new();
    let mut there: Vec<Endpoint> = Vec::new();
    let mut client_inside = true;
    if let Some(session) = &notice.session {
        here.extend(parse_endpoint(&session.outside));
        here.extend(parse(&session.inside));
        there.extend(parse_endpoint(&session.peer));
        client_inside = session.client_inside.unwrap_or(true);
    }
    here.extend(parse(&notice.inside));
    if let Some(outside) = parse(&notice.outside) {
        // One that inside hosts open leads to the peer.
        let is_there = there.iter().any(|end| end.address == outside.address);
        let side = if is_there { &mut there } else { &mut here };
        side.push(outside);
    }
    let (source, destination) = if client_inside {
        (here, there)
    } else {
        (there, here)
    };
    Subject {
        source,
        destination,
        interface: &notice.interface,
        mode: notice.mode(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use ftp_helper_common::reason::Reason;

    use super::*;
    use crate::admin::notice::{Session, Surroundings, tests::event};

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn notices(reason: Reason) -> Vec<Notice> {
        let mut notices = Notice::of(&event(reason), &Surroundings::default());
        for notice in &mut notices {
            notice.time = "2026-01-02T03:04:05.678900Z".to_owned();
            if let Some(session) = &mut notice.session {
                session.inside = Some("10.0.0.2:40000".to_owned());
                session.client_inside = Some(true);
            }
        }
        notices
    }

    fn printed(words: &[&str], reason: Reason) -> String {
        let words = ["watch"].iter().chain(words);
        let arguments = Only::try_parse_from(words).unwrap().arguments;
        let notices = notices(reason).into_iter();
        let lines =
            notices.map(|notice| shown(&Message::Event(notice), &arguments, false).unwrap());
        lines.flatten().collect()
    }

    const REWRITTEN: &str = "\
        REWRITE  PORT 10.0.0.2:45678 -> 203.0.113.1:45679 \
        session=203.0.113.1:40000<->203.0.113.2:21 inside=10.0.0.2:40000 iface=if2147418112\n";

    #[test]
    fn lines_for_people() {
        let both = printed(&[], Reason::AnnouncementRewritten);
        let (first, second) = both.split_once('\n').unwrap();
        assert_eq!(format!("{first}\n"), REWRITTEN);
        assert_eq!(
            second,
            "NEW      PORT 203.0.113.2 -> 203.0.113.1:45679 to 10.0.0.2:45678 \
             session=203.0.113.1:40000<->203.0.113.2:21 inside=10.0.0.2:40000 \
             iface=if2147418112\n"
        );
        let refused = printed(&["--timestamp"], Reason::LowPort);
        assert!(
            refused.starts_with(
                "2026-01-02T03:04:05.678900Z REJECTED(low_port) PORT 10.0.0.2:45678 session="
            ),
            "{refused}"
        );
        let opened = printed(&[], Reason::SessionOpened);
        assert!(opened.starts_with("OPEN     PORT session="), "{opened}");
    }

    #[test]
    fn what_is_not_asked_for_is_left_out() {
        let event = Reason::AnnouncementRewritten;
        assert_eq!(printed(&["--event", "rewrite"], event), REWRITTEN);
        assert_eq!(printed(&["--event", "USED,tls"], event), "");
        for (words, wanted) in [
            (["--src", "10.0.0.2"], true),
            (["--src", "203.0.113.2"], false),
            (["--dst", "203.0.113.2"], true),
            (["--port", "45679"], true),
            (["--port", "45680"], false),
            (["--iface", "if*"], true),
            (["--iface", "wan*"], false),
            (["--mode", "PORT"], true),
            (["--mode", "PASV"], false),
        ] {
            assert_eq!(!printed(&words, event).is_empty(), wanted, "{words:?}");
        }
    }

    #[test]
    fn one_json_object_a_line() {
        let text = printed(&["-o", "jsonl"], Reason::LowPort);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "schema_version": 1,
                "kind": "event",
                "time": "2026-01-02T03:04:05.678900Z",
                "event": "REJECTED",
                "reason": "low_port",
                "mode": "PORT",
                "interface": "if2147418112",
                "session": {
                    "outside": "203.0.113.1:40000",
                    "peer": "203.0.113.2:21",
                    "inside": "10.0.0.2:40000",
                    "client_inside": true,
                },
                "source": "203.0.113.2",
                "inside": "10.0.0.2:45678",
                "outside": "203.0.113.1:45679",
            })
        );
    }

    #[test]
    fn what_is_only_counted_is_told_too() {
        let message = Message::Counted {
            event: Word::Rejected,
            reason: "client_limit".to_owned(),
            count: 3,
        };
        let text = |words: &[&str]| {
            let words = ["watch"].iter().chain(words);
            let arguments = Only::try_parse_from(words).unwrap().arguments;
            shown(&message, &arguments, false).unwrap()
        };
        let line = text(&["--event", "rejected"]).unwrap();
        assert_eq!(line, "REJECTED(client_limit) 3 times\n");
        assert_eq!(text(&["--event", "new"]), None);
        assert_eq!(
            text(&["-o", "jsonl"]).unwrap(),
            "{\"schema_version\":1,\"kind\":\"counted\",\"event\":\"REJECTED\",\
             \"reason\":\"client_limit\",\"count\":3}\n"
        );
    }

    #[test]
    fn what_was_lost_is_told_whatever_is_asked_for() {
        let arguments = |words: &[&str]| {
            let words = ["watch", "--src", "192.0.2.1"].iter().chain(words);
            Only::try_parse_from(words).unwrap().arguments
        };
        let message = Message::Lost {
            count: 7,
            place: Place::Client,
        };
        assert_eq!(
            shown(&message, &arguments(&[]), false).unwrap().unwrap(),
            "LOST 7 events: this reader did not keep up with the agent\n"
        );
        assert_eq!(
            shown(&message, &arguments(&["-o", "json"]), false)
                .unwrap()
                .unwrap(),
            "{\"schema_version\":1,\"kind\":\"lost\",\"count\":7,\"place\":\"client\"}\n"
        );
    }

    #[test]
    fn a_server_inside_is_a_destination() {
        let mut notice = notices(Reason::AnnouncementRewritten).remove(0);
        notice.session = notice.session.map(|session| Session {
            client_inside: Some(false),
            ..session
        });
        let subject = subject(&notice);
        assert_eq!(subject.source.len(), 1);
        assert_eq!(subject.source[0].port, 21);
    }
}
