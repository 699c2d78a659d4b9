//! Firewalls that let nothing through by themselves.
//!
//! Data connections are ESTABLISHED from their first packet, so a firewall that
//! forwards what is established needs no rule for them. One that knows `related`
//! only, or ports, drops them. Whether a rule is there can be seen; whether it is
//! the right one, or others come before it, can not: a hint, nothing more.

use std::collections::HashSet;

use serde_json::Value;

use super::Check;
use crate::doctor::{
    Finding, Gateway,
    probe::{
        iptables::Save,
        nft::{Chain, Place, Rule, Ruleset},
        nft_match::target,
    },
};

pub(super) const CHECK: Check = Check {
    name: "firewall",
    looks_at: "whether a firewall that drops by default accepts what is established",
    quick: false,
    run: |gateway| Ok(run(gateway)),
};

const WITHOUT: &str = "it drops by default, and no rule that could be understood accepts `ct state \
                       established`: data connections are not forwarded";

fn run(gateway: &Gateway) -> Vec<Finding> {
    let mut findings = Vec::new();
    match gateway.ruleset() {
        Ok(ruleset) => {
            let saves: Vec<&Save> = gateway.saves().iter().flatten().collect();
            findings.extend(in_nft(ruleset, &saves));
        }
        Err(error) => findings.push(Finding::skip("nftables", error)),
    }
    for save in gateway.saves() {
        match save {
            Ok(save) => findings.extend(in_iptables(save)),
            Err(error) => findings.push(Finding::skip("iptables", error)),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "forward",
            "no firewall drops forwarded packets by default",
        ));
    }
    findings
}

fn in_nft(ruleset: &Ruleset, saves: &[&Save]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for chain in &ruleset.chains {
        let place = &chain.place;
        let is_forward = chain.hook.as_deref() == Some("forward")
            && matches!(place.family.as_str(), "ip" | "ip6" | "inet");
        // What iptables put here is told by its own tool.
        let is_told = saves.iter().any(|save| shows(save, place));
        if !is_forward || is_told || !drops(ruleset, chain) {
            continue;
        }
        let subject = format!("nft {} {} {}", place.family, place.table, place.name);
        let mut rules = ruleset.rules.iter();
        let is_of_iptables = rules.any(|rule| {
            (&rule.chain.family, &rule.chain.table) == (&place.family, &place.table)
                && rule.statements.iter().any(|part| part.get("xt").is_some())
        });
        if is_of_iptables {
            let reason = "its rules are those of iptables, and there is no `iptables-nft-save`: \
                          install the package iptables";
            findings.push(Finding::skip(subject, reason));
            continue;
        }
        let accepts = accepts(ruleset, place, &mut HashSet::new());
        findings.push(judged(accepts, subject, || {
            format!(
                "nft insert rule {} {} {} ct state established,related accept",
                place.family, place.table, place.name
            )
        }));
    }
    findings
}

/// True when this tool of iptables shows the chain.
fn shows(save: &Save, place: &Place) -> bool {
    let family = if save.tool.starts_with("ip6") {
        "ip6"
    } else {
        "ip"
    };
    let mut policies = save.policies.iter();
    !save.tool.ends_with("-legacy")
        && place.family == family
        && policies.any(|(table, chain, _)| *table == place.table && *chain == place.name)
}

/// True when a base chain lets nothing through that no rule accepts.
fn drops(ruleset: &Ruleset, chain: &Chain) -> bool {
    let last = ruleset.rules_of(&chain.place).last();
    let has_last_word = last.is_some_and(|rule| {
        let mut parts = rule.statements.iter();
        let ends = parts.any(|part| part.get("drop").is_some() || part.get("reject").is_some());
        ends && rule
            .statements
            .iter()
            .all(|part| part.get("match").is_none())
    });
    chain.policy.as_deref() == Some("drop") || has_last_word
}

