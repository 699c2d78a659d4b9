//! Makes things go wrong on a gateway; `cargo xtask chaos` runs it.

mod options;

use std::{
    fs,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use ftp_helper_tests::{
    chaos::{
        Amount, Fault, all, find,
        report::{PART, Report, SCHEMA},
    },
    cost::machine::Machine,
    soak::traffic::task::Task,
};
use nix::unistd::geteuid;

use self::options::Options;

/// So many labs are there at once: they mostly wait.
const AT_ONCE: usize = 4;

/// Make things go wrong on a gateway, with ftp-helper and with the kernel's own FTP helper
///
/// Each fault is made in a private network while sessions go through it. Exit code 0: no
/// transfer was lost that the kernel's helper keeps, and every other loss was counted; 1:
/// something else, or a fault could not be made.
#[derive(Debug, Parser)]
#[command(name = "chaos", version)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when everything is as it has to be.
fn run(arguments: &Arguments) -> Result<bool> {
    if let Some(task) = &arguments.task {
        task.run()?;
        return Ok(true);
    }
    let options = &arguments.options;
    if options.list {
        for fault in all() {
            println!("{:<18} {}", fault.name, fault.title);
        }
        return Ok(true);
    }
    ensure!(
        geteuid().is_root(),
        "the lab makes network namespaces: run it as root, for example with sudo"
    );
    let chosen = chosen(&options.only)?;
    let seed = options.seed.unwrap_or_else(any_seed);
    println!("seed {seed}");
    let report = Report {
        schema_version: SCHEMA,
        seed,
        kernel: Machine::here().kernel,
        rows: make(options, &chosen, seed),
    };
    let table = report.table();
    print!("{table}");
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&report).context("no JSON")?;
        fs::write(path, json + "\n").with_context(|| format!("{} not written", path.display()))?;
    }
    let faults = report.faults();
    for fault in &faults {
        eprintln!("chaos: {fault}");
    }
    if !faults.is_empty() {
        eprintln!("chaos: `--seed {seed}` draws the same again");
    }
    if options.write {
        PART.write(&table)?;
    }
    Ok(faults.is_empty())
}

/// Makes the faults, some at once.
fn make(
    options: &Options,
    chosen: &[&'static Fault],
    seed: u64,
) -> Vec<ftp_helper_tests::chaos::Row> {
    let mut amount = if options.quick {
        Amount::QUICK
    } else {
        Amount::FULL
    };
    if let Some(sessions) = options.sessions {
        amount.sessions = sessions;
    }
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    let work = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(fault) = chosen.get(number) else {
            return;
        };
        eprintln!("{}: begins", fault.name);
        let row = fault.make(&amount, seed, options.ours);
        eprintln!("{}: {} faults", row.name, row.faults.len());
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.push((number, row));
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|(number, _)| *number);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn chosen(names: &[String]) -> Result<Vec<&'static Fault>> {
    if names.is_empty() {
        return Ok(all().collect());
    }
    let fault = |name: &String| {
        find(name).with_context(|| format!("no fault is called {name:?}: see `--list`"))
    };
    names.iter().map(fault).collect()
}

/// Another one each time.
fn any_seed() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    time.map_or(1, |time| u64::from(time.subsec_nanos()))
}
