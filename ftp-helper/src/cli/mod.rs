//! The command line, one file per command.

mod config;
mod detach;
mod doctor;
mod expect;
mod port;
mod run;
mod session;
mod stats;

use std::{
    ffi::OsString,
    path::{self, PathBuf},
};

use anyhow::{Context as _, Result};
use clap::{
    Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, parser::ValueSource,
};

use crate::{
    config as file, logging,
    output::Format,
    pins::{self, PinDirectory},
};

/// Helps FTP through NAT and firewalls.
///
/// `ftp-helper run` loads TC programs on the outside interfaces of a gateway.
/// They rewrite the endpoints that FTP announces, and admit the data connections
/// that follow. The programs stay when the agent ends.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    /// Directory on a BPF file system that holds maps and attachments
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "FTP_HELPER_PIN_DIR",
        default_value = pins::DEFAULT
    )]
    pin_dir: PathBuf,

    /// What is logged: error, warn, info, debug or trace
    #[arg(
        long,
        global = true,
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
    /// Awaited data connections
    #[command(subcommand)]
    Expect(Noun),
    /// Control connections
    #[command(subcommand)]
    Session(Noun),
    /// Control ports, changed while everything runs
    #[command(subcommand)]
    Port(port::Command),
    /// How often what happened
    Stats(Output),
    /// Look for what keeps FTP from being helped; exit code 1 when something does
    Doctor(doctor::Arguments),
    /// Detach the programs and remove everything that is pinned
    Detach(detach::Arguments),
}

/// What to do with a kind of thing.
#[derive(Debug, Subcommand)]
enum Noun {
    /// Show all of them
    List(Output),
}

/// Options of commands that show a list.
#[derive(Debug, Args)]
struct Output {
    /// Form of the list
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
}

impl Cli {
    /// Reads a command line, and the configuration file that it names. Ends the
    /// process when it makes no sense, as is usual.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let matches = Self::command().get_matches_from(&arguments);
        let file = matches
            .subcommand_matches("run")
            .and_then(|given| Some((given, given.get_one::<PathBuf>("config")?)));
        let Some((given, path)) = file else {
            return Ok(Self::from_arg_matches(&matches)?);
        };
        let command = run::command();
        for setting in file::read(path, &command, run::NOT_IN_FILES)? {
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
        match self.command {
            Command::Run(arguments) => run::run(&arguments, &pins),
            Command::Config(command) => config::run(&command),
            Command::Expect(Noun::List(output)) => expect::list(&pins, output.output),
            Command::Session(Noun::List(output)) => session::list(&pins, output.output),
            Command::Port(command) => port::run(&command, &pins),
            Command::Stats(output) => stats::list(&pins, output.output),
            Command::Doctor(arguments) => doctor::run(&arguments, &pins),
            Command::Detach(arguments) => detach::run(&arguments, &pins),
        }
    }
}

/// An error with its causes, on one line.
pub fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn errors_take_one_line() {
        let error = anyhow::anyhow!("the end\nof it").context("it failed");
        assert_eq!(one_line(&error), "it failed: the end of it");
    }
}
