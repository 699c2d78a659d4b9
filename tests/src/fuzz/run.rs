//! Case after case.

use std::{
    collections::BTreeMap,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{case::Case, generate, judge::Judge, shrink};
use crate::packets::bench::Bench;

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The first seed; the next case has the next one.
    pub seed: u64,
    /// So many cases at most.
    pub runs: u64,
    /// No new case behind this.
    pub time: Duration,
    /// So many cases may fail.
    pub findings: usize,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases that were tried.
    pub runs: u64,
    /// Packets that went through the programs.
    pub packets: u64,
    /// What the model counted in all of them, by the counter's word.
    pub counts: BTreeMap<&'static str, u64>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// A case that failed.
#[derive(Debug)]
pub struct Finding {
    /// The seed it is from.
    pub seed: u64,
    /// What does not hold.
    pub words: String,
    /// The smallest part of the case that still fails, as a file.
    pub file: Option<PathBuf>,
}

/// Tries cases; what fails is written to a file in `directory`.
pub fn run(bench: &mut Bench, limits: Limits, directory: Option<&Path>) -> Result<Report> {
    let started = Instant::now();
    let mut judge = Judge::new(bench)?;
    let mut report = Report::default();
    let last = limits.seed.saturating_add(limits.runs);
    for seed in limits.seed..last {
        if started.elapsed() >= limits.time {
            break;
        }
        report.runs += 1;
        // What fails here is a finding as well, of the host's half.
        let case = match guarded(|| generate::case(seed)) {
            Ok(case) => case,
            Err(error) => {
                report.findings.push(Finding {
                    seed,
                    words: format!("the model fails on its own: {error:#}"),
                    file: None,
                });
                continue;
            }
        };
        if let Err(error) = guarded(|| judge.judge(&case)) {
            let finding = finding(&mut judge, seed, &case, &error, directory)?;
            println!("{}", finding.words);
            report.findings.push(finding);
        }
        if report.findings.len() >= limits.findings {
            break;
        }
    }
    report.packets = judge.packets;
    report.counts = judge.counts;
    Ok(report)
}

/// Turns a panic into an error.
fn guarded<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        bail!("panicked: {}", words.unwrap_or("without words"))
    })
}

/// Tries a case from a file.
pub fn replay(bench: &mut Bench, file: &Path) -> Result<()> {
    let text =
        fs::read_to_string(file).with_context(|| format!("can not read {}", file.display()))?;
    let case: Case = text
        .parse()
        .with_context(|| format!("{} is no case", file.display()))?;
    Judge::new(bench)?.judge(&case)
}

fn finding(
    judge: &mut Judge<'_>,
    seed: u64,
    case: &Case,
    error: &anyhow::Error,
    directory: Option<&Path>,
) -> Result<Finding> {
    let small = shrink::smallest(case, |case| guarded(|| judge.judge(case)).is_err());
    let words = match guarded(|| judge.judge(&small)) {
        Err(error) => format!("seed {seed}, {} packets: {error:#}", small.steps.len()),
        Ok(()) => format!("seed {seed}, not every time: {error:#}"),
    };
    let mut file = None;
    if let Some(directory) = directory {
        fs::create_dir_all(directory)
            .with_context(|| format!("can not create {}", directory.display()))?;
        let path = directory.join(format!("seed-{seed}.case"));
        let comment = words.replace('\n', "\n# ");
        fs::write(&path, format!("# {comment}\n{}", small.text()))
            .with_context(|| format!("can not write {}", path.display()))?;
        file = Some(path);
    }
    Ok(Finding { seed, words, file })
}
