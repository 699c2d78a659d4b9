//! Rights of the process that looks, which the agent would need as well.

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability};

use super::Check;
use crate::doctor::{Finding, Gateway};

pub(super) const CHECK: Check = Check {
    name: "capabilities",
    looks_at: "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN of this process",
    quick: false,
    run,
};

/// Each with what can not be done without it.
const NEEDED: [(Capability, &str); 3] = [
    (Capability::CAP_BPF, "programs and maps can not be loaded"),
    (
        Capability::CAP_PERFMON,
        "the verifier does not accept programs that follow kernel pointers",
    ),
    (
        Capability::CAP_NET_ADMIN,
        "programs can not be attached to an interface",
    ),
];

fn run(_: &Gateway) -> Result<Vec<Finding>> {
    let missing = missing()?;
    if missing.is_empty() {
        let names = NEEDED.map(|(capability, _)| capability.to_string());
        return Ok(vec![Finding::ok(
            "process",
            format!("it has {}", names.join(", ")),
        )]);
    }
    let list: Vec<String> = NEEDED
        .iter()
        .map(|(capability, _)| capability.to_string().to_lowercase())
        .collect();
    let fix = format!(
        "run it as root, or `setcap {}+ep \"$(command -v ftp-helper)\"`",
        list.join(",")
    );
    let findings = NEEDED
        .iter()
        .filter(|(capability, _)| missing.contains(capability))
        .map(|(capability, without)| {
            let name = capability.to_string();
            Finding::fail("process", format!("{name} is missing: {without}"), &fix)
        });
    Ok(findings.collect())
}

/// Those that this process has not.
pub(super) fn missing() -> Result<Vec<Capability>> {
    let held = caps::read(None, CapSet::Effective).context("can not read the capabilities")?;
    let needed = NEEDED.iter().map(|(capability, _)| *capability);
    Ok(needed
        .filter(|capability| !held.contains(capability))
        .collect())
}