/// True when the chain, or one that it leads to, accepts what is established.
fn accepts(ruleset: &Ruleset, chain: &Place, seen: &mut HashSet<Place>) -> bool {
    if !seen.insert(chain.clone()) {
        return false;
    }
    ruleset.rules_of(chain).any(|rule| {
        takes_established(rule, |verdict| match target(verdict) {
            Some(name) => {
                let chain = Place {
                    name: name.to_owned(),
                    ..chain.clone()
                };
                // A chain for established packets may accept all that it gets.
                accepts(ruleset, &chain, seen) || accepts_all(ruleset, &chain)
            }
            None => verdict.get("accept").is_some(),
        }) || rule.statements.iter().any(|part| {
            target(part).is_some_and(|name| {
                let chain = Place {
                    name: name.to_owned(),
                    ..chain.clone()
                };
                accepts(ruleset, &chain, seen)
            })
        })
    }) || accepts_all(ruleset, chain)
}

/// True when the rule leads established packets to a verdict that is good.
fn takes_established(rule: &Rule, mut is_good: impl FnMut(&Value) -> bool) -> bool {
    let is_state = |value: &Value| value["ct"]["key"] == "state";
    let mut matched = false;
    for part in &rule.statements {
        let condition = &part["match"];
        if is_state(&condition["left"]) {
            let has = has_established(&condition["right"]);
            if has == (condition["op"] == "!=") {
                return false;
            }
            matched = true;
        }
        let map = &part["vmap"];
        if is_state(&map["key"]) {
            let pairs = map["data"]["set"].as_array().into_iter().flatten();
            return pairs
                .filter_map(Value::as_array)
                .filter(|pair| pair.first().is_some_and(has_established))
                .any(|pair| pair.last().is_some_and(&mut is_good));
        }
        let is_verdict = part.get("accept").is_some() || target(part).is_some();
        if matched && is_verdict && is_good(part) {
            return true;
        }
    }
    false
}

/// `established`, alone or among others.
fn has_established(value: &Value) -> bool {
    match value {
        Value::String(word) => word == "established",
        Value::Array(list) => list.iter().any(has_established),
        Value::Object(object) => object.get("set").is_some_and(has_established),
        _ => false,
    }
}

/// A rule that accepts without any condition.
fn accepts_all(ruleset: &Ruleset, chain: &Place) -> bool {
    ruleset.rules_of(chain).any(|rule| {
        let mut parts = rule.statements.iter();
        parts.all(|part| {
            ["accept", "counter", "log"]
                .iter()
                .any(|word| part.get(word).is_some())
        }) && rule
            .statements
            .iter()
            .any(|part| part.get("accept").is_some())
    })
}

fn in_iptables(save: &Save) -> Option<Finding> {
    let is_forward = |table: &str, chain: &str| table == "filter" && chain == "FORWARD";
    let policy = save
        .policies
        .iter()
        .find(|(table, chain, _)| is_forward(table, chain));
    let rules: Vec<_> = save
        .rules
        .iter()
        .filter(|rule| rule.table == "filter")
        .collect();
    let last = rules
        .iter()
        .rfind(|rule| is_forward(&rule.table, &rule.chain));
    let has_last_word = last.is_some_and(|rule| {
        matches!(rule.words.first().map(String::as_str), Some("-j"))
            && matches!(rule.target(), Some("DROP" | "REJECT"))
    });
    if policy.is_none_or(|(_, _, policy)| policy != "DROP") && !has_last_word {
        return None;
    }
    let subject = format!("{} filter FORWARD", save.tool);
    // Chains that FORWARD may lead to, as Docker and firewall managers make them.
    let mut chains = vec!["FORWARD"];
    let mut next = 0;
    while let Some(chain) = chains.get(next).copied() {
        next += 1;
        for rule in rules.iter().filter(|rule| rule.chain == chain) {
            if let Some(target) = rule.target()
                && rules.iter().any(|other| other.chain == target)
                && !chains.contains(&target)
            {
                chains.push(target);
            }
        }
    }
    let accepts = rules.iter().any(|rule| {
        let states = rule.option(&["--ctstate", "--state"]);
        let established =
            states.is_some_and(|states| states.split(',').any(|state| state == "ESTABLISHED"));
        let bare = rule.words.first().is_some_and(|word| word == "-j");
        chains.contains(&rule.chain.as_str())
            && (established || bare && rule.chain == "FORWARD")
            && rule
                .target()
                .is_some_and(|target| target == "ACCEPT" || established && chains.contains(&target))
    });
    Some(judged(accepts, subject, || {
        format!(
            "{} -I FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
            save.tool
        )
    }))
}

