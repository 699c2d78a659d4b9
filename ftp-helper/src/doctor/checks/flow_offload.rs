//! Flow tables: a short way for the packets of known connections.
//!
//! A flow table that works in software takes packets at ingress of its devices,
//! behind TC ingress of the same device, and sends them by way of TC egress of the
//! outgoing one. With the outside interface itself among its devices, our programs
//! see every packet. With a device beneath it (of a VLAN, a bridge, PPPoE),
//! packets that come in are taken before they get to the interface and its
//! program. What a device forwards by itself is seen by no program at all.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Check, no_interface, of_entries};
use crate::doctor::{
    Finding, Gateway,
    gateway::Outside,
    probe::{
        iptables::Save,
        link::{Link, beneath},
        nft::{FlowTable, Rule, Ruleset},
        nft_match::{may_match, may_reach},
    },
};

pub(super) const CHECK: Check = Check {
    name: "flow-offload",
    looks_at: "flow tables, in software or in a device, that take control connections past TC",
    quick: true,
    run: |gateway| Ok(run(gateway)),
};

fn run(gateway: &Gateway) -> Vec<Finding> {
    if gateway.outsides.is_empty() {
        return vec![no_interface()];
    }
    let mut findings = Vec::new();
    for outside in &gateway.outsides {
        let mut found = Vec::new();
        match (gateway.ruleset(), gateway.links()) {
            (Ok(ruleset), Ok(links)) => found.extend(in_nft(ruleset, links, outside)),
            (Err(error), _) => found.push(Finding::skip("nftables", error)),
            (_, Err(error)) => found.push(Finding::skip("links", error)),
        }
        for save in gateway.saves().iter().flatten() {
            found.extend(in_iptables(save, outside));
        }
        found.extend(of_entries(in_hardware(gateway, outside)));
        if found.is_empty() {
            let reason = "no flow table takes its control connections";
            found.push(Finding::ok(&outside.device.name, reason));
        }
        findings.extend(found);
    }
    findings
}

/// The first rule that puts control connections into the flow table.
fn adding<'a>(ruleset: &'a Ruleset, table: &FlowTable, ports: &BTreeSet<u16>) -> Option<&'a Rule> {
    let name = format!("@{}", table.place.name);
    ruleset.rules.iter().find(|rule| {
        let chain = &rule.chain;
        (&chain.family, &chain.table) == (&table.place.family, &table.place.table)
            && rule.statements.iter().any(|statement| {
                let flow = &statement["flow"];
                flow["op"] == "add" && flow["flowtable"] == name.as_str()
            })
            && ports
                .iter()
                .any(|port| may_match(ruleset, rule, *port) && may_reach(ruleset, chain, *port))
    })
}

fn in_nft(ruleset: &Ruleset, links: &[Link], outside: &Outside) -> Vec<Finding> {
    let name = &outside.device.name;
    let beneath = beneath(links, name);
    let mut own = links.iter().filter(|link| link.name == *name);
    let is_tunnelled = own.any(|link| link.point_to_point);
    let mut findings = Vec::new();
    for table in &ruleset.flow_tables {
        let Some(rule) = adding(ruleset, table, &outside.control_ports) else {
            continue;
        };
        let has_own = table.devices.contains(name);
        let lower = table
            .devices
            .iter()
            .find(|device| *device != name && beneath.contains(&device.as_str()));
        let place = &table.place;
        let subject = format!(
            "{name}, nft flowtable {} {} {}",
            place.family, place.table, place.name
        );
        let fix = without_control(rule, table, outside);
        if table.hardware && (has_own || lower.is_some()) {
            let reason = "`flags offload`: the device forwards control connections by itself once \
                          they are known, and no program sees their lines";
            findings.push(Finding::fail(subject, reason, fix).conflict());
        } else if let Some(lower) = lower {
            let reason = format!(
                "packets of control connections that come in are taken at {lower} beneath {name}, \
                 before the program on {name} sees them"
            );
            findings.push(Finding::fail(subject, reason, fix).conflict());
        } else if is_tunnelled && !has_own && !table.devices.is_empty() {
            let reason = format!(
                "packets of control connections that come in may be taken at the device beneath \
                 {name}, before the program on {name} sees them"
            );
            findings.push(Finding::warn(subject, reason, fix));
        } else if has_own {
            findings.push(Finding::ok(
                subject,
                "it works in software and on the interface itself: the programs see every packet \
                 and lines are rewritten; conntrack shows such connections as [OFFLOAD]",
            ));
        }
    }
    findings
}

