//! What looks at the dependencies of the workspace; only `cargo xtask test` needs it.

use anyhow::{Context as _, Result};

use super::host_has;
use crate::{process, workspace};

const CARGO_DENY: &str = "cargo-deny";

/// Of another one the file `deny.toml` may mean something else.
const VERSION: &str = "0.20";

/// Provides it. Which version it is does not matter when it is there.
pub(crate) fn cargo_deny() -> Result<()> {
    if host_has("deny") {
        return Ok(());
    }
    process::step(&format!("Build {CARGO_DENY}; this takes some minutes"));
    let mut cargo = workspace::cargo();
    cargo
        .args(["install", CARGO_DENY, "--version", &format!("^{VERSION}")])
        // A check takes a second either way.
        .args(["--locked", "--debug"]);
    process::run(&mut cargo).with_context(|| format!("{CARGO_DENY} could not be built"))
}
