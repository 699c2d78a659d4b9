//! Shows what ftp-helper does, in a private network that it makes and removes.

mod interrupt;
mod report;
mod steps;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Parser;
use ftp_helper_tests::{
    agent::Agent,
    lab::Lab,
    server::{Server, ServerKind},
    setup::{Lifetime, Setup},
};
use nix::unistd::geteuid;

use crate::{report::Report, steps::Demonstration};

/// Show what ftp-helper does, in a private network of three hosts
///
/// Every step is checked. Exit code 0: every step did what it should; 1: one
/// did not; 2: the command line is wrong.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
struct Arguments {
    /// The ftp-helper to show
    #[arg(long, value_name = "PATH")]
    agent: PathBuf,

    /// Leave the network up, and tell how to enter and how to remove it
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when every step did what it should.
fn run(arguments: &Arguments) -> Result<bool> {
    anyhow::ensure!(
        geteuid().is_root(),
        "the lab makes network namespaces: run it as root, for example with sudo"
    );
    let program = std::path::absolute(&arguments.agent)?;
    anyhow::ensure!(
        program.is_file(),
        "no file {}: build it first",
        program.display()
    );

    let lifetime = if arguments.keep {
        Lifetime::Detachable
    } else {
        Lifetime::Bound
    };
    let lab = interrupt::guard(|| {
        Lab::new(Setup {
            lifetime,
            ..Setup::default()
        })
        .context("the lab's network")
    })?;
    let server = start_server(&lab)?;
    let agent = Agent::new(&lab, &program);
    report::network(&lab, &server);
    let mut report = Report::default();
    let running = Demonstration {
        lab: &lab,
        server: &server,
        agent: &agent,
    }
    .run(&mut report);
    let good = report.summary();
    if let (Some(running), false) = (&running, good) {
        report::log_of(running)?;
    }
    if arguments.keep {
        report::how_to_enter(&lab, &agent, &server);
        if let Some(running) = running {
            running.leave();
        }
        server.leave();
        lab.keep();
    }
    Ok(good)
}

/// vsftpd, or what there is instead.
fn start_server(lab: &Lab) -> Result<Server> {
    let kind = ServerKind::ALL
        .into_iter()
        .find(|kind| kind.is_installed(lab))
        .context("no FTP server is installed: install vsftpd or python3-pyftpdlib")?;
    if kind != ServerKind::Vsftpd {
        println!("vsftpd is not installed, {} takes its place.", kind.name());
    }
    Server::start(lab, kind)
}
