//! Measures what ftp-helper costs; `cargo xtask bench` runs it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, ensure};
use clap::Parser;
use ftp_helper_tests::cost::{
    self,
    amount::Amount,
    document,
    goals::gate,
    output::{self, BEFORE},
    report::Report,
    task::Task,
};
use nix::unistd::geteuid;

/// Measure what ftp-helper costs, next to others that could do its work
#[derive(Debug, Parser)]
#[command(name = "bench")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
struct Options {
    #[command(subcommand)]
    task: Option<Task>,
    /// Take about two minutes instead of a quarter of an hour
    #[arg(long)]
    quick: bool,
    /// Only show that everything runs
    #[arg(long, hide = true)]
    tiny: bool,
    /// Measure only this; may be given several times
    #[arg(long, value_name = "NAME", value_parser = names())]
    only: Vec<String>,
    /// Write what was measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write docs/benchmarks.md, its plots and docs/benchmarks/latest.json
    #[arg(long)]
    write: bool,
    /// Make the document from this file instead of measuring
    #[arg(long, value_name = "FILE", hide = true)]
    from: Option<PathBuf>,
    /// What was measured earlier, for the document's section on before and after
    /// [default: docs/benchmarks/before.json, if it is there]
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// Fail when the programs are too large for the verifier, or ftp-helper is worse
    /// than it may be next to what was measured beside it
    #[arg(long)]
    check: bool,
}

fn names() -> Vec<&'static str> {
    cost::QUESTIONS.iter().map(|(name, _)| *name).collect()
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let options = Options::parse();
    if let Some(task) = options.task {
        task.run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let before = before(options.before.as_deref(), &documents)?;
    let report = match &options.from {
        Some(path) => output::read(path)?,
        None => measured(&options)?,
    };
    println!("{}", document::summary(&report));
    if let Some(path) = &options.json {
        output::write(path, &report)?;
    }
    if options.write {
        output::write_all(&documents, &report, before.as_ref())?;
    }
    if options.check {
        let faults = gate(&report);
        for fault in &faults {
            eprintln!("bench: {fault}");
        }
        if !faults.is_empty() {
            return Ok(ExitCode::FAILURE);
        }
        println!("All ratios are as they have to be");
    }
    Ok(ExitCode::SUCCESS)
}

fn measured(options: &Options) -> Result<Report> {
    ensure!(
        geteuid().is_root(),
        "loading programs needs root: run as root"
    );
    let amount = match (options.quick, options.tiny) {
        (_, true) => Amount::TINY,
        (true, _) => Amount::QUICK,
        _ => Amount::FULL,
    };
    cost::measure(&amount, &options.only)
}

fn before(named: Option<&Path>, documents: &Path) -> Result<Option<Report>> {
    let default = documents.join(BEFORE);
    match named {
        Some(path) => output::read(path).map(Some),
        None if default.is_file() => output::read(&default).map(Some),
        None => Ok(None),
    }
}
