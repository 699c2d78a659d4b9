//! Builds the TC programs; the agent embeds them from `OUT_DIR/ftp-helper`.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain, build_ebpf};

#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

const PROGRAMS: Package<'_> = Package {
    name: "ftp-helper-ebpf",
    root_dir: concat!(env!("CARGO_MANIFEST_DIR"), "/../ftp-helper-ebpf"),
    no_default_features: false,
    features: &[],
};

fn main() {
    // Told this way the message is all that cargo prints; a failing exit code would
    // wrap it into the whole output of this script.
    if let Err(error) = build() {
        println!("cargo::error={}", format!("{error:#}").replace('\n', " "));
    }
}

fn build() -> Result<()> {
    println!("cargo::rerun-if-env-changed={}", toolchain::OVERRIDE);

    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo did not set OUT_DIR")?);
    let found = match toolchain::find(&out_dir) {
        Ok(found) => found,
        // aya-build reads the variable; a skipped build needs no toolchain.
        Err(_) if env::var_os("AYA_BUILD_SKIP").is_some() => {
            return build_ebpf([PROGRAMS], Toolchain::Nightly);
        }
        Err(_) => bail!("no BPF toolchain: run `cargo xtask setup`"),
    };

    // SAFETY: this process has one thread: aya-build starts its first one below.
    unsafe { env::set_var("PATH", toolchain::search_path()) };
    if found.version.is_stable() {
        // Building `core` is an unstable feature. It is allowed to the compilers
        // that this script starts and to no crate of the host's own build, some of
        // which change what they compile to when they see the variable.
        // SAFETY: as above, there is no other thread.
        unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") };
    }
    // Without rustup aya-build calls the compiler on the `PATH`, whatever the name.
    let name = found.compiler.name().unwrap_or_default();
    build_ebpf([PROGRAMS], Toolchain::Custom(name))
}
