//! `cargo xtask vm-test`: the end-to-end tests under packaged kernels.
//!
//! A kernel is fetched as a package and unpacked, never installed, and booted in an
//! emulator. The machine's root file system is the host's, read-only below a layer in
//! memory: the tests are built here and run there, and nothing that they do reaches the
//! host.
//!
//! * [`packages`], [`tools`], [`kernel`]: what is fetched.
//! * [`suite`]: what is run.
//! * [`initramfs`], [`machine`], [`accelerator`]: where it is run.
//! * [`guest`], [`facts`], [`libtest`]: what happens in there.
//! * [`record`], [`session`]: how both sides talk.
//! * [`report`]: what is told in the end.

mod accelerator;
mod facts;
pub(crate) mod guest;
mod initramfs;
mod kernel;
mod libtest;
mod machine;
mod packages;
mod record;
mod report;
mod session;
mod suite;
mod tools;

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

pub(crate) use self::suite::Selection;
use self::{
    accelerator::Accelerator,
    kernel::{Kernel, Series},
    packages::Cache,
    report::{Outcome, Tried},
    session::Session,
    tools::Tools,
};
use crate::{process, setup};

/// Run the end-to-end tests under packaged kernels in a virtual machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A series of kernels; may be given several times [default: 6.1 and 6.12]
    #[arg(long = "kernel", value_name = "SERIES")]
    kernels: Vec<Series>,
    /// Run all tests, not only those that depend on the kernel
    #[arg(long)]
    full: bool,
    /// Write what the machines print into this directory
    #[arg(long, value_name = "DIR")]
    keep_log: Option<PathBuf>,
    /// How to run the machines, if not as this machine can
    #[arg(long, value_enum)]
    accelerator: Option<Accelerator>,
    /// Only run the test binaries of these names, or the tests in whose names these are
    #[arg(last = true, value_name = "FILTER")]
    filter: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let selection = if options.full {
        ensure!(
            options.filter.is_empty(),
            "--full is all tests: leave the filter or --full out"
        );
        Selection::Full
    } else if options.filter.is_empty() {
        Selection::Default
    } else {
        Selection::Words(options.filter.clone())
    };
    if let Some(obstacle) = obstacle() {
        bail!(obstacle);
    }
    setup::everything()?;
    let tried = matrix(options, &selection)?;
    ensure!(tell(&tried)?, "no kernel could be tried");
    Ok(())
}

/// Why no machine can be had here, if that is so.
pub(crate) fn obstacle() -> Option<String> {
    if cfg!(not(target_arch = "x86_64")) {
        return Some("kernels in a virtual machine are tried on x86-64 only".to_owned());
    }
    packages::obstacle()
}

/// A few tests under each of the kernels; for a machine that is set up. False when its
/// packages have none of them.
pub(crate) fn sample() -> Result<bool> {
    let options = Options {
        kernels: Vec::new(),
        full: false,
        keep_log: None,
        accelerator: None,
        filter: Vec::new(),
    };
    let tried = matrix(&options, &Selection::Sample)?;
    tell(&tried)
}

fn matrix(options: &Options, selection: &Selection) -> Result<Vec<Tried>> {
    process::step("Build the agent and the tests");
    let session = Session {
        agent: suite::build_agent()?,
        binaries: suite::build(selection)?,
        accelerator: options.accelerator.unwrap_or_else(Accelerator::find),
        keep: options.keep_log.clone(),
    };
    let cache = Cache::open()?;
    let tools = Tools::provide(&cache)?;
    let series = if options.kernels.is_empty() {
        Series::defaults()
    } else {
        options.kernels.clone()
    };
    let mut tried = Vec::new();
    for series in series {
        let outcome = match Kernel::provide(&series, &cache, &tools)? {
            None => Outcome::Skipped(format!("apt-get knows no kernel {series} that can be had")),
            Some(kernel) => Outcome::Run(session.run(&series, &kernel, &tools)?),
        };
        tried.push(Tried { series, outcome });
    }
    Ok(tried)
}

/// Prints the result; an error if it is no success. False when nothing was run.
fn tell(tried: &[Tried]) -> Result<bool> {
    println!("\n{}\n", report::table(tried));
    let (mut failures, mut ran) = (0, 0);
    for it in tried {
        match &it.outcome {
            Outcome::Skipped(why) => println!("{}: skipped: {why}", it.series),
            Outcome::Run(run) => {
                ran += 1;
                for failure in run.failures() {
                    failures += 1;
                    println!("{}: FAILED: {failure}", it.series);
                }
            }
        }
    }
    ensure!(failures == 0, "{failures} failures, see above");
    Ok(ran > 0)
}
