//! `ftp-helper config check`

use std::{ffi::OsString, io::Write as _, io::stdout, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use super::{Cli, misconfigured, run};

/// What to do with configuration files.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say whether `ftp-helper run --config FILE` would take the file; changes
    /// nothing
    Check(File),
}

#[derive(Debug, Args)]
pub(super) struct File {
    /// The file
    #[arg(value_name = "FILE")]
    path: PathBuf,
}

pub(super) fn run(command: &Command) -> Result<()> {
    let Command::Check(File { path }) = command;
    let flag = OsString::from("--config");
    let words = ["ftp-helper".into(), "run".into(), flag, path.into()];
    let super::Command::Run(arguments) = Cli::read(words)?.command else {
        bail!("`run` was understood as something else");
    };
    let settings = run::settings(&arguments)
        .with_context(|| path.display().to_string())
        .map_err(|error| misconfigured(&error))?;
    writeln!(
        stdout(),
        "{} is fine: FTP would be helped on {}",
        path.display(),
        settings.present
    )
    .context("can not write to standard output")
}