/// The command that leaves control connections out of a flow table. It has to
/// repeat the rest of the rule, which only its author can.
fn without_control(rule: &Rule, table: &FlowTable, outside: &Outside) -> String {
    let chain = &rule.chain;
    let ports: Vec<String> = outside.control_ports.iter().map(u16::to_string).collect();
    format!(
        "nft replace rule {} {} {} handle {} meta l4proto tcp ct original proto-dst != {{ {} }} \
         flow add @{} (with the rule's other matches; UDP needs a rule of its own)",
        chain.family,
        chain.table,
        chain.name,
        rule.handle,
        ports.join(", "),
        table.place.name
    )
}

fn in_iptables(save: &Save, outside: &Outside) -> Vec<Finding> {
    let mut findings = Vec::new();
    for rule in &save.rules {
        let adds = rule.target() == Some("FLOWOFFLOAD");
        let is_hardware = rule.words.iter().any(|word| word == "--hw");
        let covers = outside
            .control_ports
            .iter()
            .any(|port| rule.may_match(*port));
        if adds && is_hardware && covers {
            let failure = Finding::fail(
                format!("{}, {} {}", outside.device.name, save.tool, rule.chain),
                "FLOWOFFLOAD --hw: a device that can forwards control connections by itself, and \
                 no program sees their lines",
                rule.removal(&save.tool),
            );
            findings.push(failure.conflict());
        }
    }
    findings
}

/// Control connections that a device forwards now.
fn in_hardware(gateway: &Gateway, outside: &Outside) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for port in &outside.control_ports {
        let entries = gateway.connections_to(*port)?;
        if entries.iter().any(|entry| entry.in_hardware) {
            let failure = Finding::fail(
                "conntrack",
                format!("connections to port {port} are forwarded by a device ([HW_OFFLOAD])"),
                "take `flags offload` from the flow table (`nft list flowtables`)",
            );
            findings.push(failure.conflict());
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::Device,
        doctor::{Status, probe::nft},
        ports::PortRange,
    };

    const RULES: &str = include_str!("../probe/captured/flowtables.json");

    fn outside(name: &str, ports: &[u16]) -> Outside {
        Outside {
            device: Device {
                name: name.to_owned(),
                index: 1,
            },
            helped: true,
            control_ports: ports.iter().copied().collect(),
            advertise: None,
            ports: PortRange::DYNAMIC,
            ct_zone: 0,
        }
    }

    fn links() -> Vec<Link> {
        let link = |index, name: &str, lower, point_to_point| Link {
            index,
            name: name.to_owned(),
            lower,
            master: None,
            is_bridge: false,
            point_to_point,
        };
        vec![
            link(1, "wan0", None, false),
            link(2, "wan0.7", Some(1), false),
            link(3, "ppp0", None, true),
            link(4, "eth9", None, false),
        ]
    }

    fn judged(ruleset: &Ruleset, name: &str) -> Vec<(Status, bool)> {
        in_nft(ruleset, &links(), &outside(name, &[21]))
            .into_iter()
            .map(|finding| (finding.status, finding.conflict))
            .collect()
    }

    #[test]
    fn in_software_on_the_interface_itself_is_fine() {
        let ruleset = nft::parse(RULES).unwrap();
        assert_eq!(judged(&ruleset, "wan0"), [(Status::Ok, false)]);
        assert!(judged(&ruleset, "eth9").is_empty());
    }

    #[test]
    fn beneath_the_interface_packets_are_taken_before_it() {
        let ruleset = nft::parse(RULES).unwrap();
        assert_eq!(judged(&ruleset, "wan0.7"), [(Status::Fail, true)]);
        assert_eq!(judged(&ruleset, "ppp0"), [(Status::Warn, false)]);
    }

    #[test]
    fn what_a_device_forwards_is_not_seen() {
        let mut ruleset = nft::parse(RULES).unwrap();
        ruleset.flow_tables[0].hardware = true;
        let found = in_nft(&ruleset, &links(), &outside("wan0", &[21]));
        assert_eq!(found[0].status, Status::Fail);
        assert!(found[0].conflict);
        let fix = found[0].fix.as_deref().unwrap();
        assert!(
            fix.starts_with("nft replace rule inet x forward handle 4 "),
            "{fix}"
        );
        assert!(fix.contains("proto-dst != { 21 } flow add @f"), "{fix}");
    }

    #[test]
    fn a_rule_that_leaves_control_connections_out_is_fine() {
        let mut ruleset = nft::parse(RULES).unwrap();
        ruleset.flow_tables[0].hardware = true;
        // The rule for all of TCP goes; the two that leave port 21 out stay.
        ruleset.rules.retain(|rule| rule.handle != 4);
        assert!(judged(&ruleset, "wan0").is_empty());
        let found = in_nft(&ruleset, &links(), &outside("wan0", &[2121]));
        assert_eq!(found[0].status, Status::Fail);
    }
}
