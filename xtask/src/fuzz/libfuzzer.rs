//! The targets that libFuzzer leads.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Places, table::Row};
use crate::{process, toolchain::Version, workspace};

/// Their names.
pub(super) const TARGETS: [&str; 3] = ["command", "reply", "stream"];

/// Longest input.
const LONGEST: &str = "-max_len=2048";

/// Targets that were built.
pub(super) struct Fuzzer {
    binaries: PathBuf,
}

/// Builds targets. A sanitizer is an unstable feature of the compiler: a stable one is
/// told to have it, for this build alone.
pub(super) fn build(sanitizer: &str, targets: &[&str], places: &Places) -> Result<Fuzzer> {
    let version = process::output(Command::new("rustc").arg("-vV"))
        .as_deref()
        .and_then(Version::parse)
        .context("`rustc -vV` does not tell a version: install a Rust toolchain")?;
    let build = places.root.join("build").join(sanitizer);
    process::step("Build the libFuzzer targets");
    for target in targets {
        let mut cargo = workspace::cargo();
        cargo
            .args(["fuzz", "build", "--fuzz-dir", "fuzz", "--sanitizer"])
            .args([sanitizer, "--target-dir"])
            .arg(&build)
            .arg(target);
        if version.is_stable() {
            cargo.env("RUSTC_BOOTSTRAP", "1");
        }
        process::run(&mut cargo)?;
    }
    Ok(Fuzzer {
        binaries: build.join(version.host).join("release"),
    })
}

impl Fuzzer {
    fn command(&self, target: &str) -> Command {
        let mut command = Command::new(self.binaries.join(target));
        // As cargo-fuzz runs it.
        command.env("ASAN_OPTIONS", "detect_odr_violation=0");
        command
    }

    /// Searches for so long; new inputs go to the corpus in the target directory.
    pub(super) fn run(
        &self,
        target: &str,
        time: Duration,
        seed: Option<u32>,
        places: &Places,
    ) -> Result<Row> {
        let fuzz = workspace::root().join("fuzz");
        let corpus = places.directory("corpus", target)?;
        let artifacts = places.directory("artifacts", target)?;
        let log = places.directory("logs", target)?.join("last.log");
        let known = files(&artifacts)?;
        let output =
            File::create(&log).with_context(|| format!("can not create {}", log.display()))?;
        let mut command = self.command(target);
        command
            .arg(format!("-max_total_time={}", time.as_secs()))
            .arg(format!("-dict={}", fuzz.join("ftp.dict").display()))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .args([LONGEST, "-timeout=20", "-print_final_stats=1"])
            .args(seed.map(|seed| format!("-seed={seed}")))
            .arg(corpus)
            .arg(fuzz.join("corpus").join(target))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output);
        process::step(&format!("Target {target} for {} s", time.as_secs()));
        let started = Instant::now();
        let status = command
            .status()
            .with_context(|| format!("can not start the target {target}"))?;
        let text = fs::read(&log).with_context(|| format!("can not read {}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        if !status.success() {
            println!("{}", tail(&text));
        }
        let found = files(&artifacts)?;
        Ok(Row {
            target: target.to_owned(),
            took: started.elapsed(),
            runs: runs(&text),
            reached: reached(&text),
            findings: found.difference(&known).cloned().collect(),
            failed: !status.success(),
        })
    }

    /// Calls the target with one input.
    pub(super) fn replay(&self, target: &str, file: &Path) -> Result<()> {
        let mut command = self.command(target);
        command.env("RUST_BACKTRACE", "1").arg(file);
        process::run(&mut command)
    }
}

fn files(directory: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("can not read {}", directory.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    let paths: Result<BTreeSet<_>> = paths.collect();
    let paths = paths?;
    ensure!(
        paths.iter().all(|path| path.is_file()),
        "{} has directories",
        directory.display()
    );
    Ok(paths)
}

/// What the fuzzer said of its finding, without the progress in front of it.
fn tail(log: &str) -> String {
    let lines = log.lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<_> = lines.collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// How many inputs were tried.
fn runs(log: &str) -> u64 {
    let count = log.lines().rev().find_map(|line| {
        let count = line.strip_prefix("stat::number_of_executed_units:")?;
        count.trim().parse().ok()
    });
    // One that found something prints no statistics, but its progress.
    count
        .or_else(|| {
            let progress = log
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix('#')?.split_whitespace().next());
            progress?.parse().ok()
        })
        .unwrap_or(0)
}

/// Places in the code, and features of ways through it, as last told.
fn reached(log: &str) -> String {
    let value = |line: &str, key: &str| -> Option<String> {
        let mut words = line.split_whitespace();
        words.find(|word| *word == key)?;
        words.next().map(str::to_owned)
    };
    let last = log.lines().rev().find_map(|line| {
        let (places, features) = (value(line, "cov:")?, value(line, "ft:")?);
        Some(format!("{places} places, {features} features"))
    });
    last.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "INFO: seed corpus: files: 3
#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 30Mb
#4096\tpulse  cov: 412 ft: 1033 corp: 12/400b lim: 4 exec/s: 2048 rss: 40Mb
Done 5000 runs in 2 second(s)
stat::number_of_executed_units: 5000
";

    #[test]
    fn the_log_tells_how_far_it_came() {
        assert_eq!(runs(LOG), 5000);
        assert_eq!(reached(LOG), "412 places, 1033 features");
        let crashed = LOG.split("Done").next().unwrap();
        assert_eq!(runs(crashed), 4096);
        assert_eq!((runs(""), reached("").as_str()), (0, "-"));
    }

    #[test]
    fn the_end_of_a_log_has_no_progress() {
        let text = tail("#1\tNEW\npanicked at\nthe line\n#2\tNEW\n");
        assert_eq!(text, "panicked at\nthe line");
    }
}
