//! `cargo xtask fuzz`: looks for what nobody has thought of.
//!
//! Two kinds of fuzzers. Those of libFuzzer call the targets of `ftp-helper-model` and are
//! led by what the code executes; they need no root. The one of packets sends them
//! through the loaded programs, and needs it.

mod libfuzzer;
mod packets;
mod table;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use self::table::Row;
use crate::{process, setup, workspace};

/// The fuzzer for the loaded programs.
const PACKETS: &str = "packets";
/// Every one.
const ALL: &str = "all";

/// Fuzz the grammar, the model and the loaded programs.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run each target for this long: a number with `s`, `m` or `h`
    #[arg(long, default_value = "60s", value_parser = duration)]
    time: Duration,
    /// Only this one: command, reply, stream (libFuzzer), or packets (loaded programs, as root)
    #[arg(long, default_value = ALL, value_parser = target_names())]
    target: String,
    /// Where random choices start; without it the libFuzzer targets take another seed each time
    #[arg(long)]
    seed: Option<u32>,
    /// Try one finding again: a file that an earlier run named
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// The sanitizer of the libFuzzer targets
    #[arg(long, default_value = "address", value_parser = ["address", "none"])]
    sanitizer: String,
}

fn target_names() -> Vec<&'static str> {
    let names = libfuzzer::TARGETS.into_iter();
    names.chain([PACKETS, ALL]).collect()
}

/// A duration like `90s`, `5m` or `1h`; without a unit, seconds.
fn duration(text: &str) -> Result<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        unit => bail!("`{unit}` is no unit: write a number with s, m or h"),
    };
    let number: u64 = digits
        .parse()
        .context("write a number with s, m or h, as in 60s")?;
    ensure!(number > 0, "no time is no run: write at least 1s");
    Ok(Duration::from_secs(number.saturating_mul(factor)))
}

/// Where corpora, logs and findings are.
struct Places {
    root: PathBuf,
}

impl Places {
    fn directory(&self, kind: &str, target: &str) -> Result<PathBuf> {
        let directory = self.root.join(kind).join(target);
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("can not create {}", directory.display()))?;
        Ok(directory)
    }
}

/// Runs the command; an error when something was found.
pub(crate) fn run(options: &Options) -> Result<()> {
    let places = Places {
        root: workspace::target_dir()?.join("fuzz"),
    };
    if let Some(file) = &options.replay {
        return replay(options, &places, file);
    }
    let wanted = |name: &str| options.target == ALL || options.target == name;
    let mut rows = Vec::new();
    if libfuzzer::TARGETS.into_iter().any(wanted) {
        setup::fuzzing_tools()?;
        let targets: Vec<_> = libfuzzer::TARGETS
            .into_iter()
            .filter(|it| wanted(it))
            .collect();
        let fuzzer = libfuzzer::build(&options.sanitizer, &targets, &places)?;
        for target in targets {
            rows.push(fuzzer.run(target, options.time, options.seed, &places)?);
        }
    }
    if wanted(PACKETS) {
        rows.push(packets::run(options.time, options.seed, &places)?);
    }
    report(&rows)
}

fn report(rows: &[Row]) -> Result<()> {
    println!("\n{}", table::render(rows));
    let findings: Vec<&PathBuf> = rows.iter().flat_map(|row| &row.findings).collect();
    for file in &findings {
        println!("  cargo xtask fuzz --replay {}", file.display());
    }
    let failed = rows.iter().filter(|row| row.has_failed()).count();
    ensure!(
        failed == 0,
        "{failed} of {} fuzzers found something: the commands above try it again, and the \
         words in front of the table say what it is",
        rows.len()
    );
    Ok(())
}

/// Tries a finding again with the target that found it.
fn replay(options: &Options, places: &Places, file: &Path) -> Result<()> {
    ensure!(file.is_file(), "there is no file {}", file.display());
    let file = file
        .canonicalize()
        .with_context(|| format!("can not find {}", file.display()))?;
    if file.extension().is_some_and(|it| it == "case") {
        return packets::replay(&file);
    }
    let parent = file.parent().and_then(Path::file_name);
    let of_place = parent.and_then(|it| it.to_str()).unwrap_or_default();
    let named = Some(options.target.as_str()).filter(|it| *it != ALL);
    let target = named.unwrap_or(of_place);
    let Some(target) = libfuzzer::TARGETS.into_iter().find(|it| *it == target) else {
        bail!(
            "{} is in no directory of a target: name it with --target",
            file.display()
        );
    };
    setup::fuzzing_tools()?;
    libfuzzer::build(&options.sanitizer, &[target], places)?.replay(target, &file)
}

/// A short search with a stable compiler, for `cargo xtask test`: the corpus, and some
/// seconds of changed entries of it. Packets are tried by the end-to-end tests.
pub(crate) fn sample() -> Result<()> {
    let mut cargo = workspace::cargo();
    cargo
        .env("FTP_HELPER_FUZZ_SECONDS", "20")
        .args(["test", "--package", "ftp-helper-model", "--test", "corpus"])
        .args(["--", "--nocapture"]);
    process::run(&mut cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("60s", 60), ("5", 5), ("2m", 120), ("1h", 3600)] {
            assert_eq!(duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for wrong in ["", "s", "0s", "5d", "-1s", "1.5h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
