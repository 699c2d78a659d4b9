//! `ftp-helper completions`

use std::io::{Write as _, stdout};

use anyhow::{Context as _, Result};
use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::Cli;

/// What the commands are called, whatever name the binary was started with.
const NAME: &str = "ftp-helper";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    stdout()
        .write_all(&script(arguments.shell))
        .context("can not write to standard output")
}

/// Written at once, not as it is made: the generator panics where the reader of a
/// pipe has gone.
fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), NAME, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_is_told_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for command in Cli::command().get_subcommands() {
                if !command.is_hide_set() {
                    let name = command.get_name();
                    assert!(script.contains(name), "{shell} is not told `{name}`");
                }
            }
        }
    }
}
