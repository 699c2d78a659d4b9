//! `cargo xtask attack`: what must not get through, tried.

#[path = "../../tests/src/bin/attack/options.rs"]
mod options;

use anyhow::Result;

pub(crate) use self::options::Options;
use crate::{process, setup, workspace};

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
