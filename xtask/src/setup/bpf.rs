//! Makes a BPF toolchain usable: with what is there, else with rustup's nightly,
//! else with Debian's compiler.

use std::{env, time::Duration};

use anyhow::{Result, anyhow, bail, ensure};

use super::{components, debian, linker};
use crate::{
    process,
    toolchain::{self, Compiler, LINKED, NIGHTLY, Toolchain, Unusable},
    workspace,
};

/// The Debian compiler that is kept new enough for the browsers, and the source of
/// its `core`.
const DEBIAN_COMPILER: [&str; 2] = ["rustc-web", "rust-web-src"];

/// A nightly toolchain is some 200 MB.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(600);

/// The toolchain that is used, made usable if it is not.
pub(super) fn provide() -> Result<Toolchain> {
    let scratch = workspace::scratch()?;
    let reasons = match toolchain::find(&scratch) {
        Ok(toolchain) => return Ok(toolchain),
        Err(reasons) => reasons,
    };
    println!("BPF toolchain: {}", list(&reasons));
    complete(&reasons)?;
    toolchain::find(&scratch)
        .map_err(|reasons| anyhow!("there is still no usable BPF toolchain: {}", list(&reasons)))
}

/// The toolchain that is used; where there is none, the error says what to install.
pub(super) fn find() -> Result<Toolchain> {
    toolchain::find(&workspace::scratch()?)
        .map_err(|reasons| anyhow!("{}: {}", list(&reasons), advice(&reasons)))
}

fn list(reasons: &[(Compiler, Unusable)]) -> String {
    let told = reasons
        .iter()
        .map(|(compiler, reason)| format!("{compiler} {reason}"));
    told.collect::<Vec<_>>().join("; ")
}

/// Tries the ways in turn until one works, and tells what became of each.
fn complete(reasons: &[(Compiler, Unusable)]) -> Result<()> {
    let works = |way: &str, outcome: Result<()>| match outcome {
        Ok(()) => true,
        Err(error) => {
            println!("  {way}: {error:#}");
            false
        }
    };

    let mut debian_failed = false;
    for (compiler, reason) in reasons {
        if let Some(llvm) = lacks_linker(reason) {
            if works(&compiler.to_string(), linker::install(llvm)) {
                return Ok(());
            }
            debian_failed |= *compiler == linked();
        }
    }
    // Nothing may take the place of the toolchain that was asked for by name.
    if let Some(name) = env::var_os(toolchain::OVERRIDE).filter(|name| !name.is_empty()) {
        bail!(
            "{} is set to {}, which can not be used: unset it or name a nightly toolchain with rust-src",
            toolchain::OVERRIDE,
            name.display()
        );
    }
    if works("rustup's nightly", with_nightly()) {
        return Ok(());
    }
    if !debian_failed && works("Debian's compiler", with_debian()) {
        return Ok(());
    }
    bail!(
        "no BPF toolchain could be set up, see above why: {}",
        advice_by_name()
    )
}

fn lacks_linker(reason: &Unusable) -> Option<u32> {
    match reason {
        Unusable::NoLinker { llvm } | Unusable::LinkerDiffers { llvm, .. } => Some(*llvm),
        _ => None,
    }
}

/// How Debian's compiler is called.
fn linked() -> Compiler {
    if toolchain::program("rustup").is_some() {
        Compiler::Rustup(LINKED.to_owned())
    } else {
        Compiler::System
    }
}

fn with_nightly() -> Result<()> {
    components::may_download()?;

    let nightly = Compiler::Rustup(NIGHTLY.to_owned());
    let mut rustup = toolchain::rustup();
    if toolchain::version(&nightly).is_ok() {
        process::step("Add the source of `core` to rustup's nightly");
        rustup.args(["component", "add", "rust-src", "--toolchain", NIGHTLY]);
    } else {
        process::step("Install rustup's nightly with the source of `core`");
        rustup.args(["toolchain", "install", NIGHTLY, "--no-self-update"]);
        rustup.args(["--profile", "minimal", "--component", "rust-src"]);
    }
    process::run_for(&mut rustup, DOWNLOAD_LIMIT)?;
    fit_linker(&nightly)
}

fn with_debian() -> Result<()> {
    ensure!(
        debian::is_present(),
        "there is no apt-get: {}",
        advice_by_name()
    );
    debian::install(
        "Debian's Rust compiler",
        &DEBIAN_COMPILER.map(str::to_owned),
    )?;
    let compiler = linked();
    if let Some(name) = compiler.name() {
        process::step(&format!("Make /usr/bin/rustc known to rustup as `{name}`"));
        process::run(toolchain::rustup().args(["toolchain", "link", name, "/usr"]))?;
    }
    fit_linker(&compiler)
}

/// Gives a complete compiler its linker, if it does not have a fitting one.
fn fit_linker(compiler: &Compiler) -> Result<()> {
    let Err(reason) = toolchain::examine(compiler, &workspace::scratch()?) else {
        return Ok(());
    };
    match lacks_linker(&reason) {
        Some(llvm) => linker::install(llvm),
        None => bail!("{compiler} {reason}"),
    }
}

/// What to do where nothing may be installed.
fn advice(reasons: &[(Compiler, Unusable)]) -> String {
    match reasons.iter().find_map(|(_, reason)| lacks_linker(reason)) {
        Some(llvm) => format!(
            "install {} and then {} with feature llvm-{llvm}",
            linker::packages(llvm).join(" "),
            toolchain::LINKER
        ),
        None => advice_by_name(),
    }
}

fn advice_by_name() -> String {
    format!(
        "install rustup's nightly with component rust-src, or Debian's packages {}, and {} with the LLVM of that \
         compiler (README, section Toolchain)",
        DEBIAN_COMPILER.join(" "),
        toolchain::LINKER
    )
}