/// What to say of rules that drop by default, and how they are to be mended.
fn judged(accepts: bool, subject: impl Into<String>, mend: impl FnOnce() -> String) -> Finding {
    if accepts {
        let reason = "it drops by default and accepts what is established";
        Finding::ok(subject, reason)
    } else {
        Finding::warn(subject, WITHOUT, mend())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{
        Status,
        probe::{iptables, nft},
    };

    /// Printed by nft 1.0.6: a chain with all ways to accept what is established.
    const RULES: &str = include_str!("../probe/captured/helpers.json");
    const SAVE: &str = include_str!("../probe/captured/iptables-nft-save.txt");
    /// The same rules, as nft 1.0.6 prints them.
    const IPTABLES: &str = include_str!("../probe/captured/iptables-nft.json");
    /// Handles of the rules in it that do, each in its own way.
    const ACCEPTING: [u64; 4] = [18, 20, 22, 23];

    fn status(ruleset: &Ruleset) -> Vec<Status> {
        in_nft(ruleset, &[])
            .iter()
            .map(|finding| finding.status)
            .collect()
    }

    #[test]
    fn each_way_to_accept_what_is_established_is_known() {
        for handle in ACCEPTING {
            let mut ruleset = nft::parse(RULES).unwrap();
            ruleset
                .rules
                .retain(|rule| rule.handle == handle || !ACCEPTING.contains(&rule.handle));
            assert_eq!(status(&ruleset), [Status::Ok], "{handle}");
        }
    }

    #[test]
    fn related_alone_is_not_enough() {
        let mut ruleset = nft::parse(RULES).unwrap();
        ruleset
            .rules
            .retain(|rule| !ACCEPTING.contains(&rule.handle));
        assert_eq!(status(&ruleset), [Status::Warn]);
        // Without the policy the last rule drops.
        let forward = |chain: &&mut Chain| chain.place.name == "forward";
        let chain = ruleset.chains.iter_mut().find(forward).unwrap();
        chain.policy = Some("accept".to_owned());
        assert_eq!(status(&ruleset), [Status::Warn]);
        ruleset.rules.retain(|rule| rule.handle != 28);
        assert!(status(&ruleset).is_empty());
    }

    #[test]
    fn what_iptables_put_there_is_told_by_its_own_tool() {
        let ruleset = nft::parse(IPTABLES).unwrap();
        let save = iptables::parse("iptables-nft", SAVE);
        assert!(in_nft(&ruleset, &[&save]).is_empty());
        // The same table of the other family is another one.
        let other = iptables::parse("ip6tables-nft", SAVE);
        let older = iptables::parse("iptables-legacy", SAVE);
        let found = in_nft(&ruleset, &[&other, &older]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].status, Status::Skip);
    }

    #[test]
    fn the_same_with_iptables() {
        let judged = |text: &str| {
            let save = iptables::parse("iptables-nft", text);
            in_iptables(&save).map(|finding| finding.status)
        };
        assert_eq!(judged(SAVE), Some(Status::Ok));
        assert_eq!(
            judged(&SAVE.replace("RELATED,ESTABLISHED", "RELATED")),
            Some(Status::Warn)
        );
        assert_eq!(judged(&SAVE.replace("DROP", "ACCEPT")), None);
        assert_eq!(judged(""), None);
        let other = "*filter\n:FORWARD DROP [0:0]\n:OWN - [0:0]\n-A FORWARD -j OWN\n\
                     -A OWN -m state --state ESTABLISHED -j ACCEPT\nCOMMIT\n";
        assert_eq!(judged(other), Some(Status::Ok));
        assert_eq!(
            judged(&other.replace("-j OWN", "-j ELSE")),
            Some(Status::Warn)
        );
    }
}
