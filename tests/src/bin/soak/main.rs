//! Makes sessions of all kinds for a long time; `cargo xtask soak` runs it.

mod options;

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

use self::options::Options;

/// Make sessions of all kinds through gateways of a private lab, for a long time
///
/// Exit code 0: no session failed, and nothing is left of them; 1: something is not as
/// it has to be.
#[derive(Debug, Parser)]
#[command(name = "soak", version)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    options: Options,
    /// Take them from this file instead of measuring
    #[arg(long, value_name = "FILE", hide = true)]
    from: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when everything is as it has to be.
fn run(arguments: &Arguments) -> Result<bool> {
    if let Some(task) = &arguments.task {
        task.run()?;
        return Ok(true);
    }
    let options = &arguments.options;
    let report = match &arguments.from {
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
        PART.write(&text)?;
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
