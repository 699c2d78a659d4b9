//! The stages of a test run and what became of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::process;

/// How a stage ended that did not fail.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It was run.
    Passed,
    /// It was left out, for this reason.
    Skipped(String),
}

impl Outcome {
    pub(super) fn skipped(why: &str) -> Self {
        Self::Skipped(why.to_owned())
    }
}

/// What was run so far.
#[derive(Debug)]
pub(super) struct Stages(Vec<Stage>);

#[derive(Debug)]
struct Stage {
    name: &'static str,
    took: Duration,
    /// `None` for the one that failed.
    outcome: Option<Outcome>,
}

impl Stages {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Runs a stage; its error names it.
    pub(super) fn run(
        &mut self,
        name: &'static str,
        stage: impl FnOnce() -> Result<Outcome>,
    ) -> Result<()> {
        process::step(&format!("Stage: {name}"));
        let started = Instant::now();
        let (outcome, result) = match stage() {
            Ok(outcome) => {
                if let Outcome::Skipped(why) = &outcome {
                    println!("  skipped: {why}");
                }
                (Some(outcome), Ok(()))
            }
            Err(error) => (None, Err(error)),
        };
        self.0.push(Stage {
            name,
            took: started.elapsed(),
            outcome,
        });
        result.with_context(|| format!("stage `{name}` failed"))
    }

    pub(super) fn print_summary(&self) {
        println!("\nSummary");
        for line in self.summary() {
            println!("  {line}");
        }
    }

    fn summary(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|stage| {
            let told = match &stage.outcome {
                Some(Outcome::Passed) => "ok".to_owned(),
                Some(Outcome::Skipped(why)) => format!("skipped: {why}"),
                None => "FAILED".to_owned(),
            };
            format!(
                "{:<18}{:>7.1} s  {told}",
                stage.name,
                stage.took.as_secs_f32()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn the_summary_tells_every_outcome() {
        let mut stages = Stages::new();
        stages.run("first", || Ok(Outcome::Passed)).unwrap();
        stages
            .run("second", || Ok(Outcome::skipped("no reason")))
            .unwrap();
        let error = stages.run("third", || bail!("broken")).unwrap_err();
        assert_eq!(format!("{error:#}"), "stage `third` failed: broken");

        let summary: Vec<_> = stages.summary().collect();
        assert!(summary[0].starts_with("first ") && summary[0].ends_with("  ok"));
        assert!(summary[1].ends_with("skipped: no reason"));
        assert!(summary[2].ends_with("  FAILED"));
    }
}
