//! What a soak came to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    gauge::{Counter, Tables},
    traffic::drive::Count,
};
use crate::cost::machine::Machine;

/// Of [`Report`].
pub const SCHEMA: u32 = 1;

/// Everything.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Report {
    /// Of these types.
    pub schema_version: u32,
    /// How much was asked for.
    pub amount: String,
    /// What was drawn follows from it.
    pub seed: u64,
    /// What it was measured on.
    pub machine: Machine,
    /// How long it took.
    pub seconds: f64,
    /// The networks.
    pub wings: Vec<Wing>,
}

/// What came of a network.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Wing {
    /// Its name.
    pub name: String,
    /// Seconds in which sessions were made.
    pub seconds: f64,
    /// Sessions by kind, to the load's own server and to a real one.
    pub kinds: BTreeMap<String, Count>,
    /// How many of them went to a real server, and to which.
    pub real: Option<(String, u64)>,
    /// Packets that the wires lost, repeated, delayed or cut.
    pub impaired_packets: u64,
    /// Before the first session.
    pub before: Tables,
    /// Most entries that were seen.
    pub most: Tables,
    /// Behind the last one, when everything had its time.
    pub after: Tables,
    /// What `stats` has counted.
    pub counters: BTreeMap<String, Counter>,
    /// The agent's memory at even intervals, in kibibytes.
    pub memory: Vec<u64>,
    /// What it grew by behind its warm-up, in kibibytes.
    pub growth: Option<i64>,
    /// What is not as it has to be.
    pub faults: Vec<String>,
}

impl Report {
    /// Everything that is not as it has to be, with the name of the network.
    pub fn faults(&self) -> Vec<String> {
        let wings = self.wings.iter();
        wings
            .flat_map(|wing| wing.faults.iter().map(|it| format!("{}: {it}", wing.name)))
            .collect()
    }

    /// Over all networks and kinds.
    pub fn sum(&self) -> Count {
        let mut sum = Count::default();
        for count in self.wings.iter().flat_map(|wing| wing.kinds.values()) {
            sum.add(count);
        }
        sum
    }
}
