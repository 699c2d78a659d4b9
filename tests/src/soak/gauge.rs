//! What is measured on a gateway.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{agent::Agent, lab::Lab};

/// Longest name of a process.
const COMM: usize = 15;

/// What is in the tables of a gateway.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Tables {
    /// Entries of each of the agent's tables.
    pub entries: BTreeMap<String, u64>,
    /// Control connections that are not over.
    pub open: u64,
    /// Entries of the kernel's connection table.
    pub conntrack: u64,
}

impl Tables {
    /// As they are now.
    pub fn of(lab: &Lab, agent: &Agent) -> Result<Self> {
        let status = agent.json(&["status"])?;
        let number = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
        let tables = status["tables"].as_array().context("no tables")?;
        let sessions = &status["sessions"];
        let open = ["open", "encrypted", "candidate"].map(|state| number(&sessions[state]));
        Ok(Self {
            entries: tables
                .iter()
                .filter_map(|table| {
                    Some((
                        table["name"].as_str()?.to_owned(),
                        number(&table["entries"]),
                    ))
                })
                .collect(),
            open: open.iter().sum(),
            conntrack: conntrack(lab)?,
        })
    }

    /// Whether there is no more in them than there was. Handshakes do not count: that
    /// table forgets the oldest when it needs room, and one that is repeated behind its
    /// session's end stays until then.
    pub fn is_empty_as(&self, before: &Self) -> bool {
        let relevant = self
            .entries
            .iter()
            .filter(|(name, _)| *name != "handshakes");
        let mut relevant = relevant.map(|(name, entries)| *entries <= before.of_name(name));
        relevant.all(|it| it) && self.open <= before.open && self.conntrack <= before.conntrack
    }

    /// Entries of a table of the agent's.
    pub fn of_name(&self, name: &str) -> u64 {
        self.entries.get(name).copied().unwrap_or_default()
    }
}

/// Entries of the gateway's connection table.
pub fn conntrack(lab: &Lab) -> Result<u64> {
    let path = "/proc/sys/net/netfilter/nf_conntrack_count";
    let text = lab
        .gateway
        .enter(|| fs::read_to_string(path).with_context(|| path.to_owned()))?;
    text.trim().parse().context("no number of entries")
}

/// Everything that `stats` has counted, without what never happened; with the class of
/// each.
pub fn counters(agent: &Agent) -> Result<BTreeMap<String, Counter>> {
    let stats = agent.json(&["stats"])?;
    let rows = stats.as_array().context("no rows")?;
    let counters = rows.iter().filter_map(|row| {
        let counter = Counter {
            class: row["class"].as_str()?.to_owned(),
            count: row["count"].as_u64()?,
        };
        Some((row["reason"].as_str()?.to_owned(), counter))
    });
    Ok(counters.filter(|(_, it)| it.count > 0).collect())
}

/// How often something happened.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Counter {
    /// What kind of thing it is: `work`, `refusal`, `drop` or `fault`.
    pub class: String,
    /// How often.
    pub count: u64,
}

/// The agent's process, as the lab numbers it: there is one.
pub fn process_of(agent: &Agent) -> Result<PathBuf> {
    let name = agent.program().file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let wanted = name.get(..COMM).unwrap_or(&name);
    fs::read_dir("/proc")?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| fs::read_to_string(path.join("comm")).is_ok_and(|it| it.trim() == wanted))
        .context("the agent does not run")
}

/// Kibibytes of a process that are in memory.
pub fn memory(process: &std::path::Path) -> Result<u64> {
    let path = process.join("status");
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    text.lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .with_context(|| format!("no VmRSS in {}", path.display()))
}

/// What samples grew by: the median of the last fifth, without the median of the fifth
/// behind the warm-up, which is a fifth itself. `None` of too few samples.
pub fn growth(samples: &[u64]) -> Option<i64> {
    let fifth = samples.len() / 5;
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied()
    };
    if fifth == 0 {
        return None;
    }
    let first = median(samples.get(fifth..2 * fifth)?)?;
    let last = median(samples.get(samples.len() - fifth..)?)?;
    i64::try_from(last).ok()?.checked_sub_unsigned(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_what_comes_behind_the_warm_up() {
        let flat: Vec<u64> = [100, 200, 900].into_iter().chain([1000; 12]).collect();
        assert_eq!(growth(&flat), Some(0));
        let leak: Vec<u64> = (0..50).map(|number| 1000 + 10 * number).collect();
        assert_eq!(growth(&leak), Some(300));
        assert_eq!(growth(&[1, 2, 3]), None);
    }
}
