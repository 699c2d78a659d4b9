//! The kernel's own helper, attached to the same control connections.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use super::{Check, counted, list, of_entries, of_rules};
use crate::doctor::{
    Finding, Gateway,
    probe::{
        iptables::Save,
        nft::{Rule, Ruleset},
        nft_match::{may_match, may_reach, pairs},
        sysctl,
    },
};

pub(super) const CHECK: Check = Check {
    name: "kernel-helper",
    looks_at: "whether rules attach the kernel's helper (nf_conntrack_ftp) to the same ports",
    quick: true,
    run,
};

/// The kernel's name of its helper.
const FTP: &str = "ftp";

/// What follows when both are at work.
const BOTH: &str = "the kernel's helper changes the lines first, waits for the same data \
                    connections, and drops commands that come in pieces";

fn run(gateway: &Gateway) -> Result<Vec<Finding>> {
    let ports = gateway.control_ports();
    let mut findings = of_rules(
        gateway,
        |ruleset| in_nft(ruleset, &ports),
        |save| in_iptables(save, &ports),
    );
    findings.extend(by_default(&ports)?);
    findings.extend(of_entries(attached(gateway, &ports)));
    if findings.iter().all(|finding| !finding.conflict) {
        findings.insert(
            0,
            Finding::ok(
                list("port", &ports),
                "nothing that could be read attaches the kernel's helper",
            ),
        );
    }
    Ok(findings)
}

fn among(ports: &BTreeSet<u16>, matches: impl Fn(u16) -> bool) -> BTreeSet<u16> {
    ports
        .iter()
        .copied()
        .filter(|port| matches(*port))
        .collect()
}

fn in_nft(ruleset: &Ruleset, ports: &BTreeSet<u16>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &ruleset.rules {
        let covered = among(ports, |port| {
            attaches(ruleset, rule, port)
                && may_match(ruleset, rule, port)
                && may_reach(ruleset, &rule.chain, port)
        });
        if covered.is_empty() {
            continue;
        }
        let chain = &rule.chain;
        let place = format!("{} {} {}", chain.family, chain.table, chain.name);
        let warning = Finding::warn(
            format!("nft {place}"),
            format!(
                "rule {} attaches it to {}: {BOTH}",
                rule.handle,
                list("port", &covered)
            ),
            format!("nft delete rule {place} handle {}", rule.handle),
        );
        findings.push(warning.conflict());
    }
    findings
}

/// True when the rule attaches the kernel's FTP helper to connections to a port.
fn attaches(ruleset: &Ruleset, rule: &Rule, port: u16) -> bool {
    let is_ftp = |name: &Value| {
        ruleset.helpers.iter().any(|helper| {
            helper.kind == FTP
                && helper.place.family == rule.chain.family
                && helper.place.table == rule.chain.table
                && name == helper.place.name.as_str()
        })
    };
    rule.statements.iter().any(|statement| {
        let helper = &statement["ct helper"];
        is_ftp(helper)
            || pairs(ruleset, rule, &helper["map"], port)
                .iter()
                .any(is_ftp)
    })
}

fn in_iptables(save: &Save, ports: &BTreeSet<u16>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &save.rules {
        let is_ftp = rule.target() == Some("CT") && rule.option(&["--helper"]) == Some(FTP);
        let covered = among(ports, |port| is_ftp && rule.may_match(port));
        if covered.is_empty() {
            continue;
        }
        let warning = Finding::warn(
            format!("{} {} {}", save.tool, rule.table, rule.chain),
            format!("a rule attaches it to {}: {BOTH}", list("port", &covered)),
            rule.removal(&save.tool),
        );
        findings.push(warning.conflict());
    }
    findings
}

/// Kernels before 6.0 can attach helpers to their usual ports by themselves.
fn by_default(ports: &BTreeSet<u16>) -> Result<Option<Finding>> {
    const SETTING: &str = "net.netfilter.nf_conntrack_helper";
    const MODULE: &str = "/sys/module/nf_conntrack_ftp";

    if sysctl::number::<u8>(SETTING)?.unwrap_or(0) == 0 || !std::path::Path::new(MODULE).exists() {
        return Ok(None);
    }
    let usual = std::fs::read_to_string(format!("{MODULE}/parameters/ports")).unwrap_or_default();
    let usual: BTreeSet<u16> = usual
        .trim()
        .split(',')
        .filter_map(|port| port.parse().ok())
        .filter(|port| *port != 0)
        .collect();
    let covered = among(ports, |port| {
        usual.contains(&port) || usual.is_empty() && port == 21
    });
    Ok((!covered.is_empty()).then(|| {
        Finding::warn(
            SETTING,
            format!(
                "the kernel attaches it to {} by itself: {BOTH}",
                list("port", &covered)
            ),
            format!("sysctl -w {SETTING}=0"),
        )
        .conflict()
    }))
}

/// Connections that have it, whatever attached it.
fn attached(gateway: &Gateway, ports: &BTreeSet<u16>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for port in ports {
        let entries = gateway.connections_to(*port)?;
        let helped = entries
            .iter()
            .filter(|entry| entry.helper.as_deref() == Some(FTP))
            .count();
        if helped == 0 {
            continue;
        }
        let warning = Finding::warn(
            "conntrack",
            format!(
                "{} to port {port} with it attached: {BOTH}",
                counted(
                    helped as u64,
                    "connection is there",
                    "connections are there"
                )
            ),
            format!(
                "remove the rule that attached it; `conntrack -L -p tcp --orig-port-dst {port}` \
                 shows those that keep it until they end"
            ),
        );
        findings.push(warning.conflict());
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::probe::{iptables, nft};

    const RULES: &str = include_str!("../probe/captured/helpers.json");
    const SAVE: &str = include_str!("../probe/captured/iptables-nft-save.txt");

    fn handles(port: u16) -> Vec<String> {
        let ruleset = nft::parse(RULES).unwrap();
        let place = nft::Place {
            family: "inet".to_owned(),
            table: "helper".to_owned(),
            name: "ftp_ports".to_owned(),
        };
        ruleset.set_elements(place, vec![21.into(), 2121.into()]);
        in_nft(&ruleset, &BTreeSet::from([port]))
            .into_iter()
            .filter_map(|finding| {
                assert!(finding.conflict);
                let fix = finding.fix?;
                let prefix = "nft delete rule inet helper prerouting handle ";
                Some(fix.strip_prefix(prefix)?.to_owned())
            })
            .collect()
    }

    #[test]
    fn rules_of_nftables_are_found_by_their_port() {
        assert_eq!(handles(21), ["8", "11", "12", "14", "15"]);
        assert_eq!(handles(2121), ["10", "11", "12", "13", "14"]);
        // That of SIP, and the one that only asks for the helper, are no such rules.
        assert_eq!(handles(22), ["12"]);
    }

    #[test]
    fn rules_of_iptables_are_found_by_their_port() {
        let save = iptables::parse("iptables-nft", SAVE);
        let found = in_iptables(&save, &BTreeSet::from([21]));
        assert_eq!(found.len(), 1);
        assert!(found[0].conflict);
        assert_eq!(found[0].subject, "iptables-nft raw PREROUTING");
        assert_eq!(
            found[0].fix.as_deref(),
            Some(
                "iptables-nft -t raw -D PREROUTING -i lan0 -p tcp -m tcp --dport 21 \
                 -j CT --helper ftp"
            )
        );
        assert_eq!(in_iptables(&save, &BTreeSet::from([3005])).len(), 1);
        assert!(in_iptables(&save, &BTreeSet::from([22])).is_empty());
    }
}
