//! `cargo xtask bench`: what ftp-helper costs.

use anyhow::Result;

use crate::{process, setup, workspace};

/// Measure what ftp-helper costs, on this machine and as root.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Write JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::everything()?;
    let mut cargo = workspace::cargo();
    cargo.args(["run", "--release", "--package", "ftp-helper-tests"]);
    cargo.args(["--bin", "bench", "--"]);
    cargo.args(options.json.then_some("--json"));
    process::run(&mut cargo)
}
