//! `cargo xtask attack`: what must not get through, tried.

#[path = "../../tests/src/bin/attack/options.rs"]
mod options;

use anyhow::Result;

pub(crate) use self::options::Options;
use crate::{evidence, process, setup};

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::everything()?;
    let mut attack = evidence::program("attack", false)?;
    evidence::switches(
        &mut attack,
        &[
            ("--list", options.list),
            ("--ours", options.ours),
            ("--write", options.write),
        ],
    );
    process::run(attack.args(&options.names))
}
