//! The result of all kernels in one table.

use std::{collections::BTreeSet, time::Duration};

use comfy_table::{Cell, CellAlignment, Table, presets::ASCII_MARKDOWN};

use super::{
    accelerator::Accelerator,
    kernel::Series,
    record::{Facts, Finished},
};

/// What became of one kernel.
pub(super) struct Tried {
    pub(super) series: Series,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    /// It could not be tried, for this reason.
    Skipped(String),
    /// It was booted.
    Run(Run),
}

/// What a booted kernel told.
#[derive(Debug)]
pub(super) struct Run {
    /// What `uname -r` says.
    pub(super) release: String,
    pub(super) accelerator: Accelerator,
    pub(super) facts: Option<Facts>,
    pub(super) finished: Vec<Finished>,
    /// Why it did not come to its end.
    pub(super) trouble: Option<String>,
    /// Warnings of the kernel.
    pub(super) warnings: Vec<String>,
    pub(super) took: Duration,
}

impl Run {
    /// Everything that went wrong, a line each.
    pub(super) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if let Some(error) = self.facts.as_ref().and_then(|facts| facts.error.as_ref()) {
            failures.push(format!("the agent does not start: {error}"));
        }
        for finished in &self.finished {
            let name = &finished.name;
            failures.extend(finished.failed.iter().map(|test| format!("{name}: {test}")));
            failures.extend(finished.trouble.iter().map(|why| format!("{name}: {why}")));
        }
        failures.extend(self.trouble.clone());
        failures.extend(self.warnings.iter().map(|line| format!("kernel: {line}")));
        failures
    }
}

/// A row for each fact and each test binary, a column for each kernel.
pub(super) fn table(tried: &[Tried]) -> String {
    let mut rows: Vec<(String, Vec<String>)> = vec![
        ("release".into(), each(tried, |run| run.release.clone())),
        (
            "machine".into(),
            each(tried, |run| run.accelerator.to_string()),
        ),
        (
            "attached with".into(),
            facts(tried, |facts| facts.technique.clone()),
        ),
        (
            "kfuncs from".into(),
            facts(tried, |facts| facts.kfuncs.clone()),
        ),
    ];
    for direction in ["ingress", "egress"] {
        rows.push((
            format!("verified, {direction}"),
            facts(tried, |facts| instructions(facts, direction)),
        ));
    }
    rows.push((
        "agent ready".into(),
        facts(tried, |facts| {
            facts
                .error
                .is_none()
                .then(|| format!("{:.1} s", facts.seconds))
        }),
    ));
    for name in binaries(tried) {
        rows.push((
            name.to_owned(),
            each(tried, |run| {
                let found = run.finished.iter().find(|finished| finished.name == name);
                found.map_or_else(|| "not run".to_owned(), cell)
            }),
        ));
    }
    rows.push((
        "all".into(),
        each(tried, |run| {
            let passed: u32 = run.finished.iter().map(|it| it.passed).sum();
            let failed: usize = run.finished.iter().map(|it| it.failed.len()).sum();
            format!(
                "{}, {:.0} s",
                outcome(passed, failed, 0),
                run.took.as_secs_f32()
            )
        }),
    ));

    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let mut header = vec![Cell::new("kernel")];
    header.extend(tried.iter().map(|it| Cell::new(&it.series)));
    table.set_header(header);
    for (name, cells) in rows {
        let mut row = vec![Cell::new(name)];
        row.extend(
            cells
                .into_iter()
                .map(|text| Cell::new(text).set_alignment(CellAlignment::Right)),
        );
        table.add_row(row);
    }
    table.trim_fmt()
}

/// The names of all test binaries that any kernel has seen.
fn binaries(tried: &[Tried]) -> Vec<&str> {
    let mut names = BTreeSet::new();
    for it in tried {
        if let Outcome::Run(run) = &it.outcome {
            for finished in &run.finished {
                names.insert(finished.name.as_str());
            }
        }
    }
    names.into_iter().collect()
}

