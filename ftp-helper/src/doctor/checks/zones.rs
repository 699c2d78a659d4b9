//! Zones of conntrack: connections in one are found in no other.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::Value;

use super::{Check, counted, list, no_interface, of_entries, of_rules};
use crate::doctor::{
    Finding, Gateway,
    probe::{
        iptables::Save,
        nft::{Rule, Ruleset},
        nft_match::{may_match, may_reach, pairs},
    },
};

pub(super) const CHECK: Check = Check {
    name: "zones",
    looks_at: "whether control connections are in a zone of conntrack in which they are not looked \
               for",
    quick: true,
    run: |gateway| Ok(run(gateway)),
};

/// What follows where they are.
const MISSED: &str = "they are not looked for there, so no data connection is admitted";

fn run(gateway: &Gateway) -> Vec<Finding> {
    if gateway.outsides.is_empty() {
        return vec![no_interface()];
    }
    // Which rule is about which interface is not asked: one that looks there is enough.
    let known: BTreeSet<u16> = gateway.outsides.iter().map(|it| it.ct_zone).collect();
    let ports = gateway.control_ports();
    let mut findings = of_rules(
        gateway,
        |ruleset| in_nft(ruleset, &ports, &known),
        |save| in_iptables(save, &ports, &known),
    );
    findings.extend(of_entries(tracked(gateway, &ports, &known)));
    if findings.iter().all(|finding| finding.fix.is_none()) {
        findings.insert(
            0,
            Finding::ok(
                list("zone", &known),
                "nothing that could be read puts control connections anywhere else",
            ),
        );
    }
    findings
}

/// The zones among these that are no default, and that nobody looks into.
fn missed(zones: impl Iterator<Item = u16>, known: &BTreeSet<u16>) -> BTreeSet<u16> {
    zones
        .filter(|zone| *zone != 0 && !known.contains(zone))
        .collect()
}

fn fix(zones: &BTreeSet<u16>) -> String {
    let zones: Vec<String> = zones.iter().map(u16::to_string).collect();
    let options = zones.join("`, or `--ct-zone IFACE=");
    match zones.len() {
        1 => format!("ftp-helper run --ct-zone {options}"),
        _ => format!("`ftp-helper run --ct-zone IFACE={options}` for the interface that it is for"),
    }
}

fn in_nft(ruleset: &Ruleset, ports: &BTreeSet<u16>, known: &BTreeSet<u16>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &ruleset.rules {
        let reached = ports
            .iter()
            .filter(|port| may_match(ruleset, rule, **port))
            .filter(|port| may_reach(ruleset, &rule.chain, **port));
        let zones = missed(reached.flat_map(|port| set(ruleset, rule, *port)), known);
        if zones.is_empty() {
            continue;
        }
        let chain = &rule.chain;
        findings.push(Finding::warn(
            format!("nft {} {} {}", chain.family, chain.table, chain.name),
            format!(
                "rule {} puts control connections into {}: {MISSED}",
                rule.handle,
                named(&zones)
            ),
            fix(&zones),
        ));
    }
    findings
}

/// The zones that the rule may put a connection to this port into. One that counts in one
/// direction only is no zone of the whole connection.
fn set(ruleset: &Ruleset, rule: &Rule, port: u16) -> Vec<u16> {
    let zone = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let mut zones = Vec::new();
    for statement in &rule.statements {
        let set = &statement["mangle"];
        let key = &set["key"]["ct"];
        if key["key"] == "zone" && key.get("dir").is_none() {
            let value = &set["value"];
            zones.extend(zone(value));
            let values = pairs(ruleset, rule, &value["map"], port);
            zones.extend(values.iter().filter_map(zone));
        }
    }
    zones
}

fn in_iptables(save: &Save, ports: &BTreeSet<u16>, known: &BTreeSet<u16>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &save.rules {
        if rule.target() != Some("CT") || !ports.iter().any(|port| rule.may_match(*port)) {
            continue;
        }
        let zone = rule.option(&["--zone"]).and_then(|zone| zone.parse().ok());
        let zones = missed(zone.into_iter(), known);
        if zones.is_empty() {
            continue;
        }
        findings.push(Finding::warn(
            format!("{} {} {}", save.tool, rule.table, rule.chain),
            format!(
                "a rule puts control connections into {}: {MISSED}",
                named(&zones)
            ),
            fix(&zones),
        ));
    }
    findings
}

/// Connections that are there, whatever put them there.
fn tracked(
    gateway: &Gateway,
    ports: &BTreeSet<u16>,
    known: &BTreeSet<u16>,
) -> Result<Vec<Finding>> {
    let mut found: BTreeMap<u16, u64> = BTreeMap::new();
    for port in ports {
        for entry in gateway.connections_to(*port)?.iter() {
            *found.entry(entry.zone).or_default() += 1;
        }
    }
    let zones = missed(found.keys().copied(), known);
    Ok(zones
        .into_iter()
        .map(|zone| {
            let connections = counted(
                found[&zone],
                "control connection is",
                "control connections are",
            );
            Finding::warn(
                "conntrack",
                format!("{connections} in zone {zone}: {MISSED}"),
                fix(&BTreeSet::from([zone])),
            )
        })
        .collect())
}

/// `zone 7`, `one of the zones 1, 2`
fn named(zones: &BTreeSet<u16>) -> String {
    let zone = list("zone", zones);
    match zones.len() {
        1 => zone,
        _ => format!("one of the {zone}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::probe::{iptables, nft};

    const RULES: &str = include_str!("../probe/captured/zones.json");
    const SAVE: &str = "*raw\n\
        -A PREROUTING -i wan0 -j CT --zone 4\n\
        -A PREROUTING -p tcp -m tcp --dport 22 -j CT --zone 5\n\
        -A PREROUTING -j CT --zone-orig 6\n\
        -A PREROUTING -j CT --notrack\n\
        COMMIT\n";

    fn found(findings: &[Finding]) -> Vec<&str> {
        let fixes = findings.iter().filter_map(|finding| finding.fix.as_deref());
        fixes.collect()
    }

    #[test]
    fn rules_of_nftables_are_found_by_port_and_zone() {
        let ruleset = nft::parse(RULES).unwrap();
        let of = |port, known: &[u16]| {
            let known = known.iter().copied().collect();
            in_nft(&ruleset, &BTreeSet::from([port]), &known)
        };
        let both = "`ftp-helper run --ct-zone IFACE=1`, or `--ct-zone IFACE=2` for the interface \
                    that it is for";
        let seven = "ftp-helper run --ct-zone 7";
        assert_eq!(found(&of(21, &[0])), [seven, both]);
        assert_eq!(
            found(&of(2121, &[0])),
            [seven, "ftp-helper run --ct-zone 9"]
        );
        assert_eq!(found(&of(22, &[7])), [""; 0]);
        assert_eq!(found(&of(21, &[7, 1])), ["ftp-helper run --ct-zone 2"]);
        let reason = &of(21, &[7])[0].reason;
        assert!(reason.contains("one of the zones 1, 2"), "{reason}");
    }

    #[test]
    fn rules_of_iptables_are_found_by_port_and_zone() {
        let save = iptables::parse("iptables-nft", SAVE);
        let of = |port, known| {
            let known = BTreeSet::from([known]);
            in_iptables(&save, &BTreeSet::from([port]), &known)
        };
        assert_eq!(found(&of(21, 0)), ["ftp-helper run --ct-zone 4"]);
        assert_eq!(found(&of(22, 4)), ["ftp-helper run --ct-zone 5"]);
        assert_eq!(found(&of(21, 4)), [""; 0]);
    }
}
