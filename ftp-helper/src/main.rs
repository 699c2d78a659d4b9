//! The `ftp-helper` binary; see the library for everything.

use std::process::ExitCode;

use clap::Parser as _;
use ftp_helper::cli::{Cli, one_line};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ftp-helper: error: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}
