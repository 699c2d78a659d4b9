//! What the tarball has, and where.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{file_name, staging::Staging};
use crate::workspace;

/// A file of a package.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct File {
    /// Its path in there.
    pub(super) path: String,
    /// Where it is now.
    pub(super) source: PathBuf,
    pub(super) is_executable: bool,
}

/// Files of the repository, as they are called there and in the tarball. The unit and
/// its companions keep the names that they are installed with.
const FROM_REPOSITORY: [(&str, &str); 11] = [
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-GPL2", "LICENSE-GPL2"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("deploy/ftp-helper.toml", "etc/ftp-helper.toml"),
    (
        "deploy/systemd/ftp-helper.service",
        "systemd/ftp-helper.service",
    ),
    (
        "deploy/systemd/ftp-helper.sysusers",
        "sysusers.d/ftp-helper.conf",
    ),
    ("deploy/systemd/readers.conf", "examples/readers.conf"),
    (
        "deploy/prometheus/ftp-helper.rules.yml",
        "examples/prometheus/ftp-helper.rules.yml",
    ),
    (
        "deploy/grafana/ftp-helper.json",
        "examples/grafana/ftp-helper.json",
    ),
];

/// Every file, sorted by its path.
pub(super) fn list(staging: &Staging) -> Result<Vec<File>> {
    let root = workspace::root();
    let mut files = vec![File {
        path: "ftp-helper".to_owned(),
        source: staging.binary(),
        is_executable: true,
    }];
    files.extend(FROM_REPOSITORY.map(|(source, path)| File {
        path: path.to_owned(),
        source: root.join(source),
        is_executable: false,
    }));
    for (directory, place) in [
        (staging.man(), "man/man8"),
        (staging.completions(), "completions"),
        (root.join("docs"), "docs"),
    ] {
        files.extend(inside(&directory, place)?);
    }
    files.sort();
    Ok(files)
}

/// The files in a directory, without those in directories below.
fn inside(directory: &Path, place: &str) -> Result<Vec<File>> {
    let context = || format!("can not read {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(context)? {
        let source = entry.with_context(context)?.path();
        if source.is_file() {
            files.push(File {
                path: format!("{place}/{}", file_name(&source)),
                source,
                is_executable: false,
            });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_has_what_is_packaged() {
        for (source, _) in FROM_REPOSITORY {
            assert!(workspace::root().join(source).is_file(), "{source}");
        }
    }

    #[test]
    fn the_debian_package_has_the_same_files_of_the_repository() {
        let manifest = workspace::root().join("ftp-helper/Cargo.toml");
        let manifest = fs::read_to_string(manifest).unwrap();
        for (source, _) in FROM_REPOSITORY {
            // Debian has the texts of the licences; cargo-deb finds the unit and the
            // group by their names.
            let is_found = source.starts_with("LICENSE") || source.contains("/ftp-helper.s");
            assert!(
                is_found || manifest.contains(&format!("\"../{source}\"")),
                "{source}"
            );
        }
    }
}
