//! What rules of nftables match.
//!
//! Only what decides about a control port is looked at: protocol and
//! destination port. Everything else may match.

use std::collections::HashSet;

use serde_json::Value;

use super::nft::{Place, Rule, Ruleset};

const TCP: u64 = 6;

/// True when a TCP connection to `port` may get past the matches of a rule.
pub fn may_match(ruleset: &Ruleset, rule: &Rule, port: u16) -> bool {
    rule.statements.iter().all(|statement| {
        let condition = &statement["match"];
        if condition.is_null() {
            return true;
        }
        let right = &condition["right"];
        let found = match asked(&condition["left"]) {
            Asked::Port => holds(ruleset, &rule.chain, right, &Number::Port(port)),
            Asked::Protocol => holds(ruleset, &rule.chain, right, &Number::Protocol),
            Asked::OtherProtocol => return false,
            Asked::Else => return true,
        };
        let Some(found) = found else { return true };
        match condition["op"].as_str() {
            Some("==" | "in") => found == Order::Equal,
            Some("!=") => found != Order::Equal,
            Some("<") => found == Order::Below,
            Some(">") => found == Order::Above,
            Some("<=") => found != Order::Above,
            Some(">=") => found != Order::Below,
            _ => true,
        }
    })
}

/// True when a TCP connection to `port` may come to a chain.
pub fn may_reach(ruleset: &Ruleset, chain: &Place, port: u16) -> bool {
    reach(ruleset, chain, port, &mut HashSet::new())
}

fn reach(ruleset: &Ruleset, chain: &Place, port: u16, seen: &mut HashSet<Place>) -> bool {
    let mut chains = ruleset.chains.iter();
    if chains.any(|known| known.place == *chain && known.hook.is_some()) {
        return true;
    }
    if !seen.insert(chain.clone()) {
        return false;
    }
    ruleset.rules.iter().any(|rule| {
        (&rule.chain.family, &rule.chain.table) == (&chain.family, &chain.table)
            && leads_to(ruleset, rule, &chain.name, port)
            && may_match(ruleset, rule, port)
            && reach(ruleset, &rule.chain, port, seen)
    })
}

fn leads_to(ruleset: &Ruleset, rule: &Rule, chain: &str, port: u16) -> bool {
    rule.statements.iter().any(|statement| {
        target(statement) == Some(chain)
            || pairs(ruleset, rule, &statement["vmap"], port)
                .iter()
                .any(|verdict| target(verdict) == Some(chain))
    })
}

/// The chain that a verdict leads to.
pub fn target(verdict: &Value) -> Option<&str> {
    let target = ["jump", "goto"].iter().find_map(|word| verdict.get(word))?;
    target["target"].as_str()
}

/// The values of a map, like `{"key": .., "data": {"set": [[key, value], ..]}}`,
/// that a TCP connection to `port` may get.
pub fn pairs(ruleset: &Ruleset, rule: &Rule, map: &Value, port: u16) -> Vec<Value> {
    let data = &map["data"];
    let elements = match data.as_str().and_then(|name| name.strip_prefix('@')) {
        Some(name) => ruleset.elements(&named(&rule.chain, name)),
        None => data["set"].as_array().cloned(),
    };
    let is_port = matches!(asked(&map["key"]), Asked::Port);
    elements
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_array)
        .filter_map(|pair| {
            let [key, value] = pair.as_slice() else {
                return None;
            };
            let number = Number::Port(port);
            let fits = !is_port || compare(key, &number).is_none_or(|at| at == Order::Equal);
            fits.then(|| value.clone())
        })
        .collect()
}

fn named(chain: &Place, name: &str) -> Place {
    Place {
        name: name.to_owned(),
        ..chain.clone()
    }
}

/// What the left side of a match is.
enum Asked {
    /// The destination port of TCP.
    Port,
    /// The protocol above IP.
    Protocol,
    /// Something of a protocol that is not TCP.
    OtherProtocol,
    /// Something else.
    Else,
}

fn asked(left: &Value) -> Asked {
    if let Some(payload) = left.get("payload") {
        let part = |key: &str| payload[key].as_str().unwrap_or_default();
        return match (part("protocol"), part("field")) {
            ("tcp" | "th", "dport") => Asked::Port,
            ("ip", "protocol") | ("ip6", "nexthdr") => Asked::Protocol,
            ("udp" | "udplite" | "sctp" | "dccp" | "icmp" | "icmpv6", _) => Asked::OtherProtocol,
            _ => Asked::Else,
        };
    }
    match (left["meta"]["key"].as_str(), left["ct"]["key"].as_str()) {
        (Some("l4proto"), _) | (_, Some("protocol" | "l4proto")) => Asked::Protocol,
        // The destination of the connection's first packet.
        (_, Some("proto-dst")) if left["ct"]["dir"] != "reply" => Asked::Port,
        _ => Asked::Else,
    }
}

/// What a value is compared with.
enum Number {
    Port(u16),
    Protocol,
}

/// Where a number is, seen from a value of a rule.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Order {
    Below,
    Equal,
    Above,
}

