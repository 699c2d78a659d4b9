//! How a test runs in a lab.

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    sync::Mutex,
    thread,
};

use anyhow::Result;
use nix::unistd::geteuid;

use crate::{
    agent::{Agent, RunningAgent, find_binary},
    lab::Lab,
    setup::Setup,
};

/// Lines of a log that a failure quotes.
const QUOTED: usize = 60;

/// Whether the test may go on: labs need root. Without it the test fails,
/// unless the environment variable `FTP_HELPER_SKIP_ROOT` is `1`.
pub fn has_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        assert!(
            env::var("FTP_HELPER_SKIP_ROOT").is_ok_and(|value| value == "1"),
            "this test makes network namespaces and needs root; \
             FTP_HELPER_SKIP_ROOT=1 skips what needs root"
        );
        skip("needs root");
    }
    root
}

/// What was said to be left out: once is enough for a test that makes many labs.
static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Says that the running test, or a part of it, is left out. With the environment
/// variable `FTP_HELPER_NO_SKIP` at `1` that is a failure.
pub fn skip(why: &str) {
    assert!(
        env::var("FTP_HELPER_NO_SKIP").as_deref() != Ok("1"),
        "FTP_HELPER_NO_SKIP is set, but {why}"
    );
    let test = thread::current();
    let test = test.name().unwrap_or("a test");
    let line = format!("SKIP: {test}: {why}");
    let is_new = SAID.lock().is_ok_and(|mut said| said.insert(line.clone()));
    if is_new {
        // Past the test harness, which would keep it to itself when the test passes.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Runs `body` in a new lab, on a thread of its own. A failure, or a panic,
/// is the test's, with the logs of everything that ran.
pub fn scenario(setup: Setup, body: impl FnOnce(&Lab) -> Result<()> + Send) {
    if !has_root() {
        return;
    }
    if let Some(why) = setup.link.missing().or_else(|| setup.ruleset.missing()) {
        skip(&why);
        return;
    }
    let outcome = thread::scope(|scope| scope.spawn(|| run(setup, body)).join());
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error:#}"),
        Err(panic) => resume_unwind(panic),
    }
}

/// [`scenario`] with an agent running on the gateway.
pub fn helped_scenario(
    setup: Setup,
    body: impl FnOnce(&Lab, &Agent, &mut RunningAgent) -> Result<()> + Send,
) {
    agent_scenario(setup, |lab, agent| {
        let mut running = agent.start()?;
        body(lab, agent, &mut running)
    });
}

/// [`scenario`] with an agent at hand that is not started yet.
pub fn agent_scenario(setup: Setup, body: impl FnOnce(&Lab, &Agent) -> Result<()> + Send) {
    if !has_root() {
        return;
    }
    let binary = find_binary().unwrap_or_else(|error| panic!("{error:#}"));
    scenario(setup, |lab| body(lab, &Agent::new(lab, &binary)));
}

fn run(setup: Setup, body: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    let lab = Lab::new(setup)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| body(&lab)));
    if !matches!(outcome, Ok(Ok(()))) {
        eprintln!("{}", logs(&lab.logs()));
    }
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// The last lines of every log of the lab.
pub(crate) fn logs(directory: &Path) -> String {
    let mut text = String::new();
    let Ok(entries) = fs::read_dir(directory) else {
        return text;
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let log = fs::read(&path).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let quoted = &lines[lines.len().saturating_sub(QUOTED)..];
        // Writing to a `String` can not fail.
        let _ = writeln!(text, "---- {}\n{}", path.display(), quoted.join("\n"));
    }
    text
}
