//! One machine from its start to its end.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    accelerator::Accelerator,
    initramfs,
    kernel::{Kernel, Series},
    machine::{Boot, Heard, Machine, PROCESSORS},
    record::{Facts, Finished, Plan, Record, TestBinary},
    report::Run,
    tools::Tools,
};
use crate::process;

/// Until the machine says its first word.
const BOOT_LIMIT: Duration = Duration::from_secs(180);
/// Until the agent has been tried.
const FACTS_LIMIT: Duration = Duration::from_secs(300);
/// For one test binary; the machine itself ends it then.
const BINARY_LIMIT: Duration = Duration::from_secs(3600);
/// So much later the machine is not believed to do that any more.
const GRACE: Duration = Duration::from_secs(60);

/// Lines of a log that a failure quotes.
const QUOTED: usize = 40;

/// Read by the tests: by how much to multiply the times that they wait.
const PATIENCE: &str = "FTP_HELPER_TEST_PATIENCE";

/// What all machines have in common.
pub(super) struct Session {
    pub(super) agent: PathBuf,
    pub(super) binaries: Vec<TestBinary>,
    pub(super) accelerator: Accelerator,
    pub(super) keep: Option<PathBuf>,
}

impl Session {
    /// Boots a kernel and lets it run everything. An error only if that could not be
    /// begun; what fails in the machine is part of the result.
    pub(super) fn run(&self, series: &Series, kernel: &Kernel, tools: &Tools) -> Result<Run> {
        process::step(&format!(
            "Boot {} ({}) and run {} test binaries",
            kernel.release,
            self.accelerator,
            self.binaries.len()
        ));
        let started = Instant::now();
        let plan = serde_json::to_vec(&self.plan())?;
        let settings = settings(kernel, tools)?;
        let initramfs = initramfs::build(kernel, tools, &settings, &plan)?;
        let keep = self.keep.as_ref().map(|path| path.join(series.to_string()));
        let mut machine = Machine::boot(&Boot {
            tools,
            accelerator: self.accelerator,
            image: &kernel.image(),
            initramfs: &initramfs,
            keep: keep.as_deref(),
        })?;
        let mut heard = Conversation::default();
        let trouble = heard
            .listen(&machine)
            .err()
            .map(|error| format!("{error:#}"));
        let console = machine.console();
        if let Some(trouble) = &trouble {
            println!("  FAILED: {trouble}");
            quote("the tests", &machine.log());
            quote("the console", &console);
        } else if heard.finished.iter().any(|finished| !finished.is_good()) {
            self.quote_failures(&machine.log(), &heard.finished);
        }
        Ok(Run {
            release: kernel.release.clone(),
            accelerator: self.accelerator,
            facts: heard.facts,
            finished: heard.finished,
            trouble,
            warnings: warnings(&console),
            took: started.elapsed(),
        })
    }

    fn plan(&self) -> Plan {
        let environment = BTreeMap::from([
            (PATIENCE.to_owned(), self.accelerator.patience().to_string()),
            ("RUST_BACKTRACE".to_owned(), "0".to_owned()),
        ]);
        Plan {
            agent: self.agent.clone(),
            binaries: self.binaries.clone(),
            threads: PROCESSORS,
            limit: BINARY_LIMIT.as_secs(),
            environment,
        }
    }

    /// Shows what the failed binaries have printed about their failures.
    fn quote_failures(&self, log: &str, finished: &[Finished]) {
        for it in finished.iter().filter(|finished| !finished.is_good()) {
            let output = section(log, &it.name);
            let failures = output
                .split_once("\nfailures:\n")
                .map_or(output, |(_, it)| it);
            println!("---- {}\n{}", it.name, failures.trim_end());
        }
        if self.keep.is_none() {
            println!("---- `--keep-log DIR` keeps everything that the machines print");
        }
    }
}

/// What was heard so far.
#[derive(Default)]
struct Conversation {
    facts: Option<Facts>,
    finished: Vec<Finished>,
}

