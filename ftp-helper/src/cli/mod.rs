//! The command line, one file per command.

mod completions;
mod config;
#[cfg(test)]
mod default_file;
mod detach;
mod doctor;
mod expect;
mod explain;
#[cfg(test)]
mod help;
mod interrupt;
mod man;
mod nat;
mod port;
mod reload;
mod run;
mod session;
mod stats;
mod status;
mod top;
mod watch;

use std::{
    ffi::OsString,
    path::{self, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::{
    Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, parser::ValueSource,
};

use crate::{
    admin::{RunDirectory, place},
    config as file,
    failure::{Failure, one_line},
    logging,
    output::Format,
    pins::{self, PinDirectory},
};

/// Helps FTP through NAT and firewalls.
///
/// `ftp-helper run` loads TC programs on the outside interfaces of a gateway.
/// They rewrite the endpoints that FTP announces, and admit the data connections
/// that follow. The programs stay when the agent ends.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// Directory on a BPF file system that holds maps and attachments
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "PATH",
        env = "FTP_HELPER_PIN_DIR",
        default_value = pins::DEFAULT
    )]
    pin_dir: PathBuf,

    /// Directory of the agent's socket
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "PATH",
        env = "FTP_HELPER_RUN_DIR",
        default_value = place::DEFAULT
    )]
    run_dir: PathBuf,

    /// What is logged: error, warn, info, debug or trace
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "LEVEL",
        env = "FTP_HELPER_LOG",
        default_value = "info"
    )]
    log_level: String,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load the programs, or take over those that are loaded, and report
    Run(Box<run::Arguments>),
    /// Configuration files
    #[command(subcommand)]
    Config(config::Command),
    /// Show everything at a glance; exit code 4 when nothing is loaded
    ///
    /// The agent, the interfaces with what they announce, the programs with their
    /// place among others, how full the tables are, and whether the kernel's own
    /// helper works on the same connections.
    Status(Output),
    /// Control connections
    #[command(subcommand)]
    Session(session::Command),
    /// Awaited data connections
    #[command(subcommand)]
    Expect(Box<expect::Command>),
    /// Which address stands for which
    #[command(subcommand)]
    Nat(nat::Command),
    /// Control ports, changed while everything runs
    #[command(subcommand)]
    Port(port::Command),
    /// Show how often what happened
    Stats(stats::Arguments),
    /// Print what happens, a line per event, as it happens
    ///
    /// NEW, USED, EXPIRED, EVICTED: an awaited data connection. REWRITE, ACCEPTED,
    /// REJECTED(reason): an announcement. OPEN, CLOSE, TLS, CLEAR: a control
    /// connection. DROPPED: a packet. FAILED: a limit, or a fault. LOST: events that
    /// nobody was told of. Ends with 4 when no agent runs, or no more; with 0 by Ctrl-C.
    Watch(watch::Arguments),
    /// Tell what happened on a control connection, and why its data did not come
    ///
    /// Works without an agent. Of commands only the verb is shown, and of
    /// announcements the endpoint. Ends with 3 when there is no such connection,
    /// with what may be the cause; several that go by the name are listed.
    Explain(explain::Arguments),
    /// Show sessions, data connections, reasons and tables on the whole screen
    ///
    /// Works without an agent. Letters sort the sessions, q or Esc ends it.
    Top(top::Arguments),
    /// Have the agent read its settings again, and tell what became of it
    Reload,
    /// Look for what keeps FTP from being helped; exit code 1 when something does
    Doctor(doctor::Arguments),
    /// Detach the programs and remove everything that is pinned
    Detach(detach::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Arguments),
}

/// Options of commands that show something.
#[derive(Debug, Args)]
struct Output {
    /// Form of what is shown
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
}

/// What `ftp-helper --help` says in the end.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  it was tried and failed
  2  the command line makes no sense
  3  nothing goes by the name or the endpoints that were given
  4  nothing is loaded, or no agent runs where the command needs one";

impl Cli {
    /// Reads a command line, and the configuration file that it names. What clap has to
    /// say, be it help, is an error of its own type.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let matches = Self::command().try_get_matches_from(&arguments)?;
        let file = matches
            .subcommand_matches("run")
            .and_then(|given| Some((given, given.get_one::<PathBuf>("config")?)));
        let Some((given, path)) = file else {
            return Ok(Self::from_arg_matches(&matches)?);
        };
        let command = run::command();
        let settings =
            file::read(path, &command, run::NOT_IN_FILES).map_err(|error| misconfigured(&error))?;
        for setting in settings {
            let mut flags = command.get_arguments();
            let flag = flags.find(|flag| flag.get_long() == Some(&setting.key));
            let is_given = flag.is_some_and(|flag| {
                given.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
            });
            if !is_given {
                arguments.extend(setting.arguments.into_iter().map(OsString::from));
            }
        }
        Ok(Self::try_parse_from(arguments)?)
    }

    /// Does what was asked.
    pub fn run(self) -> Result<()> {
        logging::start(&self.log_level)?;
        let path = path::absolute(&self.pin_dir)
            .with_context(|| format!("{} is no path", self.pin_dir.display()))?;
        let pins = PinDirectory::new(path);
        let path = path::absolute(&self.run_dir)
            .with_context(|| format!("{} is no path", self.run_dir.display()))?;
        let run_directory = RunDirectory::new(path);
        match self.command {
            Command::Run(arguments) => run::run(&arguments, &pins, &run_directory),
            Command::Config(command) => config::run(&command),
            Command::Status(output) => status::run(&output, &pins, &run_directory),
            Command::Session(command) => session::run(&command, &pins),
            Command::Expect(command) => expect::run(&command, &pins),
            Command::Nat(command) => nat::run(&command, &pins),
            Command::Port(command) => port::run(&command, &pins),
            Command::Stats(arguments) => stats::run(&arguments, &pins),
            Command::Explain(arguments) => explain::run(&arguments, &pins),
            Command::Top(arguments) => top::run(&arguments, &pins),
            Command::Watch(arguments) => watch::run(&arguments, &pins, &run_directory),
            Command::Reload => reload::run(&pins, &run_directory),
            Command::Doctor(arguments) => doctor::run(&arguments, &pins),
            Command::Detach(arguments) => detach::run(&arguments, &pins),
            Command::Completions(arguments) => completions::run(&arguments),
            Command::Man(arguments) => man::run(&arguments),
        }
    }
}

/// An error of the settings, as one of the command line: what starts the agent can
/// tell by the exit code that the next try would end like this one.
fn misconfigured(error: &anyhow::Error) -> anyhow::Error {
    Failure::usage(one_line(error)).into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// An agent that reads its command line again must not end by that.
    #[test]
    fn what_makes_no_sense_ends_no_process() {
        let words = ["ftp-helper", "run", "-i", "lo", "--group", "no-such-group"];
        let error = Cli::read(words.map(OsString::from)).unwrap_err();
        assert!(error.is::<clap::Error>(), "{error:?}");
        assert!(error.to_string().contains("no-such-group"), "{error}");
    }
}
