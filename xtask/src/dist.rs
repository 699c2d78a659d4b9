//! `cargo xtask dist`: what is handed out, in `target/dist`: a tarball, a Debian package
//! and their checksums.

mod changelog;
mod checksums;
mod compressed;
mod deb;
mod epoch;
mod files;
mod staging;
mod tarball;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use self::{epoch::Epoch, staging::Staging};
use crate::{process, setup, workspace};

/// The packages have the version of the workspace, as this one has.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Build the tarball and the Debian package, with their checksums, in target/dist
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Package a debug build, which takes less time to make and more to run, in
    /// target/dist-debug
    #[arg(long)]
    debug: bool,
    /// Make the tarball only, which takes none of Debian's programs
    #[arg(long)]
    no_deb: bool,
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Products {
    /// The Debian package, if it was wanted.
    pub(crate) deb: Option<PathBuf>,
}

impl Options {
    /// What the tests are made with: quick, and with everything that is tested.
    pub(crate) const TEST: Self = Self {
        debug: true,
        no_deb: false,
    };
}

/// Runs the command.
pub(crate) fn run(options: Options) -> Result<()> {
    make(options).map(|_products| ())
}

/// Makes everything anew.
pub(crate) fn make(options: Options) -> Result<Products> {
    setup::bpf_toolchain()?;
    if !options.no_deb {
        setup::packaging_tools()?;
    }
    let release = !options.debug;
    let epoch = match Epoch::find() {
        // An archive of the source has no commits.
        Err(_) if options.debug => Epoch::ANY,
        found => found?,
    };

    process::step("Build the agent");
    let mut cargo = workspace::cargo();
    cargo.args(["build", "--locked", "--package", "ftp-helper"]);
    if release {
        cargo.arg("--release");
    }
    process::run(&mut cargo)?;
    let staging = Staging::fill(release, epoch)?;

    let directory = if release { "dist" } else { "dist-debug" };
    let directory = empty(&workspace::target_dir()?.join(directory))?;
    let name = format!("ftp-helper-{VERSION}-{}-linux", env::consts::ARCH);
    process::step("Make the tarball");
    let tarball = directory.join(format!("{name}.tar.gz"));
    tarball::write(&tarball, &name, &files::list(&staging)?, epoch)?;
    let mut products = vec![tarball];
    let mut deb = None;
    if !options.no_deb {
        process::step("Make the Debian package");
        let path = deb::make(&directory, epoch)?;
        products.push(path.clone());
        deb = Some(path);
    }
    checksums::write(&directory.join("SHA256SUMS"), &products)?;

    process::step(&format!("Made in {}", directory.display()));
    for product in &products {
        println!("  {}", file_name(product));
    }
    println!("  SHA256SUMS");
    Ok(Products { deb })
}

/// Makes the directory, without what an earlier run left in it.
fn empty(directory: &Path) -> Result<PathBuf> {
    let context = || format!("can not make {} anew", directory.display());
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(context)?;
    }
    fs::create_dir_all(directory).with_context(context)?;
    Ok(directory.to_owned())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
