//! `cargo xtask soak`: sessions of all kinds for a long time.

#[path = "../../tests/src/bin/soak/options.rs"]
mod options;

use anyhow::Result;

pub(crate) use self::options::Options;
use crate::{evidence, process, setup};

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
            ("--seed", Some(options.seed)),
        ],
    );
    evidence::file(&mut soak, "--json", options.json.as_deref())?;
    process::run(&mut soak)
}