fn each(tried: &[Tried], tell: impl Fn(&Run) -> String) -> Vec<String> {
    tried
        .iter()
        .map(|it| match &it.outcome {
            Outcome::Skipped(_) => "skipped".to_owned(),
            Outcome::Run(run) => tell(run),
        })
        .collect()
}

fn facts(tried: &[Tried], tell: impl Fn(&Facts) -> Option<String>) -> Vec<String> {
    each(tried, |run| {
        run.facts
            .as_ref()
            .and_then(&tell)
            .unwrap_or_else(|| "?".to_owned())
    })
}

fn instructions(facts: &Facts, direction: &str) -> Option<String> {
    facts
        .instructions
        .iter()
        .find(|(found, _)| found == direction)
        .map(|(_, number)| number.to_string())
}

fn cell(finished: &Finished) -> String {
    let mut text = outcome(finished.passed, finished.failed.len(), finished.ignored);
    if finished.trouble.is_some() {
        text = format!("BROKEN, {text}");
    }
    format!("{text}, {:.0} s", finished.seconds)
}

fn outcome(passed: u32, failed: usize, ignored: u32) -> String {
    let mut text = format!("{passed} passed");
    if failed > 0 {
        text = format!("{failed} FAILED, {text}");
    }
    if ignored > 0 {
        text = format!("{text}, {ignored} ignored");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            release: "6.1.0-56-amd64".to_owned(),
            accelerator: Accelerator::Tcg,
            facts: Some(Facts {
                technique: Some("clsact".to_owned()),
                kfuncs: Some("nf_conntrack, nf_nat".to_owned()),
                instructions: vec![("ingress".to_owned(), 1234), ("egress".to_owned(), 5678)],
                seconds: 2.04,
                error: None,
            }),
            finished: vec![
                Finished {
                    name: "active".to_owned(),
                    passed: 4,
                    seconds: 31.4,
                    ..Finished::default()
                },
                Finished {
                    name: "loss".to_owned(),
                    passed: 1,
                    failed: vec!["lost".to_owned()],
                    seconds: 2.0,
                    ..Finished::default()
                },
            ],
            trouble: None,
            warnings: vec![],
            took: Duration::from_secs(60),
        }
    }

    fn tried(series: &str, outcome: Outcome) -> Tried {
        Tried {
            series: series.parse().unwrap(),
            outcome,
        }
    }

    #[test]
    fn the_table_shows_every_kernel() {
        let skipped = Outcome::Skipped("no package".to_owned());
        let table = table(&[tried("6.1", Outcome::Run(run())), tried("6.12", skipped)]);
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let lines: Vec<_> = table.lines().map(squeezed).collect();
        for expected in [
            "| kernel | 6.1 | 6.12 |",
            "| attached with | clsact | skipped |",
            "| kfuncs from | nf_conntrack, nf_nat | skipped |",
            "| verified, egress | 5678 | skipped |",
            "| active | 4 passed, 31 s | skipped |",
            "| loss | 1 FAILED, 1 passed, 2 s | skipped |",
            "| all | 1 FAILED, 5 passed, 60 s | skipped |",
        ] {
            assert!(
                lines.iter().any(|line| line == expected),
                "{expected}\n{table}"
            );
        }
    }

    #[test]
    fn every_kind_of_failure_counts() {
        let mut run = run();
        assert_eq!(run.failures(), ["loss: lost"]);
        run.finished[0].trouble = Some("ended after 9 seconds".to_owned());
        run.trouble = Some("the machine ended".to_owned());
        run.warnings = vec!["WARNING: CPU: 0".to_owned()];
        run.facts.as_mut().unwrap().error = Some("no kfunc".to_owned());
        let expected = [
            "the agent does not start: no kfunc",
            "active: ended after 9 seconds",
            "loss: lost",
            "the machine ended",
            "kernel: WARNING: CPU: 0",
        ];
        assert_eq!(run.failures(), expected);
    }
}
