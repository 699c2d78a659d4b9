//! What became of the fuzzers.

use std::{path::PathBuf, time::Duration};

use comfy_table::{Table, presets::ASCII_MARKDOWN};

/// What became of one.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Its name.
    pub(super) target: String,
    /// How long it ran.
    pub(super) took: Duration,
    /// Inputs or cases that were tried.
    pub(super) runs: u64,
    /// What shows how far it came: code that was executed, or packets that were sent.
    pub(super) reached: String,
    /// Files with what was found.
    pub(super) findings: Vec<PathBuf>,
    /// It ended as one does that found something.
    pub(super) failed: bool,
}

impl Row {
    pub(super) fn has_failed(&self) -> bool {
        self.failed || !self.findings.is_empty()
    }
}

/// A table of all of them.
pub(super) fn render(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["target", "time", "runs", "reached", "findings"]);
    for row in rows {
        let findings = match (row.findings.len(), row.failed) {
            (0, true) => "failed".to_owned(),
            (count, _) => count.to_string(),
        };
        table.add_row([
            row.target.clone(),
            format!("{} s", row.took.as_secs()),
            row.runs.to_string(),
            row.reached.clone(),
            findings,
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fuzzer_that_ends_badly_has_failed() {
        let mut row = Row {
            target: "reply".to_owned(),
            runs: 12,
            ..Row::default()
        };
        assert!(!row.has_failed());
        assert!(render(std::slice::from_ref(&row)).contains("12"));
        row.failed = true;
        assert!(row.has_failed());
        assert!(render(&[row]).contains("failed"));
    }
}
