//! Cilium, whose programs can translate addresses before or behind ours.

use anyhow::Result;
use ftp_helper_common::session::Direction;

use super::Check;
use crate::{
    datapath::chain,
    doctor::{Finding, Gateway, gateway::Outside, probe::tc},
    pins::direction_word,
};

pub(super) const CHECK: Check = Check {
    name: "cilium",
    looks_at: "Cilium's programs and pins: its BPF masquerade does not use the kernel's NAT",
    quick: false,
    run: |gateway| Ok(run(gateway)),
};

/// Names that Cilium gives to programs on devices of the host.
const NAMES: &[&str] = &[
    "cil_from_netdev",
    "cil_to_netdev",
    "from-netdev",
    "to-netdev",
];

/// What it pins, below the root of the BPF file system.
const PINS: &[&str] = &[
    "cilium",
    "tc/globals/cilium_ct4_global",
    "tc/globals/cilium_ipcache",
];

const FIX: &str = "`cilium config set enable-bpf-masquerade false` (Helm: bpf.masquerade=false), so \
                   that iptables masquerades";

fn run(gateway: &Gateway) -> Vec<Finding> {
    let mut findings = Vec::new();
    for outside in &gateway.outsides {
        for direction in [Direction::Ingress, Direction::Egress] {
            let subject = format!("{} {}", outside.device.name, direction_word(direction));
            match names(outside, direction) {
                Ok(names) => {
                    let mut names = names.into_iter();
                    if let Some(name) = names.find(|name| is_cilium(name)) {
                        findings.push(Finding::warn(
                            subject,
                            format!(
                                "Cilium's program `{name}` is here: with BPF masquerade it translates \
                                 addresses without the kernel's connection table, where ours makes \
                                 the entries of data connections"
                            ),
                            FIX,
                        ));
                    }
                }
                Err(error) => findings.push(Finding::skip(
                    subject,
                    format!("the programs can not be looked at (root can): {error:#}"),
                )),
            }
        }
    }
    let root = gateway.pins.path().parent();
    let pinned = root.and_then(|root| {
        PINS.iter()
            .map(|pin| root.join(pin))
            .find(|pin| pin.exists())
    });
    if let Some(pinned) = pinned {
        findings.push(Finding::warn(
            pinned.display().to_string(),
            "Cilium runs on this host: with BPF masquerade it translates addresses without the \
             kernel's connection table",
            FIX,
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("host", "there is no sign of Cilium"));
    }
    findings
}

fn names(outside: &Outside, direction: Direction) -> Result<Vec<String>> {
    let programs = chain::tcx(&outside.device, direction)?.unwrap_or_default();
    let filters = tc::filters(&outside.device, direction)?;
    let programs = programs.into_iter().map(|program| program.name);
    let filters = filters.into_iter().filter_map(|filter| filter.name);
    Ok(programs.chain(filters).collect())
}

/// The name of a filter may go on, as in `cil_to_netdev-eth0`.
fn is_cilium(name: &str) -> bool {
    NAMES.iter().any(|known| name.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_filters_and_programs() {
        for name in [
            "cil_to_netdev",
            "cil_to_netdev-eth0",
            "to-netdev",
            "cil_from_netdev",
        ] {
            assert!(is_cilium(name), "{name}");
        }
        for name in ["ftp_helper_ingr", "calico_to_host", ""] {
            assert!(!is_cilium(name), "{name}");
        }
    }
}
