//! `cargo xtask chaos`: what goes wrong on a gateway, done on purpose.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{process, setup, workspace};

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
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--package", "ftp-helper"]);
    cargo.args(["--package", "ftp-helper-tests"]);
    cargo.args(["--bin", "ftp-helper", "--bin", "chaos"]);
    process::run(&mut cargo)?;

    let mut chaos = process::as_root(workspace::artifact(false, "chaos")?)?;
    chaos.env("FTP_HELPER_BIN", workspace::artifact(false, "ftp-helper")?);
    for (flag, is_given) in [
        ("--list", options.list),
        ("--quick", options.quick),
        ("--ours", options.ours),
        ("--write", options.write),
    ] {
        chaos.args(is_given.then_some(flag));
    }
    for name in &options.only {
        chaos.args(["--only", name]);
    }
    for (flag, number) in [("--seed", options.seed), ("--sessions", options.sessions)] {
        if let Some(number) = number {
            chaos.args([flag, &number.to_string()]);
        }
    }
    if let Some(path) = &options.json {
        let path =
            std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
        chaos.arg("--json").arg(path);
    }
    process::run(chaos.current_dir(workspace::root()))
}
