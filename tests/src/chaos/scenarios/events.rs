//! What happens to events.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    chaos::stage::{Load, Stage},
    soak::traffic::kind::Kind,
    wait::wait_for,
};

/// Longest wait for a line.
const LIMIT: Duration = Duration::from_secs(20);

/// Nobody reads them for a while.
pub(super) fn full(stage: &Stage<'_>) -> Result<()> {
    // A session makes two events, and each of its active transfers three: more than
    // 256 KiB of them.
    let load = Load {
        kinds: &[Kind::Port],
        sessions: stage.amount.sessions.max(150),
        rate: 0,
        files: 8,
        pause: Duration::ZERO,
        sizes: &[1000],
        ..Load::default()
    };
    let running = stage.start_agent(&["run", "-i", "wan0"])?;
    let watch = match stage.agent() {
        Some(_) => Some(stage.launch("watch", &["watch", "-o", "jsonl"])?),
        None => None,
    };
    if let (Some(running), Some(watch)) = (&running, &watch) {
        // It listens as soon as it shows something.
        let one = Load {
            sessions: 1,
            ..load.clone()
        };
        wait_for("the first event", LIMIT, || {
            stage.is_fine(&one, "before it")?;
            Ok((!watch.log()?.is_empty()).then_some(()))
        })?;
        running.signal(Signal::SIGSTOP)?;
    }
    let outcome = stage.while_under_way(&load, || {
        std::thread::sleep(Duration::from_millis(100));
        Ok(())
    })?;
    let (Some(running), Some(watch), Some(agent)) = (running, watch, stage.agent()) else {
        return Ok(());
    };
    running.signal(Signal::SIGCONT)?;
    let lost = agent.count("event_lost")?;
    ensure!(lost > 0, "the ring took everything");
    let mut said = Said::default();
    let waited = wait_for("the word that events were lost", LIMIT, || {
        said = Said::of(&watch.log()?);
        Ok((said.ring > 0 && said.events > 0).then_some(()))
    });
    waited.with_context(|| format!("{lost} events were lost, `watch` said {said:?}"))?;
    if said.ring != lost {
        stage.fault(format!("{lost} events were lost, `watch` said {said:?}"));
    }
    stage.did(format!("{lost} events lost, `watch` said so"));
    stage.all_were_admitted(&outcome)?;
    stage.nothing_is_left();
    Ok(())
}

/// What `watch` has said.
#[derive(Debug, Default)]
struct Said {
    events: usize,
    /// Events that the ring had no room for.
    ring: u64,
    /// Lines that it was itself too slow for.
    client: u64,
}

impl Said {
    fn of(log: &str) -> Self {
        let mut said = Self::default();
        for line in log.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                // The last one may be under way.
                continue;
            };
            let count = line["count"].as_u64().unwrap_or_default();
            match (line["kind"].as_str(), line["place"].as_str()) {
                (Some("lost"), Some("ring")) => said.ring += count,
                (Some("lost"), _) => said.client += count,
                _ => said.events += 1,
            }
        }
        said
    }
}
