//! The kernel's connection table.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::{
    chaos::{
        crowd::{Crowd, limit},
        stage::{Load, Stage},
    },
    soak::{gauge::conntrack, traffic::kind::Kind},
    wait::wait_for,
};

/// Sessions; each of their data connections comes into a full table.
const SESSIONS: u64 = 8;

/// Room that the control connections leave.
const SLACK: u64 = 64;

/// Longest wait for what follows at once.
const LIMIT: Duration = Duration::from_secs(30);

/// It is full when data connections come.
pub(super) fn full(stage: &Stage<'_>) -> Result<()> {
    let lab = stage.lab;
    let _running = stage.start_agent(&["run", "-i", "wan0"])?;
    let most = limit(lab)?;
    let mut crowd = Crowd::new(lab);
    crowd.add(most.saturating_sub(conntrack(lab)? + SLACK))?;
    let before = conntrack(lab)?;
    let driven = stage.start(&Load {
        kinds: &[Kind::Port, Kind::Eprt],
        sessions: SESSIONS,
        clients: SESSIONS,
        rate: 0,
        files: 1,
        // Until then the table is full.
        pause: Duration::from_secs(4),
        sizes: &[1000, 100_000],
    })?;
    wait_for("all control connections", LIMIT, || {
        Ok((conntrack(lab)? >= before + SESSIONS).then_some(()))
    })?;
    crowd.fill()?;
    let refused = wait_for("a refused data connection", LIMIT, || {
        let refused = refused(stage)?;
        Ok((refused > 0).then_some(refused))
    })?;
    ensure!(driven.over() == 0, "a transfer came into a full table");
    // All of them have come once.
    std::thread::sleep(Duration::from_millis(500));
    crowd.thin_out()?;
    stage.finish(driven)?;
    stage.did(format!(
        "{most} entries; {refused} first packets were refused at least"
    ));
    Ok(())
}

/// First packets that found no room: the programs count those of ours, and conntrack, as
/// the sum of all processors, those of the kernel's helper.
fn refused(stage: &Stage<'_>) -> Result<u64> {
    if let Some(agent) = stage.agent() {
        return agent.count("conntrack_insert_failed");
    }
    let text = stage.lab.gateway.must("conntrack -S")?;
    let drops = text
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("drop="));
    drops
        .map(|number| number.parse::<u64>().context("no number"))
        .sum()
}
