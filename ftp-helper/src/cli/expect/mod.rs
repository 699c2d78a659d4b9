//! `ftp-helper expect list|show|add|delete|flush`

mod add;

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use ftp_helper_common::{
    address::{Address, Endpoint},
    expectation::{Expectation, ExpectationKey},
    session::{Session, SessionKey},
};

use super::Output;
use crate::{
    clock,
    datapath::maps::{Counters, EXPECTATIONS, Expectations, SESSIONS, Sessions},
    device::Names,
    failure::Failure,
    inspect::{
        conntrack,
        expectation::{Entry, State, leads_to, subject},
        filter::{Filter, HEADING},
    },
    output,
    pins::PinDirectory,
};

/// What to do with awaited data connections.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List awaited data connections, the oldest first
    List(List),
    /// Show everything about one awaited data connection
    ///
    /// Several that lead there are refused with what to add (exit code 2), none is
    /// exit code 3.
    Show(Show),
    /// Await a data connection that no line announced, to test rules
    ///
    /// It is written straight into the table, with and without an agent, and held
    /// to the rules of announcements. It admits one connection within its time.
    Add(add::Arguments),
    /// Await one data connection no more; exit code 3 when it is not awaited
    Delete(Delete),
    /// Await no data connection any more, or none of those that the filters name
    ///
    /// Says how many there were.
    Flush(Flush),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    choice: Choice,

    /// Print their number only
    #[arg(long)]
    count: bool,

    /// Print the lines that another program prints
    #[arg(long, value_name = "PROGRAM", value_enum, conflicts_with_all = ["output", "count"])]
    compat: Option<Compat>,

    #[command(flatten)]
    output: Output,
}

/// A program whose output is imitated.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Compat {
    /// `conntrack -L expect`
    Conntrack,
}

/// Filters, and the states that are asked for.
#[derive(Debug, Args)]
struct Choice {
    #[command(flatten)]
    filter: Filter,

    /// Only those in one of these states; without it, those that have not expired
    #[arg(
        long = "state",
        value_name = "STATE",
        value_enum,
        value_delimiter = ',',
        help_heading = HEADING
    )]
    states: Vec<State>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    output: Output,
}

/// One expectation.
#[derive(Debug, Args)]
struct Target {
    /// Where the connection is awaited, or where it leads inside
    #[arg(value_name = "ADDRESS:PORT")]
    destination: SocketAddr,

    /// Who is awaited there, where that leaves a choice
    #[arg(value_name = "SOURCE")]
    source: Option<IpAddr>,
}

#[derive(Debug, Args)]
pub(super) struct Delete {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(super) struct Flush {
    #[command(flatten)]
    choice: Choice,
}

pub(super) fn run(command: &Command, pins: &PinDirectory) -> Result<()> {
    match command {
        Command::List(arguments) => list(arguments, pins),
        Command::Show(arguments) => show(arguments, pins),
        Command::Add(arguments) => add::run(arguments, pins),
        Command::Delete(arguments) => delete(arguments, pins),
        Command::Flush(arguments) => flush(arguments, pins),
    }
}

type Row = (ExpectationKey, Expectation);

impl Choice {
    /// What is asked for, oldest first.
    fn of(&self, mut table: Vec<Row>, now: u64) -> Vec<Row> {
        let mut names = Names::default();
        table.retain(|(key, value)| {
            let state = State::of(value, now);
            let is_wanted = if self.states.is_empty() {
                state != State::Expired
            } else {
                self.states.contains(&state)
            };
            let interface = names.of(value.ifindex);
            is_wanted && self.filter.admits(&subject(key, value, interface))
        });
        table.sort_by_key(|(_, value)| value.created);
        table
    }
}

fn list(arguments: &List, pins: &PinDirectory) -> Result<()> {
    let table = Expectations::open(pins, EXPECTATIONS)?.entries()?;
    let now = clock::now()?;
    let table = arguments.choice.of(table, now);
    let format = arguments.output.output;
    if arguments.count {
        return output::print_count::<Entry>(table.len(), format);
    }
    let sessions = Sessions::open(pins, SESSIONS)?;
    if arguments.compat == Some(Compat::Conntrack) {
        for (key, value) in &table {
            let master = master(&sessions, &value.master)?;
            let line = conntrack::line(key, value, master.as_ref(), now);
            output::write(&format!("{line}\n"))?;
        }
        eprintln!("{}", conntrack::summary(table.len()));
        return Ok(());
    }
    let mut names = Names::default();
    let entries: Result<Vec<Entry>> = table
        .iter()
        .map(|(key, value)| entry(&sessions, key, value, &mut names, now))
        .collect();
    output::print(&entries?, format)
}

fn show(arguments: &Show, pins: &PinDirectory) -> Result<()> {
    let table = Expectations::open(pins, EXPECTATIONS)?.entries()?;
    let (key, value) = arguments.target.find(&table)?;
    let sessions = Sessions::open(pins, SESSIONS)?;
    let entry = entry(
        &sessions,
        &key,
        &value,
        &mut Names::default(),
        clock::now()?,
    )?;
    output::print_object(&entry, arguments.output.output)
}

fn entry(
    sessions: &Sessions,
    key: &ExpectationKey,
    value: &Expectation,
    names: &mut Names,
    now: u64,
) -> Result<Entry> {
    let master = master(sessions, &value.master)?;
    Ok(Entry::new(key, value, master.as_ref(), names, now))
}

fn master(sessions: &Sessions, key: &SessionKey) -> Result<Option<Session>> {
    if *key == SessionKey::default() {
        return Ok(None);
    }
    sessions.get(key)
}

fn delete(arguments: &Delete, pins: &PinDirectory) -> Result<()> {
    let mut table = Expectations::open_to_change(pins, EXPECTATIONS)?;
    let mut counters = Counters::open_to_change(pins)?;
    let (key, _) = arguments.target.find(&table.entries()?)?;
    if !tear_down(&mut table, &mut counters, &key)? {
        // It was used up, or expired, a moment ago.
        return Err(arguments.target.absent().into());
    }
    Ok(())
}

fn flush(arguments: &Flush, pins: &PinDirectory) -> Result<()> {
    let mut table = Expectations::open_to_change(pins, EXPECTATIONS)?;
    let mut counters = Counters::open_to_change(pins)?;
    let chosen = arguments.choice.of(table.entries()?, clock::now()?);
    let mut count: usize = 0;
    for (key, _) in chosen {
        count += usize::from(tear_down(&mut table, &mut counters, &key)?);
    }
    output::write(&format!(
        "{count} {} removed\n",
        if count == 1 {
            "expectation"
        } else {
            "expectations"
        }
    ))
}

/// Removes an expectation and counts it, unless somebody else was faster.
fn tear_down(
    table: &mut Expectations,
    counters: &mut Counters,
    key: &ExpectationKey,
) -> Result<bool> {
    let removed = table.remove(key)?;
    if removed {
        counters.add_torn_down()?;
    }
    Ok(removed)
}

impl Target {
    /// The only expectation that is meant.
    fn find(&self, table: &[Row]) -> Result<Row> {
        let end = endpoint(self.destination);
        let source = self.source.map(Address::from);
        let found: Vec<&Row> = table
            .iter()
            .filter(|(key, value)| {
                leads_to(key, value, &end) && source.is_none_or(|source| key.source == source)
            })
            .collect();
        match found[..] {
            [] => Err(self.absent().into()),
            [row] => Ok(*row),
            [(key, _), ..] => Err(Failure::usage(format!(
                "{} expectations lead to {}: name the source too, as in `{} {}`",
                found.len(),
                self.destination,
                output::endpoint(&key.destination),
                IpAddr::from(key.source)
            ))
            .into()),
        }
    }

