//! What happens to the clock.
//!
//! The programs take the time since boot from the kernel, and the agent compares it with
//! `CLOCK_BOOTTIME`; what date it is matters to neither. A time namespace can put that
//! clock somewhere else for a process, and nobody else notices.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::{
    agent::RunningAgent,
    chaos::stage::{Load, Stage},
    soak::traffic::kind::Kind,
};

/// A day, and back to shortly behind boot.
const JUMPS: [&str; 2] = ["86400", "-30"];

/// The agent's clock jumps while data connections are awaited.
pub(super) fn jump(stage: &Stage<'_>) -> Result<()> {
    let mut running = stage.start_agent(&["run", "-i", "wan0"])?;
    for jump in JUMPS {
        let driven = stage.start(&Load {
            kinds: &[Kind::Port, Kind::Eprt],
            sessions: stage.amount.sessions / 10,
            rate: 10,
            clients: 100,
            files: 2,
            // The agent looks for expired ones in each second.
            pause: Duration::from_millis(2500),
            sizes: &[1000],
        })?;
        if stage.agent().is_some() {
            drop(running.take());
            running = Some(elsewhen(stage, jump)?);
        }
        stage.finish(driven)?;
    }
    if stage.agent().is_some() {
        stage.did(format!("by {} seconds", JUMPS.join(" and by ")));
    }
    drop(running);
    let running = stage.start_agent(&["run", "-i", "wan0"])?;
    stage.nothing_is_left();
    drop(running);
    Ok(())
}

/// Starts the agent with its clock so many seconds ahead.
fn elsewhen(stage: &Stage<'_>, seconds: &str) -> Result<RunningAgent> {
    let agent = stage.agent().context("no agent here")?;
    let words = ["--time", "--boottime", seconds].map(str::to_owned);
    let running = agent.start_through("unshare", &words, &["run", "-i", "wan0"])?;
    ensure!(!running.log()?.is_empty(), "it says nothing");
    Ok(running)
}
