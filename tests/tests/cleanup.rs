//! A lab leaves nothing behind, however it ends.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use ftp_helper_tests::{agent::find_binary, scenario::has_root, wait::wait_for};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const LIMIT: Duration = Duration::from_secs(10);

/// The demonstration, with its processes.
struct Demonstration {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Demonstration {
    fn start(arguments: &[&str]) -> Result<Self> {
        let agent = find_binary()?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
            .arg("--agent")
            .arg(agent)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("piped above")?;
        Ok(Self {
            child,
            output: BufReader::new(output),
        })
    }

    /// Reads what it prints up to a line with this text.
    fn read_to(&mut self, text: &str) -> Result<()> {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            anyhow::ensure!(
                self.output.read_line(&mut line)? > 0,
                "it never printed {text:?}"
            );
        }
        Ok(())
    }

    fn pid(&self) -> Result<i32> {
        Ok(i32::try_from(self.child.id())?)
    }

    /// Every process below it.
    fn processes(&self) -> Result<HashSet<i32>> {
        let mut found = HashSet::new();
        let mut new = vec![self.pid()?];
        while let Some(pid) = new.pop() {
            let children = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(children).unwrap_or_default();
            for child in children.split_whitespace() {
                let child = child.parse()?;
                found.insert(child);
                new.push(child);
            }
        }
        Ok(found)
    }
}

fn wait_gone(processes: &HashSet<i32>) -> Result<()> {
    wait_for("the end of every process of the lab", LIMIT, || {
        Ok((!processes.iter().any(|pid| is_alive(*pid))).then_some(()))
    })
}

/// A zombie is not: it only waits for its parent, here the machine's init.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn interrupted_in_the_middle() -> Result<()> {
    if !has_root() {
        return Ok(());
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut lab = Demonstration::start(&[])?;
        lab.read_to("Active mode without a helper")?;
        let processes = lab.processes()?;
        // Three holders and the server, at the least.
        assert!(processes.len() >= 4, "{signal}: {processes:?}");
        kill(Pid::from_raw(lab.pid()?), signal)?;
        let status = lab.child.wait()?;
        assert!(!status.success(), "{signal}: {status}");
        wait_gone(&processes)?;
    }
    Ok(())
}

#[test]
fn interrupted_while_it_would_be_kept() -> Result<()> {
    if !has_root() {
        return Ok(());
    }
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut lab = Demonstration::start(&["--keep"])?;
        lab.read_to("Active mode without a helper")?;
        let processes = lab.processes()?;
        assert!(processes.len() >= 4, "{signal}: {processes:?}");
        kill(Pid::from_raw(lab.pid()?), signal)?;
        lab.child.wait()?;
        wait_gone(&processes)?;
    }
    Ok(())
}

/// The whole demonstration, left up, entered and removed as it says.
#[test]
fn kept_and_removed_with_the_printed_command() -> Result<()> {
    if !has_root() {
        return Ok(());
    }
    let mut lab = Demonstration::start(&["--keep"])?;
    lab.read_to("Summary")?;
    let processes = lab.processes()?;
    let mut rest = String::new();
    lab.output.read_to_string(&mut rest)?;
    let status = lab.child.wait()?;

    let remove = rest
        .lines()
        .last()
        .context("it printed how to remove it")?
        .trim();
    let curl = rest
        .lines()
        .find(|line| line.contains("curl"))
        .context("it printed a try")?;
    let tried = shell(curl.trim())?;
    let removed = shell(remove)?;
    wait_gone(&processes)?;

    assert!(tried, "{curl}");
    assert!(removed, "{remove}");
    assert!(status.success(), "{status}:\n{rest}");
    assert!(!rest.contains("FAIL"), "{rest}");
    Ok(())
}

fn shell(line: &str) -> Result<bool> {
    let status = Command::new("sh")
        .args(["-c", line])
        .stderr(Stdio::null())
        .status()?;
    Ok(status.success())
}
