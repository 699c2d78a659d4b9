//! The rules of nftables, as `nft -j` prints them.
//!
//! Rules are kept as they are in the JSON: a model of every statement would
//! refuse the whole ruleset for one that a later nft adds, and only a few of
//! them matter here. Elements of named sets are left out, because lists of
//! blocked addresses can be very long; those that a rule asks for are read one
//! by one.

use std::{cell::RefCell, collections::HashMap};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    Patience,
    command::{self, Outcome},
};

/// A table, or something in one: family and names.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Place {
    /// `ip`, `ip6`, `inet`, `bridge`, `netdev` ...
    pub family: String,
    /// The table.
    pub table: String,
    /// The thing in it.
    pub name: String,
}

/// A chain.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Chain {
    /// Where it is.
    pub place: Place,
    /// The hook of a base chain.
    pub hook: Option<String>,
    /// `filter`, `nat` or `route`.
    pub kind: Option<String>,
    /// What a base chain does at its end.
    pub policy: Option<String>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// The chain that it is in.
    pub chain: Place,
    /// Its number, for commands.
    pub handle: u64,
    /// Its statements.
    pub statements: Vec<Value>,
}

/// A flow table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FlowTable {
    /// Where it is.
    pub place: Place,
    /// Its devices.
    pub devices: Vec<String>,
    /// Devices shall forward the packets (`flags offload`).
    pub hardware: bool,
}

/// A helper of conntrack that rules can attach.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Helper {
    /// Where it is.
    pub place: Place,
    /// The kernel's name of it.
    pub kind: String,
}

/// All rules.
#[derive(Debug, Default)]
pub struct Ruleset {
    /// Chains, base chains and others.
    pub chains: Vec<Chain>,
    /// Rules in their order.
    pub rules: Vec<Rule>,
    /// Flow tables.
    pub flow_tables: Vec<FlowTable>,
    /// Helpers.
    pub helpers: Vec<Helper>,
    sets: RefCell<HashMap<Place, Option<Vec<Value>>>>,
    patience: Option<Patience>,
}

/// Reads the rules of this network namespace.
pub fn read(patience: Patience) -> Result<Ruleset> {
    let mut ruleset = parse(&nft(&["-j", "-t", "list", "ruleset"], patience)?)?;
    ruleset.patience = Some(patience);
    if !ruleset.flow_tables.is_empty() {
        // The JSON does not tell their flags.
        let text = nft(&["list", "flowtables"], patience)?;
        for place in hardware(&text) {
            let mut tables = ruleset.flow_tables.iter_mut();
            if let Some(table) = tables.find(|table| table.place == place) {
                table.hardware = true;
            }
        }
    }
    Ok(ruleset)
}

fn nft(arguments: &[&str], patience: Patience) -> Result<String> {
    match command::run("nft", arguments, patience)? {
        Outcome::Printed(text) => Ok(text),
        Outcome::Missing => anyhow::bail!("there is no `nft`: install the package nftables"),
    }
}

/// Understands what `nft -j list ruleset` prints.
pub fn parse(text: &str) -> Result<Ruleset> {
    let value: Value = serde_json::from_str(text).context("`nft -j` did not print JSON")?;
    let objects = value["nftables"]
        .as_array()
        .context("`nft -j` printed no list of objects")?;
    let mut ruleset = Ruleset::default();
    for object in objects {
        let Some((kind, object)) = object.as_object().and_then(|object| object.iter().next())
        else {
            continue;
        };
        match kind.as_str() {
            "chain" => ruleset.chains.push(Chain {
                place: place(object, "name"),
                hook: word(object, "hook"),
                kind: word(object, "type"),
                policy: word(object, "policy"),
            }),
            "rule" => ruleset.rules.push(Rule {
                chain: place(object, "chain"),
                handle: object["handle"].as_u64().unwrap_or_default(),
                statements: object["expr"].as_array().cloned().unwrap_or_default(),
            }),
            "flowtable" => ruleset.flow_tables.push(FlowTable {
                place: place(object, "name"),
                devices: words(&object["dev"]),
                hardware: words(&object["flags"]).iter().any(|flag| flag == "offload"),
            }),
            "ct helper" => ruleset.helpers.push(Helper {
                place: place(object, "name"),
                kind: word(object, "type").unwrap_or_default(),
            }),
            _ => {}
        }
    }
    Ok(ruleset)
}

