//! What came of a fault.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Fault;
use crate::soak::traffic::drive::Count;

/// What was found while a fault was made.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Found {
    /// Transfers that arrived whole.
    pub kept: u64,
    /// Transfers that did not.
    pub lost: u64,
    /// Why the first ones were lost.
    pub why: Vec<String>,
    /// What was done, in words.
    pub done: Vec<String>,
    /// What `stats` has counted, but for normal work.
    pub counted: BTreeMap<String, u64>,
    /// What is not as it has to be.
    pub faults: Vec<String>,
}

impl Found {
    /// Adds what became of sessions.
    pub(super) fn add(&mut self, count: &Count) {
        self.kept += count.kept;
        self.lost += count.lost;
        self.why.extend(count.why.iter().cloned());
    }

    /// How often anything was counted that keeps a transfer from being helped, or a
    /// packet from going on.
    fn explained(&self) -> u64 {
        self.counted.values().sum()
    }
}

/// A fault, and what came of it with either helper.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Row {
    /// The fault's name.
    pub name: String,
    /// What it is.
    pub title: String,
    /// With ftp-helper.
    pub ours: Option<Found>,
    /// With the kernel's helper.
    pub kernels: Option<Found>,
    /// What is not as it has to be.
    pub faults: Vec<String>,
}

impl Row {
    pub(super) fn new(fault: &Fault, ours: Result<Found>, kernels: Option<Result<Found>>) -> Self {
        let mut faults = Vec::new();
        let mut take = |found: Result<Found>| {
            found
                .map_err(|error| faults.push(format!("could not be made: {error:#}")))
                .ok()
        };
        let (ours, kernels) = (take(ours), kernels.and_then(&mut take));
        if let Some(ours) = &ours {
            faults.extend(judge(ours, kernels.as_ref()));
        }
        Self {
            name: fault.name.to_owned(),
            title: fault.title.to_owned(),
            ours,
            kernels,
            faults,
        }
    }
}

/// What is not as it has to be.
fn judge(ours: &Found, kernels: Option<&Found>) -> Vec<String> {
    let mut faults = ours.faults.clone();
    let why = || ours.why.join("; ");
    if ours.kept == 0 {
        faults.push(format!("no transfer was kept: {}", why()));
    }
    if let Some(kernels) = kernels
        && ours.lost > kernels.lost
    {
        faults.push(format!(
            "{} transfers lost of which the kernel's helper keeps {}: {}",
            ours.lost,
            ours.lost - kernels.lost,
            why()
        ));
    }
    if ours.lost > ours.explained() {
        faults.push(format!(
            "{} transfers lost, and counted was {:?}: {}",
            ours.lost,
            ours.counted,
            why()
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kept: u64, lost: u64, counted: u64) -> Found {
        Found {
            kept,
            lost,
            counted: [("session_table_full".to_owned(), counted)].into(),
            ..Found::default()
        }
    }

    #[test]
    fn a_loss_has_to_be_counted_and_may_not_be_ours_alone() {
        assert!(judge(&found(10, 0, 0), None).is_empty());
        assert!(judge(&found(10, 2, 2), None).is_empty());
        assert!(judge(&found(10, 2, 2), Some(&found(10, 2, 0))).is_empty());
        assert_eq!(judge(&found(10, 2, 1), None).len(), 1);
        assert_eq!(judge(&found(10, 2, 2), Some(&found(11, 1, 0))).len(), 1);
        assert_eq!(judge(&found(0, 0, 0), None).len(), 1);
    }
}
