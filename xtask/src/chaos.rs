//! `cargo xtask chaos`: what goes wrong on a gateway, done on purpose.

use std::path::PathBuf;

use anyhow::Result;

use crate::{evidence, process, setup};

/// Make things go wrong while transfers are under way, with ftp-helper and with the
/// kernel's own helper, in private networks: the agent is killed, tables are full,
/// interfaces go down. Fails when a transfer is lost that the kernel's helper keeps, or
/// one that nothing was counted for.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(crate) struct Options {
    /// Only this fault; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// Name the faults, and make none
    #[arg(long)]
    list: bool,

    /// Take about two minutes instead of a quarter of an hour
    #[arg(long)]
    quick: bool,

    /// What is drawn follows from this number [default: another one each time, which is
    /// said]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// So many sessions while the agent is killed, in proportion for other faults
    /// [default: 1000, with --quick 100]
    #[arg(long, value_name = "NUMBER")]
    sessions: Option<u64>,

    /// Leave the kernel's helper out
    #[arg(long)]
    ours: bool,

    /// Write what was found to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write the table into docs/security.md
    #[arg(long, conflicts_with_all = ["only", "ours"])]
    write: bool,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::everything()?;
    let mut chaos = evidence::program("chaos", false)?;
    evidence::switches(
        &mut chaos,
        &[
            ("--list", options.list),
            ("--quick", options.quick),
            ("--ours", options.ours),
            ("--write", options.write),
        ],
    );
    for name in &options.only {
        chaos.args(["--only", name]);
    }
    let numbers = [("--seed", options.seed), ("--sessions", options.sessions)];
    evidence::numbers(&mut chaos, &numbers);
    evidence::file(&mut chaos, "--json", options.json.as_deref())?;
    process::run(&mut chaos)
}
