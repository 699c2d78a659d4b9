//! Build, run and test ftp-helper.
//!
//! The programs are built by `ftp-helper/build.rs`; this only provides what that
//! needs and calls cargo in the right order.

mod attack;
mod bench;
mod chaos;
mod dist;
mod evidence;
mod fuzz;
mod image;
mod process;
mod run;
mod setup;
mod soak;
mod test;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Build, run and test ftp-helper.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_version_flag = true
)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Attack(attack::Options),
    Bench(bench::Options),
    Chaos(chaos::Options),
    Dist(dist::Options),
    Fuzz(fuzz::Options),
    Image(image::Options),
    Run(run::Options),
    Setup(setup::Options),
    Soak(soak::Options),
    Test(test::Options),
    VmTest(vm::Options),
    #[command(hide = true)]
    VmGuest(vm::guest::Options),
}

fn main() -> ExitCode {
    let outcome = match Options::parse().command {
        Command::Attack(options) => attack::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Chaos(options) => chaos::run(&options),
        Command::Dist(options) => dist::run(options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Image(options) => image::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Setup(options) => setup::run(options),
        Command::Soak(options) => soak::run(&options),
        Command::Test(options) => test::run(&options),
        Command::VmTest(options) => vm::run(&options),
        Command::VmGuest(options) => vm::guest::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
