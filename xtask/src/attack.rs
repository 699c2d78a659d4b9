//! `cargo xtask attack`: what must not get through, tried.

use anyhow::Result;

use crate::{process, setup, workspace};

/// Attack ftp-helper, and the kernel's own helper beside it, in private networks. Fails
/// when something gets through ftp-helper.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these attacks
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Name the attacks, and make none
    #[arg(long)]
    list: bool,

    /// Leave the kernel's helper out
    #[arg(long)]
    ours: bool,

    /// Write the table into docs/security.md
    #[arg(long, conflicts_with_all = ["names", "ours"])]
    write: bool,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::everything()?;
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--package", "ftp-helper"]);
    cargo.args(["--package", "ftp-helper-tests"]);
    cargo.args(["--bin", "ftp-helper", "--bin", "attack"]);
    process::run(&mut cargo)?;

    let mut attack = process::as_root(workspace::artifact(false, "attack")?)?;
    attack.env("FTP_HELPER_BIN", workspace::artifact(false, "ftp-helper")?);
    attack.args(options.list.then_some("--list"));
    attack.args(options.ours.then_some("--ours"));
    attack.args(options.write.then_some("--write"));
    attack.args(&options.names);
    process::run(attack.current_dir(workspace::root()))
}
