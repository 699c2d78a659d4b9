//! Makes sessions of all kinds for a long time; `cargo xtask soak` runs it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use ftp_helper_tests::soak::{
    amount::Amount,
    document::{PART, figures},
    report::Report,
    soak,
    traffic::task::Task,
};
use nix::unistd::geteuid;

/// Make sessions of all kinds through gateways of a private lab, for a long time
///
/// Exit code 0: no session failed, and nothing is left of them; 1: something is not as
/// it has to be.
#[derive(Debug, Parser)]
#[command(name = "soak", version)]
struct Options {
    #[command(subcommand)]
    task: Option<Task>,
    /// Half a minute instead of an hour
    #[arg(long)]
    quick: bool,
    /// So many minutes
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: Option<u64>,
    /// So many sessions
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(200..))]
    sessions: Option<u64>,
    /// What is drawn follows from this number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Write what was measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the figures into docs/security.md
    #[arg(long)]
    write: bool,
    /// Take them from this file instead of measuring
    #[arg(long, value_name = "FILE", hide = true)]
    from: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when everything is as it has to be.
fn run(options: &Options) -> Result<bool> {
    if let Some(task) = &options.task {
        task.run()?;
        return Ok(true);
    }
    let report = match &options.from {
        Some(path) => read(path)?,
        None => measured(options)?,
    };
    let text = figures(&report);
    print!("{text}");
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&report).context("no JSON")?;
        fs::write(path, json + "\n").with_context(|| format!("{} not written", path.display()))?;
    }
    let faults = report.faults();
    for fault in &faults {
        eprintln!("soak: {fault}");
    }
    if options.write {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
        let document = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let document = PART.replace(&document, &text)?;
        fs::write(&path, document).with_context(|| format!("{} not written", path.display()))?;
    }
    Ok(faults.is_empty())
}

fn measured(options: &Options) -> Result<Report> {
    ensure!(
        geteuid().is_root(),
        "the lab makes network namespaces: run it as root, for example with sudo"
    );
    let mut amount = if options.quick {
        Amount::QUICK
    } else {
        Amount::FULL
    };
    if let Some(minutes) = options.minutes {
        amount.time = Duration::from_secs(minutes * 60);
    }
    if let Some(sessions) = options.sessions {
        amount.sessions = sessions;
    }
    soak(&amount, options.seed)
}

fn read(path: &Path) -> Result<Report> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))
}
