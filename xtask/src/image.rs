//! `cargo xtask image`: the container image of the agent.
//!
//! What is in it is made in one place, [`rootfs`]: `deploy/Containerfile` calls this
//! command for it inside of its build stage, so that the image of a container builder
//! and the archive that needs no builder are the same.

mod builder;
mod metadata;
mod oci;
mod rootfs;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{process, setup, workspace};

/// The image has the version of the workspace, as this package has.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Build the container image: with buildah, podman or docker from deploy/Containerfile,
/// or here, with this machine's toolchain
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Name and tag of the image
    #[arg(long, default_value_t = format!("ftp-helper:{VERSION}"))]
    tag: String,
    /// Build here, and write the image as an OCI archive, which takes neither a
    /// container builder nor a registry
    #[arg(long, value_name = "FILE", conflicts_with = "rootfs")]
    oci: Option<PathBuf>,
    /// Build here, and only fill this new directory with what is in the image
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// With --oci or --rootfs: a debug build, which takes less time to make and more
    /// to run
    #[arg(long)]
    debug: bool,
    /// Arguments for the container builder's `build`
    #[arg(last = true, conflicts_with_all = ["oci", "rootfs", "debug"])]
    more: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(options: &Options) -> Result<()> {
    let profile = if options.debug { "dev" } else { "release" };
    if let Some(directory) = &options.rootfs {
        return fill(directory, profile);
    }
    let Some(archive) = &options.oci else {
        return builder::build(&options.tag, &options.more);
    };
    let directory = fill_anew(profile)?;
    process::step(&format!("Write {}", archive.display()));
    oci::write(archive, &directory, &options.tag)
}

/// Makes what is in the image, of a debug build, and returns the directory of it.
pub(crate) fn for_tests() -> Result<PathBuf> {
    fill_anew("dev")
}

fn fill_anew(profile: &str) -> Result<PathBuf> {
    let directory = workspace::scratch()?.join("rootfs");
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("can not remove {}", directory.display()))?;
    }
    fill(&directory, profile)?;
    Ok(directory)
}

/// Fills a new directory with what is in the image.
fn fill(directory: &Path, profile: &str) -> Result<()> {
    setup::bpf_toolchain()?;
    rootfs::fill(directory, profile)
}
