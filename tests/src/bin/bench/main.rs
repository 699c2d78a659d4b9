//! Measures what ftp-helper costs; `cargo xtask bench` runs it.

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use ftp_helper_tests::cost;
use nix::unistd::geteuid;

/// Measure what ftp-helper costs.
#[derive(Debug, Parser)]
struct Options {
    /// Write JSON instead of a table
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    ensure!(
        geteuid().is_root(),
        "loading programs needs root: run as root"
    );
    let costs = cost::measure();
    if options.json {
        let rows: Vec<_> = costs
            .iter()
            .map(|cost| serde_json::json!({"what": cost.what, "nanoseconds": cost.nanoseconds}))
            .collect();
        let text = serde_json::to_string_pretty(&rows).context("no JSON")?;
        println!("{text}");
        return Ok(());
    }
    for cost in &costs {
        println!("{:>8.0} ns  {}", cost.nanoseconds, cost.what);
    }
    Ok(())
}
