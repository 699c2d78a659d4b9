//! What `cargo xtask fuzz` builds its targets with; nothing else needs it.

use anyhow::{Context as _, Result};

use super::debian;
use crate::{process, workspace};

const CARGO_FUZZ: &str = "cargo-fuzz";

/// Provides all of it. libFuzzer itself is C++, and comes with its source.
pub(crate) fn fuzzing_tools() -> Result<()> {
    if process::find("c++").is_none() && debian::is_present() {
        debian::install("a C++ compiler for libFuzzer", &["g++".to_owned()])?;
    }
    if process::succeeds(workspace::cargo().args(["fuzz", "--version"])) {
        return Ok(());
    }
    process::step(&format!("Build {CARGO_FUZZ}; this takes some minutes"));
    let mut cargo = workspace::cargo();
    cargo.args(["install", CARGO_FUZZ, "--version", "^0.13", "--locked"]);
    process::run(&mut cargo).with_context(|| format!("{CARGO_FUZZ} could not be built"))
}
