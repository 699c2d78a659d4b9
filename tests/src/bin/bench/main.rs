//! Measures what ftp-helper costs; `cargo xtask bench` runs it.

mod options;

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

use self::options::Options;

/// Measure what ftp-helper costs, next to others that could do its work
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    options: Options,
    /// Only show that everything runs
    #[arg(long, hide = true)]
    tiny: bool,
    /// Make the document from this file instead of measuring
    #[arg(long, value_name = "FILE", hide = true)]
    from: Option<PathBuf>,
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
    let arguments = Arguments::parse();
    if let Some(task) = arguments.task {
        task.run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = &arguments.options;
    let documents = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let before = before(options.before.as_deref(), &documents)?;
    let report = match &arguments.from {
        Some(path) => output::read(path)?,
        None => measured(options, arguments.tiny)?,
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

fn measured(options: &Options, is_tiny: bool) -> Result<Report> {
    ensure!(
        geteuid().is_root(),
        "loading programs needs root: run as root"
    );
    let amount = match (options.quick, is_tiny) {
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
