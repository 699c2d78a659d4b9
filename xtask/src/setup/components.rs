//! The formatter and the linter, of the host's toolchain and of the BPF one.

use std::{env, fmt, time::Duration};

use anyhow::{Result, ensure};

use super::debian;
use crate::{
    process,
    toolchain::{self, Compiler, LINKED, Toolchain},
    workspace,
};

const DOWNLOAD_LIMIT: Duration = Duration::from_secs(180);

/// Debian's package of the linter that belongs to its compiler.
const DEBIAN_CLIPPY: &str = "rust-web-clippy";

/// Something that a toolchain lacks.
#[derive(Clone, Debug)]
pub(super) enum Component {
    /// Of the toolchain that builds the workspace.
    Host(&'static str),
    /// The linter of the toolchain that builds the programs.
    BpfClippy(Compiler),
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => write!(f, "component {name} of the Rust toolchain"),
            Self::BpfClippy(compiler) => write!(f, "clippy of the BPF toolchain, {compiler}"),
        }
    }
}

impl Component {
    fn add(&self) -> Result<()> {
        match self {
            Self::Host(name) => add_with_rustup(name, None),
            Self::BpfClippy(compiler) => match compiler.name() {
                Some(name) if name != LINKED => add_with_rustup("clippy", Some(name)),
                _ => {
                    ensure!(
                        debian::is_present() && debian::is_available(DEBIAN_CLIPPY),
                        "there is no package {DEBIAN_CLIPPY}"
                    );
                    debian::install("the linter of Debian's compiler", &[DEBIAN_CLIPPY.into()])?;
                    Ok(())
                }
            },
        }
    }
}

/// Whether the workspace's own toolchain has a cargo subcommand.
pub(crate) fn host_has(subcommand: &str) -> bool {
    process::succeeds(workspace::cargo().args([subcommand, "--version"]))
}

/// Whether the BPF toolchain has a linter that was made for its compiler.
pub(crate) fn bpf_has_clippy(toolchain: &Toolchain) -> bool {
    let mut clippy = toolchain.compiler.command("clippy-driver");
    process::output(clippy.args(["--rustc", "--version"]))
        .is_some_and(|version| version.contains(&toolchain.version.release))
}

/// What is missing; of the BPF toolchain only where there is one.
pub(super) fn missing(bpf: Option<&Toolchain>) -> Vec<Component> {
    let host = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(subcommand, _)| !host_has(subcommand))
        .map(|(_, component)| Component::Host(component));
    let bpf = bpf
        .filter(|toolchain| !bpf_has_clippy(toolchain))
        .map(|toolchain| Component::BpfClippy(toolchain.compiler.clone()));
    host.chain(bpf).collect()
}

/// Adds what is missing. That something can not be had is told and no error: only a
/// check of `cargo xtask test` needs it, and that one says so again.
pub(super) fn provide(bpf: &Toolchain) {
    for component in missing(Some(bpf)) {
        if let Err(error) = component.add() {
            println!("  {component} could not be added: {error:#}");
        }
    }
}

/// Whether rustup may be asked to download. A user who told it not to install by
/// itself means programs that call it as well.
pub(super) fn may_download() -> Result<()> {
    ensure!(
        toolchain::program("rustup").is_some(),
        "there is no rustup on the PATH"
    );
    ensure!(
        env::var_os("RUSTUP_AUTO_INSTALL").is_none_or(|it| it != "0"),
        "RUSTUP_AUTO_INSTALL=0 forbids rustup to download"
    );
    Ok(())
}

fn add_with_rustup(component: &str, toolchain: Option<&str>) -> Result<()> {
    may_download()?;
    process::step(&format!("Add {component} to the Rust toolchain"));
    let mut rustup = toolchain::rustup();
    rustup.args(["component", "add", component]);
    if let Some(name) = toolchain {
        rustup.args(["--toolchain", name]);
    }
    process::run_for(&mut rustup, DOWNLOAD_LIMIT)
}
