//! `cargo xtask chaos`: what goes wrong on a gateway, done on purpose.

#[path = "../../tests/src/bin/chaos/options.rs"]
mod options;

use anyhow::Result;

pub(crate) use self::options::Options;
use crate::{evidence, process, setup};

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
