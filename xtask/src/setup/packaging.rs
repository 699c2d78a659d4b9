//! What `cargo xtask dist` makes a Debian package with; nothing else needs it.

use anyhow::{Context as _, Result, bail};

use super::debian;
use crate::{process, workspace};

const CARGO_DEB: &str = "cargo-deb";

/// The first version that finds units and groups the way the manifest has them.
const VERSION: &str = "3.8";

/// Programs, and the packages that have them.
const PROGRAMS: [(&str, &str); 3] = [
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("strip", "binutils"),
    ("xz", "xz-utils"),
];

/// Provides all of it.
pub(crate) fn packaging_tools() -> Result<()> {
    let missing = || {
        PROGRAMS
            .into_iter()
            .filter(|(name, _)| process::find(name).is_none())
    };
    let packages: Vec<String> = missing().map(|(_, package)| package.to_owned()).collect();
    if !packages.is_empty() && debian::is_present() {
        debian::install("the tools of Debian packages", &packages)?;
    }
    if let Some((name, package)) = missing().next() {
        bail!(
            "a Debian package is made with `{name}` (Debian package {package}), which is not \
             there: install it, or make the tarball only with `--no-deb`"
        );
    }
    cargo_deb()
}

fn cargo_deb() -> Result<()> {
    let found = process::output(workspace::cargo().args(["deb", "--version"]));
    if found.is_some_and(|version| is_recent(&version)) {
        return Ok(());
    }
    process::step(&format!("Build {CARGO_DEB}; this takes some minutes"));
    let mut cargo = workspace::cargo();
    cargo
        .args(["install", CARGO_DEB, "--version", &format!("^{VERSION}")])
        // Without the compression of its own: there is a program for that.
        .args(["--locked", "--force", "--no-default-features"]);
    process::run(&mut cargo).with_context(|| format!("{CARGO_DEB} could not be built"))
}

/// Of the same major version, and not older.
fn is_recent(version: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts = text
            .trim()
            .split('.')
            .map_while(|part| part.parse::<u32>().ok());
        Some((parts.next()?, parts.next()?))
    };
    let word = version.split_whitespace().last().unwrap_or_default();
    match (numbers(word), numbers(VERSION)) {
        (Some(found), Some(needed)) => found.0 == needed.0 && found.1 >= needed.1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_do() {
        for version in ["3.8.0\n", "cargo-deb 3.8.1", "3.12.0"] {
            assert!(is_recent(version), "{version}");
        }
        for version in ["", "3.7.9", "2.9.0", "4.0.0", "unknown"] {
            assert!(!is_recent(version), "{version}");
        }
    }
}
