//! `ftp-helper doctor`: what on this gateway keeps FTP from being helped.
//!
//! * [`checks`]: one file per check, and [`CHECKS`], the list of them.
//! * [`finding`]: what a check says.
//! * [`gateway`]: what the checks look at, each thing read once.
//! * [`probe`]: how it is read, by netlink, from /proc and from the tools of the
//!   firewall. What can not be read is skipped with the reason, never guessed.
//! * [`start`]: the few checks that `ftp-helper run` makes by itself.
//!
//! Nothing is changed by a check.

pub mod checks;
pub mod finding;
pub mod gateway;
pub mod probe;
pub mod start;

pub use self::{
    checks::{CHECKS, Check},
    finding::{Finding, Status},
    gateway::Gateway,
    start::OnConflict,
};
use crate::failure::one_line;

/// Runs checks, in their order.
pub fn examine(gateway: &Gateway, checks: &[&'static Check]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for check in checks {
        let said = (check.run)(gateway).unwrap_or_else(|error| {
            let reason = format!("it can not be looked at: {}", one_line(&error));
            vec![Finding::skip("-", reason)]
        });
        findings.extend(said.into_iter().map(|finding| Finding {
            check: check.name,
            ..finding
        }));
    }
    findings
}
