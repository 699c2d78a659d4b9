//! bpf-linker, built against the LLVM of the compiler it links for.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::debian;
use crate::{process, toolchain, workspace};

/// Raise it when a compiler has an LLVM that this version has no feature for.
const VERSION: &str = "^0.13";

/// The Debian packages that the linker is built with.
pub(super) fn packages(llvm: u32) -> Vec<String> {
    vec![
        format!("llvm-{llvm}-dev"),
        format!("libpolly-{llvm}-dev"),
        "libzstd-dev".to_owned(),
        // For libstdc++, which LLVM is linked with.
        "g++".to_owned(),
    ]
}

/// Installs a linker for this major version of LLVM into cargo's directory; one that
/// is there is replaced.
pub(super) fn install(llvm: u32) -> Result<()> {
    let prefix = provide_llvm(llvm)?;
    process::step(&format!(
        "Build {} for LLVM {llvm}; this takes some minutes",
        toolchain::LINKER
    ));
    let mut cargo = workspace::cargo();
    cargo
        .env("LLVM_PREFIX", prefix)
        .args(["install", toolchain::LINKER, "--version", VERSION])
        .args(["--locked", "--force", "--no-default-features", "--features"])
        .arg(format!("llvm-{llvm}"));
    process::run(&mut cargo).context("bpf-linker could not be built")
}

/// The directory of the LLVM to build with, installed if need be.
fn provide_llvm(llvm: u32) -> Result<PathBuf> {
    if debian::is_present() && debian::is_available(&format!("llvm-{llvm}-dev")) {
        debian::install(&format!("LLVM {llvm}"), &packages(llvm))?;
    }
    match llvm_prefix(llvm) {
        Some(prefix) => Ok(prefix),
        None => bail!(
            "the development files of LLVM {llvm} are needed to build {}: install {} or your distribution's \
             package of them, or set LLVM_PREFIX",
            toolchain::LINKER,
            packages(llvm).join(" ")
        ),
    }
}

/// Looks for the LLVM of this major version: where `LLVM_PREFIX` says, where Debian
/// has it, then by its own `llvm-config`.
fn llvm_prefix(llvm: u32) -> Option<PathBuf> {
    let given = env::var_os("LLVM_PREFIX").map(PathBuf::from);
    let debian = PathBuf::from(format!("/usr/lib/llvm-{llvm}"));
    let in_prefixes = given
        .into_iter()
        .chain([debian])
        .map(|prefix| prefix.join("bin/llvm-config"));
    let on_path = [format!("llvm-config-{llvm}"), "llvm-config".to_owned()]
        .into_iter()
        .filter_map(|name| toolchain::program(&name));
    in_prefixes
        .chain(on_path)
        .find_map(|config| prefix_of(&config, llvm))
}

fn prefix_of(config: &Path, llvm: u32) -> Option<PathBuf> {
    let ask = |option| process::output(Command::new(config).arg(option));
    let version = ask("--version")?;
    let (major, _rest) = version.split_once('.')?;
    if major.trim().parse() != Ok(llvm) {
        return None;
    }
    Some(PathBuf::from(ask("--prefix")?.trim()))
}
