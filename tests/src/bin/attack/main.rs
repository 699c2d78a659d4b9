//! Attacks ftp-helper, and the kernel's own FTP helper beside it.

mod options;

use std::{
    fs,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use ftp_helper_tests::{
    attack::{
        Attack, all, find,
        table::{Outcome, PART, attempt, table},
    },
    setup::Helper,
};
use nix::unistd::geteuid;

use self::options::Options;

/// So many labs are there at once.
const AT_ONCE: usize = 3;

/// An attack, and what came of it with ftp-helper and with the kernel's helper.
type Row = (&'static Attack, Outcome, Outcome);

/// The command line: exit code 0 where nothing got through ftp-helper, and nobody was
/// hurt; 1 where something did, or an attack could not be made.
#[derive(Debug, Parser)]
#[command(name = "attack", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("attack: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when nothing got through ftp-helper.
fn run(arguments: &Options) -> Result<bool> {
    if arguments.list {
        for attack in all() {
            println!("{:<16} {}", attack.name, attack.title);
        }
        return Ok(true);
    }
    ensure!(
        geteuid().is_root(),
        "the lab makes network namespaces: run it as root, for example with sudo"
    );
    let rows = attack(&chosen(&arguments.names)?, arguments.ours);
    let text = table(&rows, &release()?);
    if arguments.write {
        PART.write(&text)?;
    } else {
        print!("{text}");
    }
    Ok(!rows.is_empty() && rows.iter().all(|(_, ours, _)| *ours == Outcome::Closed))
}

/// Makes the attacks, some at once: a lab mostly waits.
fn attack(chosen: &[&'static Attack], ours_only: bool) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    let work = || {
        while let Some(attack) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let number = chosen.iter().position(|it| it.name == attack.name);
            let ours = attempt(attack, Helper::Nobody);
            let kernels = if ours_only {
                Outcome::Absent
            } else {
                attempt(attack, Helper::Kernel)
            };
            eprintln!("{}: {} | {}", attack.name, ours.word(), kernels.word());
            if let Ok(mut rows) = rows.lock() {
                rows.push((number, (*attack, ours, kernels)));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let mut rows = rows.into_inner().unwrap_or_default();
    rows.sort_by_key(|(number, _)| *number);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn chosen(names: &[String]) -> Result<Vec<&'static Attack>> {
    if names.is_empty() {
        return Ok(all().collect());
    }
    let attack = |name: &String| {
        find(name).with_context(|| format!("no attack is called {name:?}: see `--list`"))
    };
    names.iter().map(attack).collect()
}

/// The kernel's version: `6.18`.
fn release() -> Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's version")?;
    let numbers = text.split('.').take(2);
    let plain = numbers.map(|part| part.trim_end_matches(|letter: char| !letter.is_ascii_digit()));
    Ok(plain.collect::<Vec<_>>().join("."))
}
