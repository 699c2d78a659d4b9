//! The `ftp-helper` binary; see the library for everything.

use std::{env, process::ExitCode};

use ftp_helper::{
    cli::Cli,
    failure::{self, one_line},
};

fn main() -> ExitCode {
    match Cli::read(env::args_os()).and_then(Cli::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Also help and version.
            if let Some(said) = error.downcast_ref::<clap::Error>() {
                said.exit();
            }
            eprintln!("ftp-helper: error: {}", one_line(&error));
            ExitCode::from(failure::exit_code(&error))
        }
    }
}
