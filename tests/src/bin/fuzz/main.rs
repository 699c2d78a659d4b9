//! Fuzzes the loaded programs; `cargo xtask fuzz` runs it.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use clap::Parser;
use ftp_helper_tests::{
    fuzz::run::{Limits, replay, run},
    packets::bench::bench,
};
use nix::unistd::geteuid;

/// Fuzz the loaded programs.
#[derive(Debug, Parser)]
struct Options {
    /// Seed of the first case
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Go on for so many seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Try so many cases at most
    #[arg(long, default_value_t = u64::MAX)]
    runs: u64,
    /// Stop behind so many cases that fail
    #[arg(long, default_value_t = 3)]
    findings: usize,
    /// Write the cases that fail to this directory
    #[arg(long)]
    artifacts: Option<PathBuf>,
    /// Try the case in this file, and nothing else
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Write one line of JSON at the end
    #[arg(long)]
    json: bool,
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    ensure!(
        geteuid().is_root(),
        "loading programs needs root: run as root"
    );
    let mut code = ExitCode::SUCCESS;
    bench(|bench| {
        if let Some(file) = &options.replay {
            if let Err(error) = replay(bench, file) {
                println!("{error:#}");
                code = ExitCode::FAILURE;
            } else {
                println!("{}: nothing found", file.display());
            }
            return Ok(());
        }
        let limits = Limits {
            seed: options.seed,
            runs: options.runs,
            time: Duration::from_secs(options.seconds),
            findings: options.findings,
        };
        println!("seed {}", options.seed);
        let report = run(bench, limits, options.artifacts.as_deref())?;
        if !report.findings.is_empty() {
            code = ExitCode::FAILURE;
        }
        for finding in &report.findings {
            if let Some(file) = &finding.file {
                println!("seed {}: {}", finding.seed, file.display());
            }
        }
        if options.json {
            let row = serde_json::json!({
                "runs": report.runs,
                "packets": report.packets,
                "findings": report.findings.len(),
            });
            println!("{row}");
        } else {
            println!(
                "{} cases, {} packets, {} findings",
                report.runs,
                report.packets,
                report.findings.len()
            );
            for (word, count) in &report.counts {
                println!("{count:>10} {word}");
            }
        }
        Ok(())
    });
    Ok(code)
}
