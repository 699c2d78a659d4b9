//! What happens to memory.

use std::{
    os::unix::process::ExitStatusExt as _,
    thread::{available_parallelism, sleep},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::{
    chaos::{
        group::MemoryGroup,
        stage::{Load, Stage},
    },
    process::Daemon,
    soak::traffic::kind::Kind,
    wait::wait_for,
};

const MIB: u64 = 1 << 20;
const FULL: &str = "session_table_full";
const ARGUMENTS: [&str; 3] = ["run", "-i", "wan0"];

/// A limit for the agent and its maps.
pub(super) fn limited(stage: &Stage<'_>) -> Result<()> {
    let load = Load {
        sessions: stage.amount.sessions / 2,
        ..Load::default()
    };
    let Some(group) = stage.group() else {
        stage.did("not limited: this machine has no control groups for memory".to_owned());
        let _running = stage.start_agent(&ARGUMENTS)?;
        return stage.is_fine(&load, "without a limit");
    };
    // Something works already, and no start may take that away.
    drop(stage.start_agent(&ARGUMENTS)?);
    let driven = stage.start(&load)?;
    let mut ends = [0_u32; 2];
    let mut fits = None;
    for limit in [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128] {
        match start(stage, group, limit * MIB)? {
            Start::Refused => ends[0] += 1,
            Start::Killed => ends[1] += 1,
            Start::Ready(agent) => {
                fits = Some((limit, agent));
                break;
            }
        }
    }
    let (limit, agent) = fits.context("128 MiB are too little")?;
    let outcome = stage.finish(driven)?;
    if outcome.sum().lost > 0 {
        let why = outcome.sum().why.join("; ");
        stage.fault(format!("lost while no agent could start: {why}"));
    }
    stage.all_were_admitted(&outcome)?;
    stage.did(format!(
        "{} starts refused, {} killed by the kernel, then one with {limit} MiB",
        ends[0], ends[1]
    ));
    drop(agent);
    // Maps count for the group in which they are made.
    stage.agent().context("no agent here")?.table(&["detach"])?;
    let Start::Ready(agent) = start(stage, group, (limit + 256) * MIB)? else {
        bail!("more memory is too little");
    };
    starve(stage, group, &agent)?;
    drop(agent);
    let _running = stage.start_agent(&ARGUMENTS)?;
    let few = Load {
        sessions: 20,
        rate: 0,
        ..Load::default()
    };
    recovers(stage, &few)?;
    stage.nothing_is_left();
    Ok(())
}

/// Each processor has a few entries at hand for the programs, and is given new ones when
/// one of them finds none: behind a shortage, each may lose one session.
fn recovers(stage: &Stage<'_>, load: &Load) -> Result<()> {
    let agent = stage.agent().context("no agent here")?;
    let before = agent.count(FULL)?;
    let outcome = stage.finish(stage.start(load)?)?.sum();
    let counted = agent.count(FULL)? - before;
    let processors = available_parallelism()?.get() as u64;
    if outcome.failed > counted || counted > processors {
        let why = outcome.why.join("; ");
        stage.fault(format!("behind it, with {counted} of {FULL}: {why}"));
    }
    Ok(())
}

/// What became of a start.
enum Start {
    Ready(Daemon),
    /// It said why not.
    Refused,
    /// By the kernel, which has no other way to give a process less memory.
    Killed,
}

fn start(stage: &Stage<'_>, group: &MemoryGroup, limit: u64) -> Result<Start> {
    if !group.limit(limit)? {
        bail!("the limit of {limit} bytes is not taken");
    }
    let mut agent = stage.launch_in(group, "limited", &ARGUMENTS)?;
    wait_for("the end of a start", Duration::from_secs(120), || {
        let ended = agent.ended()?;
        let said = agent.log()?;
        let Some(status) = ended else {
            return Ok(said.contains("ready").then_some(None));
        };
        let last = said.lines().last().unwrap_or_default();
        if status.code() == Some(1) && last.contains("error: ") {
            return Ok(Some(Some(Start::Refused)));
        }
        ensure!(
            status.signal() == Some(Signal::SIGKILL as i32),
            "{limit} bytes: the agent ended with {status}: {said}"
        );
        Ok(Some(Some(Start::Killed)))
    })
    .map(|end| end.unwrap_or(Start::Ready(agent)))
}

/// No memory is left for entries of the maps.
fn starve(stage: &Stage<'_>, group: &MemoryGroup, agent: &Daemon) -> Result<()> {
    // It takes nothing for itself meanwhile.
    agent.signal(Signal::SIGSTOP)?;
    // The kernel takes back what it can each time, until nothing more can go.
    for _ in 0..20 {
        let used = group.usage()?;
        if !group.limit(used - used / 50)? && group.limit(group.usage()?)? {
            break;
        }
    }
    let driven = stage.start(&Load {
        kinds: &[Kind::Port, Kind::Pasv],
        sessions: 1500,
        clients: 64,
        rate: 0,
        files: 1,
        pause: Duration::from_millis(100),
        sizes: &[1000],
    })?;
    let outcome = stage.finish(driven)?;
    let passive = outcome.kinds.get(Kind::Pasv.word());
    if passive.is_none_or(|count| count.lost > 0 || count.kept == 0) {
        stage.fault(format!("transfers that need no help: {passive:?}"));
    }
    let outcome = outcome.sum();
    stage.did(format!(
        "no memory for more entries: {} transfers kept, {} lost",
        outcome.kept, outcome.lost
    ));
    ensure!(group.limit(1 << 40)?, "the limit can not be lifted");
    agent.signal(Signal::SIGCONT)?;
    sleep(Duration::from_millis(100));
    Ok(())
}
