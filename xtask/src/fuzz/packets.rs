//! The fuzzer for the loaded programs, a binary of the tests.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{PACKETS, Places, table::Row};
use crate::{process, setup, workspace};

/// What it prints last.
#[derive(serde::Deserialize)]
struct Summary {
    runs: u64,
    packets: u64,
}

fn build() -> Result<std::process::Command> {
    setup::bpf_toolchain()?;
    process::step("Build the fuzzer of packets");
    let mut cargo = workspace::cargo();
    process::run(cargo.args(["build", "--package", "ftp-helper-tests", "--bin", "fuzz"]))?;
    process::as_root(workspace::artifact(false, "fuzz")?)
}

/// Searches for so long.
pub(super) fn run(time: Duration, seed: Option<u32>, places: &Places) -> Result<Row> {
    let artifacts = places.directory("artifacts", PACKETS)?;
    let mut command = build()?;
    command
        .args(["--json", "--seconds", &time.as_secs().to_string()])
        .arg("--artifacts")
        .arg(&artifacts)
        .args(seed.map(|seed| format!("--seed={seed}")));
    process::step(&format!("Target {PACKETS} for {} s", time.as_secs()));
    let started = Instant::now();
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("can not start the fuzzer of packets")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let summary: Option<Summary> = text
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok());
    for line in text.lines().filter(|line| !line.starts_with('{')) {
        println!("{line}");
    }
    let findings = text.lines().filter_map(|line| {
        let (_, path) = line.strip_prefix("seed ")?.split_once(": ")?;
        let path = Path::new(path);
        path.is_file().then(|| path.to_owned())
    });
    Ok(Row {
        target: PACKETS.to_owned(),
        took: started.elapsed(),
        runs: summary.as_ref().map_or(0, |summary| summary.runs),
        reached: summary.as_ref().map_or_else(
            || "-".to_owned(),
            |summary| format!("{} packets", summary.packets),
        ),
        findings: findings.collect(),
        failed: !output.status.success() || summary.is_none(),
    })
}

/// Tries one case again.
pub(super) fn replay(file: &Path) -> Result<()> {
    process::run(build()?.arg("--replay").arg(file))
}
