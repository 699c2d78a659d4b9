//! `cargo xtask bench`: what ftp-helper costs.

use std::path::PathBuf;

use anyhow::Result;

use crate::{evidence, process, setup};

/// The others that could do ftp-helper's work, and what loads a gateway.
const PACKAGES: [&str; 4] = ["conntrackd", "iperf3", "nfct", "openvswitch-switch"];

/// Measure what ftp-helper costs, next to others that could do its work, on this
/// machine and as root.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Take about two minutes instead of a quarter of an hour
    #[arg(long)]
    quick: bool,

    /// Measure only this; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,

    /// Write what was measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write docs/benchmarks.md, its plots and docs/benchmarks/latest.json
    #[arg(long)]
    write: bool,

    /// What was measured earlier, for the document's section on before and after
    /// [default: docs/benchmarks/before.json, if it is there]
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,

    /// Fail when the programs are too large for the verifier, or ftp-helper is worse
    /// than it may be next to what was measured beside it
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::everything()?;
    provide_peers();
    // Both as they are delivered: with debug builds it is the builds that are compared.
    let mut bench = evidence::program("bench", true)?;
    evidence::switches(
        &mut bench,
        &[
            ("--quick", options.quick),
            ("--write", options.write),
            ("--check", options.check),
        ],
    );
    for name in &options.only {
        bench.args(["--only", name]);
    }
    evidence::file(&mut bench, "--json", options.json.as_deref())?;
    evidence::file(&mut bench, "--before", options.before.as_deref())?;
    process::run(&mut bench)
}

/// Installs what is compared with, where that is possible: what is missing is not
/// measured.
fn provide_peers() {
    if !setup::debian::is_present() {
        return;
    }
    for package in PACKAGES {
        if let Err(error) = setup::debian::install("a peer to compare with", &[package.to_owned()])
        {
            println!("  not compared with {package}: {error:#}");
        }
    }
}
