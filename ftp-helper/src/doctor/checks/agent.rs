//! Whether an agent runs.

use anyhow::Result;

use super::Check;
use crate::{
    at_work::{AtWork, at_work},
    doctor::{Finding, Gateway},
};

pub(super) const CHECK: Check = Check {
    name: "agent",
    looks_at: "the lock that a running agent holds on the pin directory",
    quick: false,
    run,
};

fn run(gateway: &Gateway) -> Result<Vec<Finding>> {
    let path = gateway.pins.path();
    let subject = path.display().to_string();
    let names: Vec<&str> = gateway
        .outsides
        .iter()
        .map(|outside| outside.device.name.as_str())
        .collect();
    let names = if names.is_empty() {
        vec!["IFACE"]
    } else {
        names
    };
    let fix = format!("ftp-helper run -i {}", names.join(" -i "));
    if !path.exists() {
        return Ok(vec![Finding::warn(
            subject,
            "nothing is loaded: FTP is not helped",
            fix,
        )]);
    }
    Ok(vec![match at_work(&gateway.pins)? {
        AtWork::Process(Some(process)) => {
            Finding::ok(subject, format!("process {process} is at work on it"))
        }
        AtWork::Process(None) => Finding::ok(subject, "an agent is at work on it"),
        AtWork::Nobody if gateway.pinned.attachments.is_empty() => {
            Finding::warn(subject, "no agent runs and no program is attached", fix)
        }
        AtWork::Nobody => Finding::warn(
            subject,
            "no agent runs: the programs go on, but nothing is reported, and control connections \
             that end without a word are kept",
            fix,
        ),
    }])
}
