//! Compares ftp-helper with the kernel's own FTP helper.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use ftp_helper_tests::{
    comparison::{WORKS, document, rows, run},
    setup::Helper,
};
use nix::unistd::geteuid;

/// Compare ftp-helper with the kernel's own FTP helper
///
/// Runs every dialogue with both and prints a table. Exit code 0: all of them
/// work with ftp-helper; 1: one does not.
#[derive(Debug, Parser)]
#[command(name = "comparison", version)]
struct Arguments {
    /// Write docs/comparison.md instead of printing it
    #[arg(long)]
    write: bool,
}

fn main() -> ExitCode {
    match compare(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("comparison: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when everything works with ftp-helper.
fn compare(arguments: &Arguments) -> Result<bool> {
    ensure!(
        geteuid().is_root(),
        "the lab makes network namespaces: run it as root, for example with sudo"
    );
    let ours = run(Helper::Nobody);
    let kernels = run(Helper::Kernel);
    let count = rows().len();
    ensure!(
        ours.len() == count && kernels.len() == count,
        "a lab broke down: {} and {} outcomes of {count}",
        ours.len(),
        kernels.len()
    );
    let text = document(&ours, &kernels, &release()?);
    if arguments.write {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/comparison.md");
        fs::write(&path, text).with_context(|| format!("{} not written", path.display()))?;
    } else {
        print!("{text}");
    }
    Ok(ours.iter().all(|outcome| outcome == WORKS))
}

/// The kernel's version: `6.18`.
fn release() -> Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's version")?;
    Ok(text
        .split('.')
        .take(2)
        .map(|part| part.trim_end_matches(|letter: char| !letter.is_ascii_digit()))
        .collect::<Vec<_>>()
        .join("."))
}
