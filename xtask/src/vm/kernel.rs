//! Packaged kernels.

use std::{
    cmp::Ordering,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    packages::{self, Cache, Package},
    tools::Tools,
};
use crate::{process, setup::debian};

/// Newer releases keep the modules out of the kernel's own package.
const MODULE_PACKAGES: [&str; 2] = ["linux-modules-", "linux-binary-"];

/// A line of kernels, like 6.1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Series(String);

impl Series {
    /// The series that are tried unless others are named.
    pub(crate) fn defaults() -> Vec<Self> {
        // The oldest that has all kernel functions, and the one that has TCX and is
        // kept for years.
        ["6.1", "6.12"].map(|series| Self(series.to_owned())).into()
    }

    /// Whether a package holds a kernel of this series for any machine: not one for
    /// real time, nor one for virtual machines only, which may lack the file system
    /// that is shared with it.
    fn matches(&self, package: &str) -> bool {
        let general = package
            .strip_prefix("linux-image-")
            .and_then(|release| release.strip_prefix(self.0.as_str())?.strip_prefix('.'))
            .and_then(|rest| {
                let flavours = ["-amd64", "-generic"];
                flavours
                    .iter()
                    .find_map(|flavour| rest.strip_suffix(flavour))
            });
        general.is_some_and(|rest| !rest.ends_with("-cloud") && !rest.ends_with("-rt"))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Series {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<_> = text.split('.').collect();
        ensure!(
            parts.len() == 2 && parts.iter().all(|part| part.parse::<u16>().is_ok()),
            "a series of kernels looks like 6.1"
        );
        Ok(Self(text.to_owned()))
    }
}

/// An unpacked kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    /// What `uname -r` will say.
    pub(super) release: String,
    /// The root of the unpacked packages.
    root: PathBuf,
}

impl Kernel {
    /// The newest kernel of a series; `None` where no package has one.
    pub(super) fn provide(series: &Series, cache: &Cache, tools: &Tools) -> Result<Option<Self>> {
        let Some(package) = newest(series) else {
            return Ok(None);
        };
        let release = package.name.trim_start_matches("linux-image-").to_owned();
        let group = format!("kernel-{series}");
        let root = cache.provide(&group, &package.directory(), |target| {
            process::step(&format!(
                "Fetch the kernel {release} (nothing is installed)"
            ));
            let mut wanted = package.dependencies(&MODULE_PACKAGES);
            wanted.push(package.name.clone());
            packages::unpack(&wanted, target)?;
            // On a merged system the packages know no `/lib`.
            if !target.join("lib").exists() {
                std::os::unix::fs::symlink("usr/lib", target.join("lib"))
                    .context("can not make the link lib")?;
            }
            let mut depmod = tools.kmod("depmod");
            process::run(depmod.arg("-b").arg(target).arg(&release))
        })?;
        let kernel = Self { release, root };
        ensure!(
            kernel.image().is_file() && kernel.modules().is_dir(),
            "the package {} has no kernel or no modules where they are expected, in {}",
            package.name,
            kernel.root.display()
        );
        Ok(Some(kernel))
    }

    /// The file to boot.
    pub(super) fn image(&self) -> PathBuf {
        self.root
            .join("boot")
            .join(format!("vmlinuz-{}", self.release))
    }

    /// The directory of the modules.
    pub(super) fn modules(&self) -> PathBuf {
        self.root.join("lib/modules").join(&self.release)
    }

    /// The files of `modules` and of what they need, in the order to load them; none
    /// for what is built in.
    pub(super) fn module_files(&self, modules: &[&str], tools: &Tools) -> Result<Vec<PathBuf>> {
        let mut modprobe = tools.kmod("modprobe");
        modprobe
            .arg("--dirname")
            .arg(&self.root)
            .args(["--set-version", &self.release, "--show-depends", "--all"])
            .args(modules);
        let Some(listed) = process::output(&mut modprobe) else {
            bail!(
                "the kernel {} lacks one of {}",
                self.release,
                modules.join(", ")
            );
        };
        Ok(files_to_load(&listed))
    }
}

