//! How the agent works on the kernel that runs: it is started once, before the tests,
//! and as on a machine that has just come up: nothing has used conntrack so far.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::record::Facts;
use crate::process;

const DEVICE: &str = "vm-test0";
const PINS: &str = "/sys/fs/bpf/vm-test";
const LOG: &str = "/run/vm/agent.log";

/// Verification takes most of it.
const START_LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(50);

/// Starts the agent, and finds out what it does.
pub(super) fn find(agent: &Path) -> Facts {
    let started = Instant::now();
    let outcome = start(agent);
    let log = fs::read_to_string(LOG).unwrap_or_default();
    let mut facts = read(&log);
    facts.seconds = started.elapsed().as_secs_f64();
    match outcome {
        Ok(()) => facts.kfuncs = Some(conntrack_btf()),
        Err(error) => facts.error = Some(format!("{error:#}")),
    }
    facts
}

fn start(agent: &Path) -> Result<()> {
    let words = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
    for line in [
        format!("link add {DEVICE} type veth peer name vm-test1"),
        format!("link set {DEVICE} up"),
    ] {
        ensure!(
            process::succeeds(Command::new("ip").args(words(&line))),
            "`ip {line}` failed"
        );
    }
    let log = File::create(LOG).with_context(|| format!("can not make {LOG}"))?;
    let mut child = Command::new(agent)
        .args([
            "--pin-dir",
            PINS,
            "--log-level",
            "debug",
            "run",
            "-i",
            DEVICE,
        ])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("can not start {}", agent.display()))?;
    let ready = wait_until_ready(&mut child);
    // Fails only for one that has ended.
    let _ = child.kill();
    child.wait()?;
    ready?;
    let mut detach = Command::new(agent);
    detach.args(["--pin-dir", PINS, "detach", "--force"]);
    ensure!(process::succeeds(&mut detach), "`ftp-helper detach` failed");
    ensure!(
        process::succeeds(Command::new("ip").args(["link", "delete", DEVICE])),
        "{DEVICE} can not be removed"
    );
    Ok(())
}

fn wait_until_ready(child: &mut Child) -> Result<()> {
    let started = Instant::now();
    loop {
        // Looked at first: the log is then complete.
        let ended = child.try_wait()?;
        let log = fs::read_to_string(LOG).unwrap_or_default();
        if log.lines().any(|line| line.contains("ready: ")) {
            return Ok(());
        }
        if let Some(status) = ended {
            let last = log.lines().last().unwrap_or("it said nothing");
            bail!("the agent ended with {status}: {last}");
        }
        ensure!(
            started.elapsed() < START_LIMIT,
            "the agent is not ready after {} seconds",
            START_LIMIT.as_secs()
        );
        thread::sleep(POLL);
    }
}

/// Whose BTF has the functions of conntrack.
fn conntrack_btf() -> String {
    let modules: Vec<_> = ["nf_conntrack", "nf_nat"]
        .into_iter()
        .filter(|module| Path::new("/sys/kernel/btf").join(module).exists())
        .collect();
    if modules.is_empty() {
        "vmlinux".to_owned()
    } else {
        modules.join(", ")
    }
}

/// Reads the agent's log: `ingress program: 1234 instructions verified` and
/// `attached ... technique="tcx"`.
fn read(log: &str) -> Facts {
    let mut facts = Facts::default();
    for line in log.lines() {
        if let Some((before, rest)) = line.split_once(" program: ")
            && let Some(number) = rest.strip_suffix(" instructions verified")
            && let Ok(number) = number.parse()
            && let Some(direction) = before.split_whitespace().last()
        {
            facts.instructions.push((direction.to_owned(), number));
        }
        if let Some((_, rest)) = line.split_once("technique=") {
            let word = rest.split_whitespace().next().unwrap_or_default();
            facts.technique = Some(word.trim_matches('"').to_owned());
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_log_is_read() {
        let log = "2026-01-01T00:00:00Z DEBUG ingress program: 1234 instructions verified\n\
             2026-01-01T00:00:00Z DEBUG egress program: 56789 instructions verified\n\
             2026-01-01T00:00:00Z DEBUG attached interface=\"a\" direction=\"ingress\" technique=\"tcx\" replaced=false\n";
        let facts = read(log);
        assert_eq!(
            facts.instructions,
            [("ingress".to_owned(), 1234), ("egress".to_owned(), 56789)]
        );
        assert_eq!(facts.technique.as_deref(), Some("tcx"));
        assert_eq!(read("something else\n"), Facts::default());
    }
}
