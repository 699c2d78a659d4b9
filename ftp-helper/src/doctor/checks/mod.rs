//! The checks, one file each.

pub(crate) mod address;
mod agent;
mod attachment;
mod bpffs;
mod bridge;
mod capabilities;
mod cilium;
mod conntrack_table;
mod counters;
mod firewall;
mod flow_offload;
mod forwarding;
mod kernel;
mod kernel_helper;
mod lro;
mod order;
mod pins;
mod ports;
mod rp_filter;
mod timeouts;
mod zones;

use std::collections::BTreeSet;

use anyhow::Result;

use super::{
    Finding, Gateway,
    probe::{iptables::Save, nft::Ruleset},
};

/// Something that is looked at.
pub struct Check {
    /// Its name on the command line and in the report.
    pub name: &'static str,
    /// What it looks at, for the help text.
    pub looks_at: &'static str,
    /// Takes so little that every start of the agent makes it.
    pub quick: bool,
    /// Looks. An error means that it could not.
    pub run: fn(&Gateway) -> Result<Vec<Finding>>,
}

/// All checks, in the order of the report: first what a start needs, then the
/// programs and what is beside them, then the gateway, then what was counted.
pub const CHECKS: &[Check] = &[
    capabilities::CHECK,
    kernel::CHECK,
    bpffs::CHECK,
    agent::CHECK,
    pins::CHECK,
    attachment::CHECK,
    order::CHECK,
    kernel_helper::CHECK,
    flow_offload::CHECK,
    zones::CHECK,
    cilium::CHECK,
    bridge::CHECK,
    address::CHECK,
    forwarding::CHECK,
    rp_filter::CHECK,
    firewall::CHECK,
    conntrack_table::CHECK,
    timeouts::CHECK,
    ports::CHECK,
    lro::CHECK,
    counters::CHECK,
];

/// The answer of a check of interfaces when none is known.
fn no_interface() -> Finding {
    Finding::skip(
        "-",
        "no interface is helped, and none was named with -i: name the one that leads outside",
    )
}

/// What the rules of nftables and of iptables show, and why some of them can not be read.
fn of_rules(
    gateway: &Gateway,
    in_nft: impl Fn(&Ruleset) -> Vec<Finding>,
    in_iptables: impl Fn(&Save) -> Vec<Finding>,
) -> Vec<Finding> {
    let mut findings = match gateway.ruleset() {
        Ok(ruleset) => in_nft(ruleset),
        Err(error) => vec![Finding::skip("nftables", error)],
    };
    for save in gateway.saves() {
        match save {
            Ok(save) => findings.extend(in_iptables(save)),
            Err(error) => findings.push(Finding::skip("iptables", error)),
        }
    }
    findings
}

/// What the entries of conntrack show, or why they can not be read.
fn of_entries(found: Result<Vec<Finding>>) -> Vec<Finding> {
    found.unwrap_or_else(|error| {
        let reason = format!("its entries can not be read: {error:#}");
        vec![Finding::skip("conntrack", reason)]
    })
}

/// `port 21`, `ports 21, 2121`.
fn list(word: &str, numbers: &BTreeSet<u16>) -> String {
    let plural = if numbers.len() == 1 { "" } else { "s" };
    let numbers: Vec<String> = numbers.iter().map(u16::to_string).collect();
    format!("{word}{plural} {}", numbers.join(", "))
}

/// `1 entry`, `2 entries`.
fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Where operators read what the checks mean.
    const DOCUMENT: &str = include_str!("../../../../docs/troubleshooting.md");

    #[test]
    fn names_are_unique_and_easy_to_type() {
        let mut names = HashSet::new();
        for check in CHECKS {
            assert!(names.insert(check.name), "{} is there twice", check.name);
            assert!(
                check
                    .name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{}",
                check.name
            );
            assert!(!check.looks_at.is_empty() && !check.looks_at.ends_with('.'));
        }
    }

    #[test]
    fn the_document_describes_each_check_in_the_order_of_the_report() {
        let described: Vec<&str> = DOCUMENT
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        let names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(described, names);
    }

    #[test]
    fn ports_as_words() {
        assert_eq!(list("port", &BTreeSet::from([21])), "port 21");
        assert_eq!(list("port", &BTreeSet::from([2121, 21])), "ports 21, 2121");
    }
}
