//! `ftp-helper session list|show`

use std::net::SocketAddr;

use anyhow::Result;
use clap::{Args, Subcommand};
use ftp_helper_common::{
    address::Endpoint,
    session::{Session, SessionKey, flags},
};

use super::Output;
use crate::{
    clock,
    datapath::maps::{EXPECTATIONS, Expectations, SESSIONS, Sessions},
    device::Names,
    failure::Failure,
    inspect::{
        expectation,
        filter::{Filter, HEADING},
        session::{Details, Entry, State, has_end, subject},
    },
    output,
    pins::PinDirectory,
};

/// What to do with control connections.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List control connections, the oldest first
    List(List),
    /// Show everything about one control connection
    ///
    /// Several that go by the name are refused with what to add (exit code 2), none
    /// is exit code 3.
    Show(Show),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,

    /// Only those in one of these states
    #[arg(
        long = "state",
        value_name = "STATE",
        value_enum,
        value_delimiter = ',',
        help_heading = HEADING
    )]
    states: Vec<State>,

    /// Print their number only
    #[arg(long)]
    count: bool,

    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// An end of the connection, as seen inside or outside; another one where that
    /// leaves a choice
    #[arg(value_name = "ADDRESS:PORT", required = true, num_args = 1..=2)]
    ends: Vec<SocketAddr>,

    #[command(flatten)]
    output: Output,
}

pub(super) fn run(command: &Command, pins: &PinDirectory) -> Result<()> {
    match command {
        Command::List(arguments) => list(arguments, pins),
        Command::Show(arguments) => show(arguments, pins),
    }
}

/// Oldest first.
fn list(arguments: &List, pins: &PinDirectory) -> Result<()> {
    let mut table = Sessions::open(pins, SESSIONS)?.entries()?;
    let mut names = Names::default();
    table.retain(|(key, session)| {
        let interface = names.of(session.ifindex);
        let state = State::of(session);
        (arguments.states.is_empty() || arguments.states.contains(&state))
            && arguments.filter.admits(&subject(key, session, interface))
    });
    if arguments.count {
        return output::print_count::<Entry>(table.len(), arguments.output.output);
    }
    table.sort_by_key(|(_, session)| session.created);
    let now = clock::now()?;
    let entries: Vec<Entry> = table
        .iter()
        .map(|(key, session)| Entry::new(key, session, &mut names, now))
        .collect();
    output::print(&entries, arguments.output.output)
}

fn show(arguments: &Show, pins: &PinDirectory) -> Result<()> {
    let (key, session) = find(&Sessions::open(pins, SESSIONS)?.entries()?, &arguments.ends)?;
    let (now, mut names) = (clock::now()?, Names::default());
    let mut expectation = None;
    if session.flags & flags::EXPECTING != 0 {
        let table = Expectations::open(pins, EXPECTATIONS)?;
        expectation = table
            .get(&session.expectation)?
            .filter(|value| value.master == key && value.expires > now);
    }
    let expectation = expectation.map(|value| {
        let key = &session.expectation;
        expectation::Entry::new(key, &value, Some(&session), &mut names, now)
    });
    let details = Details::new(&key, &session, expectation, &mut names, now);
    output::print_object(&details, arguments.output.output)
}

/// The only session that has these ends.
fn find(table: &[(SessionKey, Session)], ends: &[SocketAddr]) -> Result<(SessionKey, Session)> {
    let named: Vec<String> = ends.iter().map(ToString::to_string).collect();
    let named = named.join(" and ");
    let ends: Vec<Endpoint> = ends
        .iter()
        .map(|end| Endpoint::new(end.ip().into(), end.port()))
        .collect();
    let mut found = table
        .iter()
        .filter(|(key, session)| ends.iter().all(|end| has_end(key, session, end)));
    let first = found.next().ok_or_else(|| {
        Failure::not_found(format!(
            "there is no session with {named}: see `ftp-helper session list`"
        ))
    })?;
    let more = found.count();
    if more > 0 {
        let (key, _) = first;
        return Err(Failure::usage(format!(
            "{} sessions have {named}: name another end too, as in `ftp-helper session show {} {}`",
            more + 1,
            output::endpoint(&key.outside),
            output::endpoint(&key.peer)
        ))
        .into());
    }
    Ok(*first)
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::address::Address;
    use zerocopy::FromZeros as _;

    use super::*;
    use crate::failure;

    fn table() -> Vec<(SessionKey, Session)> {
        let at = |last, port| Endpoint::new(Address::from_v4([203, 0, 113, last]), port);
        let session = |port| {
            let key = SessionKey {
                outside: at(1, port),
                peer: at(2, 21),
            };
            (key, Session::new_zeroed())
        };
        vec![session(40000), session(40001)]
    }

    fn found(ends: &[&str]) -> Result<u16> {
        let ends: Vec<SocketAddr> = ends.iter().map(|end| end.parse().unwrap()).collect();
        Ok(find(&table(), &ends)?.0.outside.port)
    }

    #[test]
    fn one_end_is_enough_where_it_leaves_no_choice() {
        assert_eq!(found(&["203.0.113.1:40001"]).unwrap(), 40001);
        let both = ["203.0.113.2:21", "203.0.113.1:40000"];
        assert_eq!(found(&both).unwrap(), 40000);
    }

    #[test]
    fn a_choice_is_the_callers() {
        let error = found(&["203.0.113.2:21"]).unwrap_err();
        assert_eq!(failure::exit_code(&error), failure::USAGE);
        let text = error.to_string();
        assert!(text.starts_with("2 sessions have 203.0.113.2:21"), "{text}");
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for ends in [
            &["203.0.113.1:1"][..],
            &["203.0.113.1:40000", "203.0.113.1:40001"],
        ] {
            let error = found(ends).unwrap_err();
            assert_eq!(failure::exit_code(&error), failure::NOT_FOUND);
        }
    }
}
