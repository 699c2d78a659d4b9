//! What the gateway's connection tracking thinks of packets.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    host::Host,
    lab::{FILES, Lab},
};

/// Where packets are looked at.
const HOOKS: [&str; 5] = ["prerouting", "input", "forward", "output", "postrouting"];

/// Rules on the gateway that count packets by their state.
#[derive(Debug)]
pub struct Watch {
    gateway: Host,
}

/// Packets of one state, by hook.
pub type Counts = BTreeMap<String, u64>;

impl Watch {
    /// Counts from now on.
    pub fn start(lab: &Lab) -> Result<Self> {
        let chains = HOOKS.map(|hook| {
            format!(
                "    chain {hook} {{
        type filter hook {hook} priority filter - 1
        ct state invalid counter comment \"invalid\"
        ct state established counter comment \"established\"
    }}
"
            )
        });
        let file = Path::new(FILES).join("watch.nft");
        fs::write(
            &file,
            format!("table inet watch {{\n{}}}\n", chains.concat()),
        )?;
        lab.gateway.must(&format!("nft -f {}", file.display()))?;
        Ok(Self {
            gateway: lab.gateway.clone(),
        })
    }

    /// Packets that belong to no connection, or contradict the one they claim to
    /// belong to; hooks without any are left out.
    pub fn invalid(&self) -> Result<Counts> {
        self.count("invalid")
    }

    /// Packets of connections that were answered.
    pub fn established(&self) -> Result<Counts> {
        self.count("established")
    }

    fn count(&self, state: &str) -> Result<Counts> {
        let text = self.gateway.must("nft -j list table inet watch")?;
        let list: Value = serde_json::from_str(&text).context("output of nft -j")?;
        let mut counts = Counts::new();
        for rule in list["nftables"].as_array().into_iter().flatten() {
            let rule = &rule["rule"];
            if rule["comment"] != state {
                continue;
            }
            let counter = rule["expr"]
                .as_array()
                .and_then(|parts| parts.iter().find_map(|part| part.get("counter")))
                .and_then(|counter| counter["packets"].as_u64())
                .with_context(|| format!("no counter in {rule}"))?;
            if counter > 0 {
                let hook = rule["chain"].as_str().unwrap_or_default();
                counts.insert(hook.to_owned(), counter);
            }
        }
        Ok(counts)
    }
}
