//! What `ftp-helper doctor` reports.

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{agent::Agent, host::Host, process::Output};
use serde_json::Value;

const KEYS: [&str; 5] = ["check", "status", "subject", "reason", "fix"];

/// The findings of one run, and how it ended.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    pub(crate) findings: Vec<Value>,
}

/// Runs `ftp-helper doctor` with these arguments.
pub(crate) fn doctor(agent: &Agent, arguments: &[&str]) -> Result<Report> {
    let arguments = [&["doctor", "-o", "json"], arguments].concat();
    Report::of(&agent.cli(&arguments)?)
}

/// Runs some checks on wan0.
pub(crate) fn checks(agent: &Agent, names: &str) -> Result<Report> {
    doctor(agent, &["-i", "wan0", "--checks", names])
}

impl Report {
    /// Understands the output, and sees that it is as documented: each finding
    /// has all keys, a reason, a fix where something is to be done, and the exit
    /// code goes with the worst of them.
    pub(crate) fn of(output: &Output) -> Result<Self> {
        let mut envelope: Value =
            serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
        ensure!(
            envelope["schema_version"] == 1 && envelope["kind"] == "findings",
            "{output:?}"
        );
        let findings: Vec<Value> = serde_json::from_value(envelope["items"].take())?;
        for finding in &findings {
            let object = finding.as_object().context("a finding is no object")?;
            let keys: Vec<&str> = object.keys().map(String::as_str).collect();
            ensure!(
                keys.len() == KEYS.len() && KEYS.iter().all(|key| keys.contains(key)),
                "{finding:#}"
            );
            for key in ["check", "subject", "reason"] {
                let text = finding[key].as_str().unwrap_or_default();
                ensure!(
                    !text.is_empty() && !text.contains('\n'),
                    "{key}: {finding:#}"
                );
            }
            let has_fix = finding["fix"].as_str().is_some_and(|fix| !fix.is_empty());
            match finding["status"].as_str() {
                Some("WARN" | "FAIL") => ensure!(has_fix, "no fix: {finding:#}"),
                Some("OK" | "SKIP") => ensure!(finding["fix"].is_null(), "{finding:#}"),
                _ => anyhow::bail!("no such status: {finding:#}"),
            }
        }
        let failed = findings.iter().any(|finding| finding["status"] == "FAIL");
        ensure!(
            output.status.code() == Some(i32::from(failed)),
            "{output:?}"
        );
        ensure!(failed != output.stderr.is_empty(), "{output:?}");
        Ok(Self {
            code: output.status.code(),
            findings,
        })
    }

    /// The only finding with this status, which has `text` in its subject or its
    /// reason.
    pub(crate) fn the(&self, status: &str, text: &str) -> Result<&Value> {
        let of_status: Vec<&Value> = self
            .findings
            .iter()
            .filter(|finding| finding["status"] == status)
            .collect();
        ensure!(of_status.len() == 1, "not one {status}: {self:#?}");
        let found = of_status[0];
        let said = format!("{} {}", found["subject"], found["reason"]);
        ensure!(said.contains(text), "no `{text}` in {found:#}");
        Ok(found)
    }

    /// Fails unless everything is OK.
    pub(crate) fn all_ok(&self) -> Result<()> {
        let is_ok = |finding: &Value| finding["status"] == "OK";
        ensure!(
            !self.findings.is_empty() && self.findings.iter().all(is_ok),
            "not all is OK: {self:#?}"
        );
        Ok(())
    }
}

/// Does what the finding says: the command at the start of its fix.
pub(crate) fn follow(host: &Host, finding: &Value) -> Result<()> {
    let fix = finding["fix"].as_str().context("there is no fix")?;
    let command = match fix.strip_prefix('`') {
        Some(quoted) => quoted.split('`').next().unwrap_or_default(),
        None => fix.split([',', '(']).next().unwrap_or_default(),
    };
    // A list of states has a comma in it.
    let command = if fix.contains("established,related accept") || fix.contains("--ctstate") {
        fix
    } else {
        command
    };
    host.must(command)?;
    Ok(())
}
