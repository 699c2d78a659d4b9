//! What a check says.

use std::fmt;

use serde::Serialize;

use crate::output::{Row, Tone, or_dash};

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// As it should be.
    Ok,
    /// FTP may work, or will not always.
    Warn,
    /// FTP can not be helped like this.
    Fail,
    /// It could not be looked at.
    Skip,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        })
    }
}

/// One line of the report.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// Name of the check; the runner of the checks knows it.
    pub check: &'static str,
    /// How bad it is.
    pub status: Status,
    /// What was looked at: an interface, a rule, a setting.
    pub subject: String,
    /// What was seen, and what follows from it.
    pub reason: String,
    /// What to do about it, a command where there is one.
    pub fix: Option<String>,
    /// Somebody else works on the same control connections: what
    /// `--on-conflict` is about.
    #[serde(skip)]
    pub conflict: bool,
}

impl Finding {
    fn new(status: Status, subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            check: "",
            status,
            subject: subject.into(),
            reason: reason.into(),
            fix: None,
            conflict: false,
        }
    }

    /// All is well.
    pub fn ok(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Status::Ok, subject, reason)
    }

    /// FTP may not always work.
    pub fn warn(
        subject: impl Into<String>,
        reason: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            fix: Some(fix.into()),
            ..Self::new(Status::Warn, subject, reason)
        }
    }

    /// FTP can not be helped.
    pub fn fail(
        subject: impl Into<String>,
        reason: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            fix: Some(fix.into()),
            ..Self::new(Status::Fail, subject, reason)
        }
    }

    /// It could not be looked at.
    pub fn skip(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(Status::Skip, subject, reason)
    }

    /// The same, as a conflict over control connections.
    #[must_use]
    pub fn conflict(self) -> Self {
        Self {
            conflict: true,
            ..self
        }
    }
}

impl Row for Finding {
    const KIND: &'static str = "findings";
    const HEADER: &'static [&'static str] = &["CHECK", "STATUS", "SUBJECT", "REASON", "FIX"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.check.to_owned(),
            self.status.to_string(),
            self.subject.clone(),
            self.reason.clone(),
            or_dash(self.fix.as_deref()),
        ]
    }

    fn tone(&self) -> Tone {
        match self.status {
            Status::Ok | Status::Skip => Tone::Plain,
            Status::Warn => Tone::Warn,
            Status::Fail => Tone::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, render};

    fn findings() -> Vec<Finding> {
        let mut findings = vec![
            Finding::ok("wan0", "all is well"),
            Finding::warn("ipv4", "it is so and so", "sysctl -w a=1"),
            Finding::fail("ipv6", "it is off", "sysctl -w b=1"),
            Finding::skip("nft", "it is not there"),
        ];
        for finding in &mut findings {
            finding.check = "forwarding";
        }
        findings
    }

    #[test]
    fn table() {
        assert_eq!(
            render(&findings(), Format::Table).unwrap(),
            "CHECK       STATUS  SUBJECT  REASON           FIX\n\
             forwarding  OK      wan0     all is well      -\n\
             forwarding  WARN    ipv4     it is so and so  sysctl -w a=1\n\
             forwarding  FAIL    ipv6     it is off        sysctl -w b=1\n\
             forwarding  SKIP    nft      it is not there  -\n"
        );
    }

    #[test]
    fn json() {
        let text = render(&findings()[2..], Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value["items"],
            serde_json::json!([
                {
                    "check": "forwarding",
                    "status": "FAIL",
                    "subject": "ipv6",
                    "reason": "it is off",
                    "fix": "sysctl -w b=1",
                },
                {
                    "check": "forwarding",
                    "status": "SKIP",
                    "subject": "nft",
                    "reason": "it is not there",
                    "fix": null,
                },
            ])
        );
    }
}
