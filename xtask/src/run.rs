//! `cargo xtask run`: build, then run the agent or the lab.

mod agent_args;
mod default_route;

use anyhow::Result;

use crate::{process, setup, workspace};

/// Build everything and run the agent, or the demonstration in a lab of network
/// namespaces.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Build and run the release profile
    #[arg(long)]
    release: bool,
    /// Make a lab of network namespaces with a real client, gateway and server, and
    /// show FTP through NAT without and with ftp-helper
    #[arg(long, conflicts_with = "agent_args")]
    lab: bool,
    /// Leave the lab up at the end and print how to enter it
    #[arg(long, requires = "lab")]
    keep: bool,
    /// Arguments of the agent; its `run` command if they name none, on the interface
    /// of the default route if they name none
    #[arg(last = true)]
    agent_args: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.lab {
        run_lab(options)
    } else {
        run_agent(options)
    }
}

fn run_agent(options: &Options) -> Result<()> {
    let args = agent_args::complete(&options.agent_args, default_route::interface)?;
    setup::bpf_toolchain()?;
    build(options.release, &["--package", "ftp-helper"])?;

    let agent = workspace::artifact(options.release, "ftp-helper")?;
    process::step("Run the agent");
    process::replace(process::as_root(agent)?.args(args))
}

fn run_lab(options: &Options) -> Result<()> {
    setup::everything()?;
    build(options.release, &["--package", "ftp-helper"])?;
    build(
        options.release,
        &["--package", "ftp-helper-tests", "--bin", "lab"],
    )?;

    let agent = workspace::artifact(options.release, "ftp-helper")?;
    let mut lab = process::as_root(workspace::artifact(options.release, "lab")?)?;
    lab.arg("--agent").arg(agent);
    if options.keep {
        lab.arg("--keep");
    }
    process::step("Run the lab");
    process::replace(&mut lab)
}

fn build(release: bool, packages: &[&str]) -> Result<()> {
    process::step(&format!("Build {}", packages.last().unwrap_or(&"")));
    let mut cargo = workspace::cargo();
    cargo.arg("build").args(packages);
    if release {
        cargo.arg("--release");
    }
    process::run(&mut cargo)
}
