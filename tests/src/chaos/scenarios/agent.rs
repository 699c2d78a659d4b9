//! What happens to the agent.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::{
    agent::PINS,
    chaos::stage::{Load, Stage},
    process::Daemon,
    wait::wait_for,
};

/// Longest start.
const START: Duration = Duration::from_secs(60);

/// Where there is nothing to do but to wait.
const IDLE: Duration = Duration::from_millis(100);

/// A few sessions after the fault.
fn few() -> Load {
    Load {
        sessions: 20,
        rate: 0,
        ..Load::default()
    }
}

/// Names of everything that is pinned.
fn pins() -> Result<BTreeSet<String>> {
    fs::read_dir(PINS)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// As many sessions as without it, and other numbers: those starts move all tables.
const LIMITS: [&str; 3] = ["16384", "16384", "20000"];

fn with_limit(number: usize) -> [&'static str; 5] {
    ["run", "-i", "wan0", "--session-limit", LIMITS[number % 3]]
}

/// Fewest kills: the second start comes behind one.
const ENOUGH: u64 = 2;

/// It is killed at random points, and started again at once.
pub(super) fn killed(stage: &Stage<'_>) -> Result<()> {
    let first = stage.start_agent(&with_limit(0))?;
    let before = first.is_some().then(pins).transpose()?;
    drop(first);
    let load = Load {
        sessions: stage.amount.sessions,
        ..Load::default()
    };
    let (kills, ready) = (Cell::new(0_u64), Cell::new(0_u64));
    let kill = || -> Result<()> {
        kills.set(kills.get() + 1);
        ready.set(ready.get() + u64::from(live_and_die(stage)?));
        Ok(())
    };
    let outcome = stage.while_under_way(&load, || {
        if stage.agent().is_none() {
            sleep(IDLE);
            return Ok(());
        }
        kill()
    })?;
    if stage.agent().is_none() {
        return Ok(());
    }
    // Where a start takes long, the sessions were over before the second one.
    while kills.get() < ENOUGH {
        kill()?;
    }
    let (kills, ready) = (kills.get(), ready.get());
    stage.did(format!(
        "killed {kills} times, {} of them during the start",
        kills - ready
    ));
    let _running = stage.start_agent(&with_limit(0))?;
    stage.all_were_admitted(&outcome)?;
    let (before, after) = (before.unwrap_or_default(), pins()?);
    if before != after {
        stage.fault(format!("pinned was {before:?}, and is {after:?}"));
    }
    stage.is_fine(&few(), "behind it")?;
    stage.nothing_is_left();
    Ok(())
}

/// Starts one and kills it at some point; true when it was ready by then.
fn live_and_die(stage: &Stage<'_>) -> Result<bool> {
    let number = usize::try_from(stage.below(3))?;
    let in_start = stage.below(2) == 0;
    let life = stage.moment(Duration::from_millis(1200));
    let mut agent = stage.launch("killed", &with_limit(number))?;
    let is_ready = |agent: &mut Daemon| {
        // Looked at first: the log is then complete.
        let ended = agent.ended()?;
        let said = agent.log()?;
        if let Some(status) = ended {
            bail!("the agent ended by itself with {status}: {said}");
        }
        Ok(said.contains("ready"))
    };
    if !in_start {
        wait_for("the agent ready", START, || {
            Ok(is_ready(&mut agent)?.then_some(()))
        })?;
    }
    sleep(life);
    let was_ready = is_ready(&mut agent)?;
    Stage::kill(&mut agent)?;
    Ok(was_ready)
}

/// Two are started at once.
pub(super) fn race(stage: &Stage<'_>) -> Result<()> {
    const ARGUMENTS: [&str; 3] = ["run", "-i", "wan0"];

    drop(stage.start_agent(&ARGUMENTS)?);
    let load = Load {
        sessions: stage.amount.sessions / 2,
        ..Load::default()
    };
    let rounds = Cell::new(0_u64);
    let round = || {
        if stage.agent().is_none() {
            sleep(IDLE);
            return Ok(());
        }
        let both = [
            stage.launch("first", &ARGUMENTS)?,
            stage.launch("second", &ARGUMENTS)?,
        ];
        let mut winner = one_wins(both)?;
        rounds.set(rounds.get() + 1);
        let signal = if stage.below(2) == 0 {
            Signal::SIGKILL
        } else {
            Signal::SIGTERM
        };
        winner.stop(signal).map(drop)
    };
    let outcome = stage.while_under_way(&load, round)?;
    if stage.agent().is_none() {
        return Ok(());
    }
    while rounds.get() < stage.amount.times {
        round()?;
    }
    stage.did(format!("{} rounds, one agent each is left", rounds.get()));
    let _running = stage.start_agent(&ARGUMENTS)?;
    stage.all_were_admitted(&outcome)?;
    stage.is_fine(&few(), "behind it")?;
    stage.nothing_is_left();
    Ok(())
}

/// One gets ready, the other one ends and says why. Returns the winner.
fn one_wins(mut both: [Daemon; 2]) -> Result<Daemon> {
    const REFUSAL: &str = "another ftp-helper is at work";

    let loser = wait_for("one of two agents to be refused", START, || {
        for (number, agent) in both.iter_mut().enumerate() {
            if let Some(status) = agent.ended()? {
                let said = agent.log()?;
                let last = said.lines().last().unwrap_or_default();
                ensure!(
                    status.code() == Some(1) && last.contains(REFUSAL),
                    "refused with {status}: {said}"
                );
                return Ok(Some(number));
            }
        }
        Ok(None)
    })?;
    let [first, second] = both;
    let mut winner = if loser == 0 { second } else { first };
    wait_for("the other one ready", START, || {
        let ended = winner.ended()?;
        let said = winner.log()?;
        if let Some(status) = ended {
            bail!("both ended, the second with {status}: {said}");
        }
        Ok(said.contains("ready").then_some(()))
    })?;
    Ok(winner)
}

/// Its configuration changes faster than it reads it.
pub(super) fn reload(stage: &Stage<'_>) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(20);
    const RIGHT: [&str; 4] = [
        "interface = 'wan0'\n",
        "interface = 'wan0'\ndeny-ports = '3389'\nexpectation-timeout = 30\n",
        "interface = 'wan0'\ninside = 'lan0'\ncontrol-port = [21, 2121]\n",
        "interface = ['wan0', 'later*']\nclient-limit = 500\nrequire-login = true\n",
    ];
    const WRONG: [&str; 4] = [
        "interface = 'wan0\n",
        "interface = 'wan0'\ncontrol-prot = 21\n",
        "interface = 'wan0'\nport-range = '1-2'\n",
        "",
    ];

    let path = stage.lab.logs().join("ftp-helper.toml");
    let write = |text: &str| fs::write(&path, text).context("the configuration");
    write(RIGHT[0])?;
    let name = path.to_string_lossy();
    let running = stage.start_agent(&["run", "--config", &name])?;
    let load = Load {
        sessions: stage.amount.sessions / 2,
        ..Load::default()
    };
    let signals = Cell::new(0_u64);
    let begin = Instant::now();
    let outcome = stage.while_under_way(&load, || {
        sleep(PAUSE);
        let Some(running) = &running else {
            return Ok(());
        };
        let choice = usize::try_from(stage.below(9))?;
        match choice {
            0..4 => write(RIGHT[choice])?,
            4..8 => write(WRONG[choice - 4])?,
            _ => remove(&path)?,
        }
        signals.set(signals.get() + 1);
        running.signal(Signal::SIGHUP)
    })?;
    let Some(running) = running else {
        return Ok(());
    };
    write(RIGHT[0])?;
    running.reload("settings read again: helping FTP on wan0")?;
    let said = running.log()?;
    let [read, kept] = ["settings read again", "the settings stay as they are"]
        .map(|words| said.matches(words).count());
    ensure!(read > 1 && kept > 0, "{read} changes, {kept} refusals");
    stage.did(format!(
        "{} signals in {} s, {read} changes of settings, {kept} refused files",
        signals.get(),
        begin.elapsed().as_secs()
    ));
    stage.all_were_admitted(&outcome)?;
    stage.is_fine(&few(), "behind it")?;
    stage.nothing_is_left();
    Ok(())
}

/// It is there, or was never there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("the configuration is not removed")
        }
        _ => Ok(()),
    }
}