impl Ruleset {
    /// The rules of a chain, in their order.
    pub fn rules_of<'a>(&'a self, chain: &'a Place) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |rule| rule.chain == *chain)
    }

    /// The elements of a named set or map; `None` when they can not be had.
    pub fn elements(&self, place: &Place) -> Option<Vec<Value>> {
        if let Some(known) = self.sets.borrow().get(place) {
            return known.clone();
        }
        let found = self.patience.and_then(|patience| {
            ["set", "map"].into_iter().find_map(|kind| {
                let Place {
                    family,
                    table,
                    name,
                } = place;
                let text = nft(&["-j", "list", kind, family, table, name], patience).ok()?;
                elements(&text)
            })
        });
        self.sets.borrow_mut().insert(place.clone(), found.clone());
        found
    }

    #[cfg(test)]
    pub(crate) fn set_elements(&self, place: Place, elements: Vec<Value>) {
        self.sets.borrow_mut().insert(place, Some(elements));
    }
}

/// The elements in what `nft -j list set` prints.
pub(crate) fn elements(text: &str) -> Option<Vec<Value>> {
    let value: Value = serde_json::from_str(text).ok()?;
    value["nftables"].as_array()?.iter().find_map(|object| {
        let set = object.get("set").or_else(|| object.get("map"))?;
        Some(set["elem"].as_array().cloned().unwrap_or_default())
    })
}

/// The flow tables with `flags offload` in what `nft list flowtables` prints.
pub(crate) fn hardware(text: &str) -> Vec<Place> {
    let mut found = Vec::new();
    let mut place = Place::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["table", family, table, "{"] => {
                (*family).clone_into(&mut place.family);
                (*table).clone_into(&mut place.table);
            }
            ["flowtable", name, "{"] => (*name).clone_into(&mut place.name),
            ["flags", flags @ ..] => {
                let mut flags = flags.iter().flat_map(|word| word.split([',', ';']));
                if flags.any(|flag| flag == "offload") {
                    found.push(place.clone());
                }
            }
            _ => {}
        }
    }
    found
}

fn place(object: &Value, name: &str) -> Place {
    let text = |key: &str| word(object, key).unwrap_or_default();
    Place {
        family: text("family"),
        table: text("table"),
        name: text(name),
    }
}

fn word(object: &Value, key: &str) -> Option<String> {
    object[key].as_str().map(str::to_owned)
}

/// One word, or a list of them.
fn words(value: &Value) -> Vec<String> {
    let one = std::slice::from_ref(value);
    let list = value.as_array().map_or(one, Vec::as_slice);
    list.iter()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by nft 1.0.6 on Linux 6.12.
    const FLOW_TABLES: &str = include_str!("captured/flowtables.txt");
    const FLOW_RULES: &str = include_str!("captured/flowtables.json");
    const SET: &str = include_str!("captured/set.json");
    const HELPERS: &str = include_str!("captured/helpers.json");

    fn place(family: &str, table: &str, name: &str) -> Place {
        Place {
            family: family.to_owned(),
            table: table.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn flow_tables_and_their_devices() {
        let ruleset = parse(FLOW_RULES).unwrap();
        let tables: Vec<_> = ruleset
            .flow_tables
            .iter()
            .map(|table| (table.place.name.as_str(), table.devices.join(" ")))
            .collect();
        assert_eq!(
            tables,
            [("f", "lan0 wan0".to_owned()), ("e", String::new())]
        );
    }

    #[test]
    fn the_flags_of_flow_tables_are_in_the_text() {
        assert_eq!(hardware(FLOW_TABLES), [place("inet", "x", "e")]);
        assert!(hardware("").is_empty());
    }

    #[test]
    fn elements_of_a_set() {
        assert_eq!(elements(SET).unwrap(), [Value::from(21), Value::from(2121)]);
        assert_eq!(elements("{\"nftables\": []}"), None);
    }

    #[test]
    fn chains_rules_and_helpers() {
        let ruleset = parse(HELPERS).unwrap();
        let helpers: Vec<_> = ruleset
            .helpers
            .iter()
            .map(|helper| (helper.place.name.as_str(), helper.kind.as_str()))
            .collect();
        assert_eq!(helpers, [("ftp", "ftp"), ("sip", "sip")]);
        let forward = ruleset
            .chains
            .iter()
            .find(|chain| chain.place.name == "forward");
        let forward = forward.unwrap();
        assert_eq!(forward.hook.as_deref(), Some("forward"));
        assert_eq!(forward.policy.as_deref(), Some("drop"));
        assert!(ruleset.rules_of(&forward.place).count() > 3);
        let first = &ruleset.rules[0];
        assert_eq!(first.handle, 8);
        assert_eq!(first.statements.len(), 2);
    }

    #[test]
    fn what_is_no_ruleset_is_refused() {
        for text in ["", "{}", "{\"nftables\": 5}"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(
            parse("{\"nftables\": [{\"new\": {}}, 7]}")
                .unwrap()
                .rules
                .is_empty()
        );
    }
}
