//! `cargo xtask soak`: sessions of all kinds for a long time.

use std::path::PathBuf;

use anyhow::Result;

use crate::{evidence, process, setup};

/// Make sessions of all kinds for an hour, in private networks: active and passive, IPv4
/// and IPv6, encrypted, over wires that lose and reorder, with real servers. Fails when
/// a session fails, when anything is left of them, or when the agent's memory grows.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Take half a minute, for a look
    #[arg(long)]
    quick: bool,

    /// So many minutes [default: 60]
    #[arg(long, value_name = "NUMBER")]
    minutes: Option<u64>,

    /// So many sessions [default: 100000]
    #[arg(long, value_name = "NUMBER")]
    sessions: Option<u64>,

    /// What is drawn follows from this number [default: 1]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Write what was measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the figures into docs/security.md
    #[arg(long)]
    write: bool,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::everything()?;
    let mut soak = evidence::program("soak", false)?;
    let switches = [("--quick", options.quick), ("--write", options.write)];
    evidence::switches(&mut soak, &switches);
    evidence::numbers(
        &mut soak,
        &[
            ("--minutes", options.minutes),
            ("--sessions", options.sessions),
            ("--seed", options.seed),
        ],
    );
    evidence::file(&mut soak, "--json", options.json.as_deref())?;
    process::run(&mut soak)
}
