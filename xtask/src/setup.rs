//! `cargo xtask setup`: provides what building and testing need. `run` and `test` do
//! it by themselves.

mod bpf;
mod components;
pub(crate) mod debian;
mod deny;
mod fuzzing;
mod linker;
mod manifests;
mod packaging;
mod tools;

use anyhow::{Result, bail};

pub(crate) use self::{
    components::{bpf_has_clippy, host_has},
    deny::cargo_deny,
    fuzzing::fuzzing_tools,
    packaging::packaging_tools,
};
use crate::toolchain::Toolchain;

/// Provide a BPF toolchain and the programs that the lab and the tests use.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    /// Change nothing: tell what is missing and fail if something is
    #[arg(long)]
    no_install: bool,
}

/// Runs the command.
pub(crate) fn run(options: Options) -> Result<()> {
    if options.no_install {
        return check();
    }
    let toolchain = bpf_toolchain()?;
    println!("BPF toolchain: {toolchain}");
    components::provide(&toolchain);
    // No error: the agent can be built, and the text says what can not be done.
    if tools::provide()? {
        println!("Lab and tests: all programs are there");
    }
    manifests::provide();
    Ok(())
}

/// Provides the BPF toolchain, which is all that the agent needs.
pub(crate) fn bpf_toolchain() -> Result<Toolchain> {
    bpf::provide()
}

/// Provides all that the lab and the tests need.
pub(crate) fn everything() -> Result<Toolchain> {
    let toolchain = bpf_toolchain()?;
    components::provide(&toolchain);
    if !tools::provide()? {
        bail!("the lab and the tests can not run without the programs named above: install them");
    }
    manifests::provide();
    Ok(toolchain)
}

/// Tells all that is missing, not only the first.
fn check() -> Result<()> {
    let toolchain = bpf::find();
    match &toolchain {
        Ok(toolchain) => println!("BPF toolchain: {toolchain}"),
        Err(error) => println!("Missing: BPF toolchain: {error:#}"),
    }
    let components = components::missing(toolchain.as_ref().ok());
    for component in &components {
        println!("Missing: {component}, for a check of `cargo xtask test`");
    }
    let tools = tools::missing();
    tools::report(&tools);
    let no_manifests = manifests::are_missing();
    if no_manifests {
        println!("Missing: packages of Python, for the tests of the manifests of Kubernetes");
    }

    if toolchain.is_err() || !components.is_empty() || !tools.is_empty() || no_manifests {
        bail!("something is missing: install it, or let `cargo xtask setup` do so");
    }
    println!("Nothing is missing");
    Ok(())
}
