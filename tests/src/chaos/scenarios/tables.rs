//! Tables that are full.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::{
    chaos::stage::{Load, Stage},
    soak::traffic::kind::Kind,
    wait::wait_for,
};

/// Sessions that they take.
const ROOM: u64 = 24;

/// Awaited connections that they take.
const PLACES: u64 = 4 * ROOM;

/// Sessions beyond the room.
const BEYOND: u64 = 8;

/// Sessions that wait a while between an announcement and its use, all at once.
fn crowd(kinds: &'static [Kind], sessions: u64) -> Load {
    Load {
        kinds,
        sessions,
        rate: 0,
        clients: sessions,
        files: 1,
        pause: Duration::from_secs(3),
        sizes: &[1000],
    }
}

/// More control connections than the table takes: those beyond go on without help.
pub(super) fn sessions(stage: &Stage<'_>) -> Result<()> {
    let room = ROOM.to_string();
    let arguments = ["run", "-i", "wan0", "--session-limit", &room];
    // Far more than the client has: only what is counted twice could reach it.
    let _running = stage.start_agent(&[&arguments[..], &["--client-limit", "100"]].concat())?;
    let agent = stage.agent().context("it is about the agent's table")?;
    let active = stage.start(&crowd(&[Kind::Port, Kind::Eprt], ROOM + BEYOND))?;
    wait_for("a full table", Duration::from_secs(20), || {
        Ok((agent.count("session_table_full")? > 0).then_some(()))
    })?;
    // Passive ones need no help.
    stage.is_fine(&crowd(&[Kind::Pasv, Kind::Epsv], BEYOND), "without help")?;
    let outcome = stage.finish(active)?.sum();
    if outcome.kept < ROOM {
        stage.fault(format!(
            "{} of {ROOM} sessions that fit were helped: {}",
            outcome.kept,
            outcome.why.join("; ")
        ));
    }
    ensure!(outcome.lost > 0, "nothing was beyond the room");
    let refused = agent.count("client_limit")?;
    if refused > 0 {
        stage.fault(format!(
            "{refused} times the client was said to have 100 connections, which it never has"
        ));
    }
    stage.did(format!(
        "room for {ROOM}, {} helped, {} beyond it",
        outcome.kept, outcome.lost
    ));
    // Closed sessions make room early where they fill half of the table.
    wait_for("help again", Duration::from_secs(60), || {
        let tables = crate::soak::gauge::Tables::of(stage.lab, agent)?;
        Ok((tables.of_name("sessions") + BEYOND < ROOM).then_some(()))
    })?;
    let later = Load {
        pause: Duration::ZERO,
        ..crowd(&[Kind::Port, Kind::Eprt], BEYOND)
    };
    stage.is_fine(&later, "when there is room again")
}

/// More awaited connections than the table takes.
pub(super) fn expectations(stage: &Stage<'_>) -> Result<()> {
    const AT_ONCE: u64 = 6;

    let room = ROOM.to_string();
    let _running = stage.start_agent(&["run", "-i", "wan0", "--session-limit", &room])?;
    let agent = stage.agent().context("it is about the agent's table")?;
    let wan = stage.lab.setup.addresses.wan;
    for number in 0..PLACES {
        let to = format!("{wan}:{}", 50_000 + number);
        let words = ["expect", "add", "--src", "203.0.113.99", "--dst", &to];
        agent.table(&[&words[..], &["--timeout", "600"]].concat())?;
    }
    let load = |kinds| Load {
        kinds,
        sessions: AT_ONCE,
        clients: AT_ONCE,
        rate: 0,
        files: 1,
        sizes: &[1000],
        ..Load::default()
    };
    let active = stage.start(&load(&[Kind::Port, Kind::Eprt]))?;
    let outcome = stage.finish(active)?.sum();
    if outcome.kept > 0 {
        stage.fault(format!("{} transfers came into a full table", outcome.kept));
    }
    let counted = agent.count("expectation_table_full")?;
    if counted < outcome.lost {
        stage.fault(format!("{} lost, {counted} counted", outcome.lost));
    }
    stage.is_fine(&load(&[Kind::Pasv, Kind::Epsv]), "without help")?;
    agent.table(&["expect", "flush"])?;
    stage.is_fine(&load(&[Kind::Port, Kind::Eprt]), "when there is room again")?;
    stage.did(format!("room for {PLACES}, {} beyond it", outcome.lost));
    Ok(())
}
