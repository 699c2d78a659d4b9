//! What was typed and what was answered, without what differs from run to run:
//! times, numbers of processes and programs, ports that the kernel chose, how it
//! attaches programs.

use std::{fmt::Write as _, sync::LazyLock};

use anyhow::Result;
use regex::Regex;

use crate::{agent::Agent, process::Output};

/// A transcript of commands of the agent's.
#[derive(Debug, Default)]
pub struct Transcript {
    text: String,
    names: Vec<(String, String)>,
}

impl Transcript {
    /// Shows `text` as `name` from now on.
    pub fn call(&mut self, text: impl Into<String>, name: impl Into<String>) {
        self.names.push((text.into(), name.into()));
    }

    /// Runs a command and notes what it said.
    pub fn run(&mut self, agent: &Agent, arguments: &[&str]) -> Result<Output> {
        let output = agent.cli(arguments)?;
        self.note(&arguments.join(" "), &output);
        Ok(output)
    }

    /// Notes what a command said: standard output, then standard error with a mark,
    /// then how it ended, if that was not well.
    pub fn note(&mut self, command: &str, output: &Output) {
        let mut text = format!("$ ftp-helper {command}\n{}", output.stdout);
        for line in output.stderr.lines() {
            // Writing to a `String` can not fail.
            let _ = writeln!(text, "! {line}");
        }
        if let Some(code) = output.status.code().filter(|code| *code != 0) {
            let _ = writeln!(text, "exit code {code}");
        }
        let mut text = redacted(&text);
        for (from, to) in &self.names {
            text = text.replace(from, to);
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&text);
    }

    /// All of it.
    pub fn finish(self) -> String {
        self.text
    }
}

/// What differs from run to run, and what is shown in its place.
static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        // Numbers that stand for time.
        (r"\b(\d+m)?\d+s\b", "TIME"),
        (r#"(_seconds"?: ?)[0-9.e-]+"#, "${1}TIME"),
        (r"(?m)^\d+ proto=6 ", "TIME proto=6 "),
        // Numbers that the kernel gives.
        (r#"(process"?:? )\d+"#, "${1}NUMBER"),
        (r#"("(program|index|process)":) ?\d+"#, "${1} NUMBER"),
        // What the kernel can do.
        (r"\b(tcx|clsact)( +(yes|no) +)\d+", "TECHNIQUE${2}NUMBER"),
        (r#"("technique": )"(tcx|clsact)""#, "${1}TECHNIQUE"),
        (r"(program )\d+", "${1}NUMBER"),
        // Columns are as wide as what is in them.
        (r"(\S) {2,}", "${1}  "),
    ]
    .into_iter()
    .filter_map(|(pattern, shown)| Some((Regex::new(pattern).ok()?, shown)))
    .collect()
});

/// A text without what differs from run to run.
pub fn redacted(text: &str) -> String {
    RULES.iter().fold(text.to_owned(), |text, (rule, shown)| {
        rule.replace_all(&text, *shown).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_understood() {
        assert_eq!(RULES.len(), 9);
    }

    #[test]
    fn what_differs_is_left_out_and_the_rest_stays() {
        for (text, shown) in [
            ("a  12s   1m40s", "a  TIME  TIME"),
            ("\"age_seconds\": 0.012,", "\"age_seconds\": TIME,"),
            ("age_seconds: 12", "age_seconds: TIME"),
            ("48 proto=6 src=10.0.0.2", "TIME proto=6 src=10.0.0.2"),
            ("running, process 17", "running, process NUMBER"),
            ("\"program\": 17", "\"program\": NUMBER"),
            (
                "wan0  tcx   yes   17    1 of 1",
                "wan0  TECHNIQUE  yes  NUMBER  1 of 1",
            ),
            ("\"technique\": \"clsact\",", "\"technique\": TECHNIQUE,"),
            ("before TCX program 17 `x`", "before TCX program NUMBER `x`"),
            ("\"helped\": 1", "\"helped\": 1"),
            ("203.0.113.1:40000", "203.0.113.1:40000"),
            ("    \"a\": 1", "    \"a\": 1"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }
}