    fn absent(&self) -> Failure {
        let Self {
            destination,
            source,
        } = self;
        let from = source.map_or_else(String::new, |source| format!(" from {source}"));
        Failure::not_found(format!(
            "no data connection{from} is awaited at {destination}: see `ftp-helper expect list`"
        ))
    }
}

fn endpoint(at: SocketAddr) -> Endpoint {
    Endpoint::new(at.ip().into(), at.port())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::failure;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        choice: Choice,
    }

    fn row(source: u8, port: u16, expires: u64) -> Row {
        let address = |last| Address::from_v4([203, 0, 113, last]);
        let key = ExpectationKey {
            source: address(source),
            destination: Endpoint::new(address(1), port),
        };
        let value = Expectation {
            target: Endpoint::new(Address::from_v4([10, 0, 0, 2]), port),
            created: 100 - expires,
            expires,
            ..Expectation::default()
        };
        (key, value)
    }

    fn ports(words: &[&str]) -> Vec<u16> {
        let words = ["list"].iter().chain(words);
        let choice = Only::try_parse_from(words).unwrap().choice;
        let table = vec![row(2, 5001, 20), row(2, 5002, 10), row(3, 5003, 30)];
        let rows = choice.of(table, 10);
        rows.iter().map(|(key, _)| key.destination.port).collect()
    }

    #[test]
    fn what_has_expired_is_not_awaited_any_more() {
        assert_eq!(ports(&[]), [5003, 5001]);
        assert_eq!(ports(&["--state", "expired"]), [5002]);
        assert_eq!(ports(&["--state", "waiting,expired"]), [5003, 5001, 5002]);
        assert_eq!(ports(&["--src", "203.0.113.3"]), [5003]);
        assert_eq!(ports(&["--dst", "10.0.0.0/8", "--port", "5001"]), [5001]);
    }

    fn find(destination: &str, source: Option<&str>) -> Result<Address> {
        let target = Target {
            destination: destination.parse().unwrap(),
            source: source.map(|source| source.parse().unwrap()),
        };
        let table = [row(2, 5001, 20), row(3, 5001, 20), row(3, 5003, 30)];
        Ok(target.find(&table)?.0.source)
    }

    #[test]
    fn one_is_found_by_where_it_leads() {
        let third = Address::from_v4([203, 0, 113, 3]);
        assert_eq!(find("203.0.113.1:5003", None).unwrap(), third);
        assert_eq!(find("10.0.0.2:5003", None).unwrap(), third);
        let source = Some("203.0.113.3");
        assert_eq!(find("203.0.113.1:5001", source).unwrap(), third);
    }

    #[test]
    fn a_choice_is_the_callers_and_nothing_is_not_found() {
        let error = find("203.0.113.1:5001", None).unwrap_err();
        assert_eq!(failure::exit_code(&error), failure::USAGE);
        for (destination, source) in [
            ("203.0.113.1:5002", None),
            ("203.0.113.1:5003", Some("203.0.113.2")),
        ] {
            let error = find(destination, source).unwrap_err();
            assert_eq!(failure::exit_code(&error), failure::NOT_FOUND);
        }
    }
}