/// [`compare`] with any of several values, and with those of a named set.
fn holds(ruleset: &Ruleset, chain: &Place, right: &Value, number: &Number) -> Option<Order> {
    let elements = if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@')) {
        ruleset.elements(&named(chain, name))?
    } else {
        let list = right.as_array().or_else(|| right["set"].as_array());
        list.cloned().unwrap_or_else(|| vec![right.clone()])
    };
    if let [one] = elements.as_slice() {
        return compare(one, number);
    }
    let mut unknown = false;
    for element in &elements {
        match compare(element, number) {
            Some(Order::Equal) => return Some(Order::Equal),
            Some(_) => {}
            None => unknown = true,
        }
    }
    // Sets are only tested for what is in them.
    (!unknown).then_some(Order::Above)
}

/// `None` for a value that is not understood.
fn compare(value: &Value, number: &Number) -> Option<Order> {
    // An element of a set may come with a comment or a time-out.
    let value = value.get("elem").map_or(value, |element| &element["val"]);
    let (wanted, words): (u64, &[(&str, u64)]) = match number {
        Number::Port(port) => (
            u64::from(*port),
            &[("ftp", 21), ("ftp-data", 20), ("ssh", 22)],
        ),
        Number::Protocol => (TCP, &[("tcp", TCP)]),
    };
    let read = |value: &Value| {
        let word = || {
            let text = value.as_str()?;
            // nft 1.0.6 takes some ports for a type that it does not know, and prints
            // `0x15 [invalid type]`.
            if let Some(digits) = text.strip_prefix("0x") {
                let digits = digits.split(' ').next()?;
                return u64::from_str_radix(digits, 16).ok();
            }
            let known = words.iter().find(|(word, _)| *word == text);
            match (known, number) {
                (Some((_, number)), _) => Some(*number),
                // The name of another protocol.
                (None, Number::Protocol) => Some(u64::MAX),
                (None, Number::Port(_)) => None,
            }
        };
        value.as_u64().or_else(word)
    };
    let range = value["range"].as_array().map(Vec::as_slice);
    let (first, last) = if let Some([first, last]) = range {
        (read(first)?, read(last)?)
    } else {
        let only = read(value)?;
        (only, only)
    };
    Some(if wanted < first {
        Order::Below
    } else if wanted > last {
        Order::Above
    } else {
        Order::Equal
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::probe::nft;

    const RULES: &str = include_str!("captured/helpers.json");
    const FLOWS: &str = include_str!("captured/flowtables.json");

    fn rule(ruleset: &Ruleset, handle: u64) -> &Rule {
        let mut rules = ruleset.rules.iter();
        rules.find(|rule| rule.handle == handle).unwrap()
    }

    #[test]
    fn rules_match_the_ports_that_they_name() {
        let ruleset = nft::parse(RULES).unwrap();
        let set = named(&rule(&ruleset, 11).chain, "ftp_ports");
        ruleset.set_elements(set, vec![21.into(), 2121.into()]);
        // The handles are those of the captured rules.
        for (handle, ports, others) in [
            (8, &[21][..], &[20, 22][..]),
            (10, &[2121, 3000, 3005, 3010], &[21, 2999, 3011]),
            (11, &[21, 2121], &[22]),
            (12, &[1, 21], &[]),
            (13, &[1000, 2121], &[21, 999]),
            (14, &[21], &[22]),
            (15, &[21], &[22]),
            (16, &[], &[21, 5060]),
        ] {
            let rule = rule(&ruleset, handle);
            for port in ports {
                assert!(may_match(&ruleset, rule, *port), "{handle}: {port}");
            }
            for port in others {
                assert!(!may_match(&ruleset, rule, *port), "{handle}: {port}");
            }
        }
    }

    #[test]
    fn a_set_that_can_not_be_read_may_hold_everything() {
        let ruleset = nft::parse(RULES).unwrap();
        assert!(may_match(&ruleset, rule(&ruleset, 11), 22));
    }

    #[test]
    fn flows_that_are_left_out() {
        let ruleset = nft::parse(FLOWS).unwrap();
        for (handle, control) in [(4, true), (5, false), (6, false)] {
            let rule = rule(&ruleset, handle);
            assert_eq!(may_match(&ruleset, rule, 21), control, "{handle}");
            assert!(may_match(&ruleset, rule, 80), "{handle}");
        }
    }

    #[test]
    fn ports_of_a_type_that_nft_does_not_know() {
        let text = FLOWS.replace("\"right\": 21}", "\"right\": \"0x15 [invalid type]\"}");
        assert_ne!(text, FLOWS);
        let ruleset = nft::parse(&text).unwrap();
        for handle in [5, 6] {
            let rule = rule(&ruleset, handle);
            assert!(!may_match(&ruleset, rule, 21), "{handle}");
            assert!(may_match(&ruleset, rule, 22), "{handle}");
        }
    }

    #[test]
    fn chains_are_reached_by_jumps_and_maps() {
        let mut ruleset = nft::parse(RULES).unwrap();
        let sub = named(&rule(&ruleset, 8).chain, "sub");
        assert!(may_reach(&ruleset, &sub, 80));
        // Without the jump there is the map alone, which has port 22 in it.
        ruleset.rules.retain(|rule| rule.handle != 26);
        assert!(may_reach(&ruleset, &sub, 22));
        assert!(!may_reach(&ruleset, &sub, 80));
        ruleset.rules.retain(|rule| rule.handle != 25);
        assert!(!may_reach(&ruleset, &sub, 22));
    }
}