/// The newest kernel of the series that can be had.
fn newest(series: &Series) -> Option<Package> {
    let prefix = format!("linux-image-{series}.");
    let mut names = packages::names(&prefix);
    if names.is_empty() {
        debian::refresh_lists();
        names = packages::names(&prefix);
    }
    names.retain(|name| series.matches(name));
    names.sort_by(|left, right| by_numbers(right, left));
    names.iter().find_map(|name| Package::find(name))
}

/// `insmod FILE` for each module, `builtin NAME` for what needs no loading.
fn files_to_load(listed: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for line in listed.lines() {
        let Some(file) = line.strip_prefix("insmod ") else {
            continue;
        };
        // Parameters of the module may follow; the path may have blanks.
        let ends = [".ko ", ".ko.xz ", ".ko.zst "].into_iter();
        let end = ends
            .filter_map(|end| Some(file.find(end)? + end.len()))
            .min();
        let file = PathBuf::from(file[..end.unwrap_or(file.len())].trim_end());
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// Orders names such that `6.1.0-9` comes before `6.1.0-10`.
fn by_numbers(left: &str, right: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|character: char| !character.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect()
    };
    numbers(left)
        .cmp(&numbers(right))
        .then_with(|| left.cmp(right))
}

/// A module as it is loaded, uncompressed.
pub(super) fn read_module(file: &Path, tools: &Tools) -> Result<Vec<u8>> {
    let extension = file.extension().and_then(|extension| extension.to_str());
    let mut decompress = match extension {
        Some("ko") => {
            return fs::read(file).with_context(|| format!("can not read {}", file.display()));
        }
        Some("xz") => {
            let mut command = std::process::Command::new(tools.busybox());
            command.args(["xz", "-dc"]);
            command
        }
        Some("zst") => {
            let mut command = std::process::Command::new("zstd");
            command.args(["-qdc"]);
            command
        }
        _ => bail!("{} is compressed in an unknown way", file.display()),
    };
    let output = decompress
        .arg(file)
        .output()
        .with_context(|| format!("can not start `{}`", decompress.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{} can not be uncompressed: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_the_general_kernels_only() {
        let series: Series = "6.1".parse().unwrap();
        for package in [
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1.0-0.deb11.22-amd64",
            "linux-image-6.1.12-generic",
        ] {
            assert!(series.matches(package), "{package}");
        }
        for package in [
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-56-rt-amd64",
            "linux-image-6.1.0-56-amd64-unsigned",
            "linux-image-6.1.0-56-amd64-dbg",
            "linux-image-6.12.117+deb12-amd64",
            "linux-image-6.1-amd64",
            "linux-headers-6.1.0-56-amd64",
        ] {
            assert!(!series.matches(package), "{package}");
        }
    }

    #[test]
    fn a_series_is_two_numbers() {
        assert!("6.1".parse::<Series>().is_ok());
        for text in ["6", "6.1.0", "6.1-cloud", ""] {
            assert!(text.parse::<Series>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_newest_is_the_one_with_the_largest_number() {
        let mut names = ["6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-10-amd64"];
        names.sort_by(|left, right| by_numbers(left, right));
        assert_eq!(names, ["6.1.0-9-amd64", "6.1.0-10-amd64", "6.1.0-56-amd64"]);
    }

    #[test]
    fn a_module_that_several_need_is_loaded_once() {
        let listed = "insmod /k/netfs.ko \ninsmod /k/9p.ko \nbuiltin virtio\ninsmod /k/netfs.ko \n";
        let expected = ["/k/netfs.ko", "/k/9p.ko"].map(PathBuf::from);
        assert_eq!(files_to_load(listed), expected);
    }
}
