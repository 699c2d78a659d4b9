//! Large receive offload.

use super::{Check, no_interface};
use crate::doctor::{Finding, Gateway, probe::features::merges_for_good};

pub(super) const CHECK: Check = Check {
    name: "lro",
    looks_at: "large receive offload, whose packets can be neither forwarded nor rewritten",
    quick: false,
    run: |gateway| Ok(run(gateway)),
};

fn run(gateway: &Gateway) -> Vec<Finding> {
    if gateway.outsides.is_empty() {
        return vec![no_interface()];
    }
    let findings = gateway.outsides.iter().map(|outside| {
        let name = &outside.device.name;
        match merges_for_good(&outside.device) {
            Err(error) => Finding::skip(name, format!("{error:#}")),
            Ok(false) => Finding::ok(name, "large receive offload is off"),
            Ok(true) => Finding::warn(
                name,
                "large receive offload is on: it merges segments so that they can not be taken \
                 apart again, which breaks what is forwarded",
                format!("ethtool -K {name} lro off"),
            ),
        }
    });
    findings.collect()
}
