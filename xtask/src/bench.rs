//! `cargo xtask bench`: what ftp-helper costs.

#[path = "../../tests/src/bin/bench/options.rs"]
mod options;

use anyhow::Result;

pub(crate) use self::options::Options;
use crate::{
    evidence, process,
    setup::{self, debian},
};

/// The others that could do ftp-helper's work, and what loads a gateway.
const PACKAGES: [&str; 4] = ["conntrackd", "iperf3", "nfct", "openvswitch-switch"];

/// Those of them that would start with the system.
const SERVICES: [&str; 2] = ["conntrackd", "openvswitch-switch"];

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
    if !debian::is_present() {
        return;
    }
    for package in PACKAGES {
        if let Err(error) = provide(package) {
            println!("  not compared with {package}: {error:#}");
        }
    }
}

fn provide(package: &str) -> Result<()> {
    let is_new = debian::install("a peer to compare with", &[package.to_owned()])?;
    if is_new && SERVICES.contains(&package) {
        debian::disable(package)?;
    }
    Ok(())
}
