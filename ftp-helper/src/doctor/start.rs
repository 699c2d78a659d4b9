//! What `ftp-helper run` looks at before it starts.
//!
//! Only what is quick to see and what spoils control connections from the
//! first one on. It never keeps the agent from starting, unless a conflict is
//! found and the administrator asked for that.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;
use tracing::{debug, warn};

use super::{CHECKS, Check, Finding, Gateway, Status, examine, probe::Patience};
use crate::{agent::Settings, pins::PinDirectory};

/// What the tools of the firewall may take, all together: what is not known by then
/// stays unsaid.
const PATIENCE: Duration = Duration::from_secs(2);

/// The same where a start depends on the answer.
const PATIENCE_TO_REFUSE: Duration = Duration::from_secs(60);

/// What to do when somebody else works on the same control connections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum OnConflict {
    /// Say so, and start.
    #[default]
    Warn,
    /// Say so, and do not start.
    Refuse,
}

/// Looks around once and logs what is not as it should be.
pub fn look_around(
    settings: &Settings,
    pins: &PinDirectory,
    on_conflict: OnConflict,
) -> Result<()> {
    let patience = match on_conflict {
        OnConflict::Warn => PATIENCE,
        OnConflict::Refuse => PATIENCE_TO_REFUSE,
    };
    let gateway = Gateway::of_start(pins, settings, Patience::Until(Instant::now() + patience))?;
    let quick: Vec<&Check> = CHECKS.iter().filter(|check| check.quick).collect();
    for finding in examine(&gateway, &quick) {
        let line = line(&finding);
        match finding.status {
            Status::Ok => {}
            Status::Skip => debug!("not looked at: {line}"),
            Status::Warn | Status::Fail => {
                if finding.conflict && on_conflict == OnConflict::Refuse {
                    bail!("refused by --on-conflict: {line}");
                }
                warn!("{line}");
            }
        }
    }
    Ok(())
}

fn line(finding: &Finding) -> String {
    let Finding {
        check,
        status,
        subject,
        reason,
        fix,
        ..
    } = finding;
    let fix = fix
        .as_ref()
        .map_or_else(String::new, |fix| format!(": {fix}"));
    format!("{status} {check}, {subject}: {reason}{fix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_takes_one_line_with_its_fix() {
        let finding = Finding {
            check: "forwarding",
            ..Finding::warn("wan0", "it is off", "sysctl -w a=1")
        };
        assert_eq!(
            line(&finding),
            "WARN forwarding, wan0: it is off: sysctl -w a=1"
        );
    }
}
