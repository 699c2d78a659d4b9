//! `cargo xtask soak`: sessions of all kinds for a long time.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{process, setup, workspace};

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
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--package", "ftp-helper"]);
    cargo.args(["--package", "ftp-helper-tests"]);
    cargo.args(["--bin", "ftp-helper", "--bin", "soak"]);
    process::run(&mut cargo)?;

    let mut soak = process::as_root(workspace::artifact(false, "soak")?)?;
    soak.env("FTP_HELPER_BIN", workspace::artifact(false, "ftp-helper")?);
    soak.args(options.quick.then_some("--quick"));
    soak.args(options.write.then_some("--write"));
    for (flag, number) in [
        ("--minutes", options.minutes),
        ("--sessions", options.sessions),
        ("--seed", options.seed),
    ] {
        if let Some(number) = number {
            soak.args([flag, &number.to_string()]);
        }
    }
    if let Some(path) = &options.json {
        let path =
            std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
        soak.arg("--json").arg(path);
    }
    process::run(soak.current_dir(workspace::root()))
}
