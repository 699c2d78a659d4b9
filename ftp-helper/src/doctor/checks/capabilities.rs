//! Rights of the process that looks, which the agent would need as well.

use anyhow::Result;
use caps::Capability;

use super::Check;
use crate::{
    doctor::{Finding, Gateway},
    preflight::{NEEDED, missing_capabilities},
};

pub(super) const CHECK: Check = Check {
    name: "capabilities",
    looks_at: "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN of this process",
    quick: false,
    run,
};

/// What can not be done without it.
fn without(capability: Capability) -> &'static str {
    match capability {
        Capability::CAP_BPF => "programs and maps can not be loaded",
        Capability::CAP_PERFMON => {
            "the verifier does not accept programs that follow kernel pointers"
        }
        Capability::CAP_NET_ADMIN => "programs can not be attached to an interface",
        _ => "ftp-helper can not start",
    }
}

fn run(_: &Gateway) -> Result<Vec<Finding>> {
    let missing = missing_capabilities()?;
    let names = NEEDED.map(|capability| capability.to_string());
    if missing.is_empty() {
        let reason = format!("it has {}", names.join(", "));
        return Ok(vec![Finding::ok("process", reason)]);
    }
    let list = names.join(",").to_lowercase();
    let fix = format!("run it as root, or `setcap {list}+ep \"$(command -v ftp-helper)\"`");
    let findings = missing.into_iter().map(|capability| {
        let reason = format!("{capability} is missing: {}", without(capability));
        Finding::fail("process", reason, &fix)
    });
    Ok(findings.collect())
}
