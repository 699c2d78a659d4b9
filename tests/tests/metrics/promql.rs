//! What expressions of dashboards and alerts name.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

use super::scrape::Scrape;

/// A metric of ours, and its matchers if it has any.
static METRIC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(ftp_helper_\w+)(?:\{([^}]*)\})?").unwrap());
static MATCHER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)""#).unwrap());
/// Labels that are kept, left out, or written somewhere.
static LABELS: LazyLock<Regex> = LazyLock::new(|| {
    let lists = r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)";
    let written = r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}";
    Regex::new(&format!("{lists}|{written}")).unwrap()
});

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["instance", "job"];

/// How many metrics a text names, and what of it does not exist in a scrape.
pub(crate) fn check(text: &str, scrape: &Scrape) -> (usize, Vec<String>) {
    let names = scrape.names();
    let mut faults = Vec::new();
    let mut count = 0;
    for found in METRIC.captures_iter(text) {
        count += 1;
        let Some(labels) = names.get(&found[1]) else {
            faults.push(format!("no metric {}", &found[1]));
            continue;
        };
        let matchers = found.get(2).map_or("", |matchers| matchers.as_str());
        for matcher in MATCHER.captures_iter(matchers) {
            let (label, value) = (&matcher[1], &matcher[3]);
            if ADDED.contains(&label) {
                continue;
            }
            let Some(values) = labels.get(label) else {
                faults.push(format!("{} has no label {label}", &found[1]));
                continue;
            };
            let alternatives = if matcher[2].ends_with('~') {
                value.split('|').collect()
            } else {
                vec![value]
            };
            for value in alternatives {
                if !values.contains(value) {
                    faults.push(format!("{} has no {label}=\"{value}\"", &found[1]));
                }
            }
        }
    }
    let known: BTreeSet<&str> = names
        .values()
        .flat_map(|labels| labels.keys().map(String::as_str))
        .chain(ADDED)
        .collect();
    for found in LABELS.captures_iter(text) {
        let list = found.get(1).or(found.get(2));
        let list = list.map_or("", |list| list.as_str());
        for label in list.split(',').map(str::trim) {
            if !known.contains(label) {
                faults.push(format!("no label {label}"));
            }
        }
    }
    (count, faults)
}

/// Every text in a dashboard that may name something.
pub(crate) fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}