impl Conversation {
    /// Listens until everything is done.
    fn listen(&mut self, machine: &Machine) -> Result<()> {
        let mut doing = "booting".to_owned();
        let mut limit = BOOT_LIMIT;
        loop {
            let line = match machine.hear(limit) {
                Heard::Line(line) => line,
                Heard::Nothing => anyhow::bail!(
                    "the machine was ended after {} seconds of {doing}",
                    limit.as_secs()
                ),
                Heard::End => anyhow::bail!("the machine ended while {doing}"),
            };
            let record = serde_json::from_str(&line)
                .with_context(|| format!("the machine said `{line}`"))?;
            match record {
                Record::Ready => {
                    doing.replace_range(.., "trying the agent");
                    limit = FACTS_LIMIT;
                }
                Record::Facts(facts) => {
                    println!("  {}", told(&facts));
                    self.facts = Some(facts);
                    limit = GRACE;
                }
                Record::Started(name) => {
                    doing = format!("running {name}");
                    limit = BINARY_LIMIT + GRACE;
                }
                Record::Finished(finished) => {
                    println!("  {}", progress(&finished));
                    self.finished.push(finished);
                    limit = GRACE;
                }
                Record::Done => return Ok(()),
            }
        }
    }
}

fn told(facts: &Facts) -> String {
    if let Some(error) = &facts.error {
        return format!("agent: {error}");
    }
    let verified: Vec<_> = facts
        .instructions
        .iter()
        .map(|(direction, number)| format!("{direction} {number}"))
        .collect();
    format!(
        "agent: ready after {:.1} s, {}, kfuncs from {}, instructions verified: {}",
        facts.seconds,
        facts.technique.as_deref().unwrap_or("not attached"),
        facts.kfuncs.as_deref().unwrap_or("nowhere"),
        verified.join(", ")
    )
}

fn progress(finished: &Finished) -> String {
    let mut line = format!(
        "{}: {} passed, {} failed, {:.0} s",
        finished.name,
        finished.passed,
        finished.failed.len(),
        finished.seconds
    );
    for problem in finished.failed.iter().chain(&finished.trouble) {
        // Writing to a `String` can not fail.
        let _ = write!(line, "\n    FAILED: {problem}");
    }
    line
}

/// Variables for the scripts of the machine.
fn settings(kernel: &Kernel, tools: &Tools) -> Result<String> {
    let own = env::current_exe().context("can not tell where xtask itself is")?;
    let modules = kernel.modules();
    let kmod = tools.kmod_binary();
    let libraries = tools.library_path();
    let path = env::var_os("PATH").unwrap_or_default();
    let variables = [
        ("RELEASE", kernel.release.as_ref()),
        ("MODULES", modules.as_path()),
        ("KMOD", kmod.as_path()),
        ("LIBRARIES", Path::new(&libraries)),
        ("XTASK", own.as_path()),
        ("HOST_PATH", Path::new(&path)),
    ];
    let mut text = String::new();
    for (name, value) in variables {
        let value = value
            .to_str()
            .with_context(|| format!("{} is no UTF-8", value.display()))?;
        // Writing to a `String` can not fail.
        let _ = writeln!(text, "{name}='{}'", value.replace('\'', r"'\''"));
    }
    Ok(text)
}

/// What the kernel complained about.
fn warnings(console: &str) -> Vec<String> {
    console
        .lines()
        // A busy host lets processors of the machine wait, which is no fault of ours.
        .filter(|line| !line.contains("soft lockup"))
        .filter(|line| line.contains("WARNING: ") || line.contains("BUG: "))
        .map(|line| line.trim().to_owned())
        .collect()
}

/// What a binary has printed.
fn section<'a>(log: &'a str, name: &str) -> &'a str {
    let start = format!("==> {name}\n");
    let Some((_, rest)) = log.split_once(&start) else {
        return "";
    };
    rest.split_once("\n==> ")
        .map_or(rest, |(section, _)| section)
}

fn quote(what: &str, text: &str) {
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(QUOTED)..];
    println!("---- the end of {what}\n{}", last.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_of_the_kernel_are_found() {
        let console = "[ 1.0] IPv6: ADDRCONF\r\n[ 2.0] WARNING: CPU: 0 PID: 1 at net/x.c:1\r\n\
             [ 3.0] watchdog: BUG: soft lockup - CPU#0 stuck for 22s!\r\n\
             [ 4.0] BUG: kernel NULL pointer dereference\r\n";
        assert_eq!(
            warnings(console),
            [
                "[ 2.0] WARNING: CPU: 0 PID: 1 at net/x.c:1",
                "[ 4.0] BUG: kernel NULL pointer dereference"
            ]
        );
    }

    #[test]
    fn a_section_of_the_log_is_one_binarys() {
        let log = "==> a\none\n\n==> b\ntwo\n";
        assert_eq!(section(log, "a"), "one\n");
        assert_eq!(section(log, "b"), "two\n");
        assert_eq!(section(log, "c"), "");
    }
}
