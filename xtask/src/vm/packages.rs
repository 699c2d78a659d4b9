//! Packages of the distribution, unpacked into a directory instead of installed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{process, setup::debian, workspace};

/// Where unpacked packages are kept from one run to the next.
#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
    /// Two runs at once would unpack into the same directories.
    _lock: File,
}

/// A package that can be had, in the version that would be installed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
}

/// Why this machine can not fetch packages at all, if it can not.
pub(super) fn obstacle() -> Option<String> {
    let missing: Vec<_> = ["apt-get", "apt-cache", "dpkg-deb"]
        .into_iter()
        .filter(|program| process::find(program).is_none())
        .collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "kernels come as packages of Debian or Ubuntu, and here is no {}",
        missing.join(", no ")
    ))
}

impl Cache {
    /// Opens the cache in cargo's target directory; waits for another run that is at
    /// work in there.
    pub(super) fn open() -> Result<Self> {
        let root = workspace::target_dir()?.join("vm");
        fs::create_dir_all(&root).with_context(|| format!("can not make {}", root.display()))?;
        let path = root.join("lock");
        let lock =
            File::create(&path).with_context(|| format!("can not make {}", path.display()))?;
        if lock.try_lock().is_err() {
            println!("  waiting for another run that uses {}", root.display());
            lock.lock()
                .with_context(|| format!("can not lock {}", path.display()))?;
        }
        Ok(Self { root, _lock: lock })
    }

    /// The directory `group/name`, filled by `fill` if it is not there; other ones of
    /// the group are older and go away.
    pub(super) fn provide(
        &self,
        group: &str,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let group = self.root.join(group);
        let wanted = group.join(name);
        if wanted.is_dir() {
            return Ok(wanted);
        }
        // Also what an interrupted run left.
        if group.exists() {
            fs::remove_dir_all(&group)
                .with_context(|| format!("can not empty {}", group.display()))?;
        }
        let part = group.join("part");
        fs::create_dir_all(&part).with_context(|| format!("can not make {}", part.display()))?;
        fill(&part)?;
        fs::rename(&part, &wanted).with_context(|| format!("can not rename {}", part.display()))?;
        Ok(wanted)
    }
}

impl Package {
    /// The package of this name, if there is a version to be had.
    pub(super) fn find(name: &str) -> Option<Self> {
        let policy = process::output(Command::new("apt-cache").args(["policy", name]))?;
        let version = candidate(&policy)?;
        Some(Self {
            name: name.to_owned(),
            version: version.to_owned(),
        })
    }

    /// Name and version, as a name for a directory.
    pub(super) fn directory(&self) -> String {
        format!("{}_{}", self.name, self.version.replace(['/', ':'], "_"))
    }

    /// The names of those dependencies that start with one of `prefixes`.
    pub(super) fn dependencies(&self, prefixes: &[&str]) -> Vec<String> {
        let listed = process::output(Command::new("apt-cache").args(["depends", &self.name]));
        listed
            .iter()
            .flat_map(|text| text.lines())
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
            .map(str::to_owned)
            .collect()
    }
}

/// The version in the output of `apt-cache policy`.
fn candidate(policy: &str) -> Option<&str> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
}

/// Every name of a package that starts like this.
pub(super) fn names(prefix: &str) -> Vec<String> {
    process::output(Command::new("apt-cache").args(["pkgnames", prefix]))
        .iter()
        .flat_map(|text| text.lines())
        .map(str::to_owned)
        .collect()
}

/// What would have to be installed to have `packages`, apart from themselves.
pub(super) fn missing_dependencies(packages: &[&str]) -> Result<Vec<String>> {
    let mut apt = Command::new("apt-get");
    apt.args(["--simulate", "--no-install-recommends", "install"])
        .args(packages);
    let simulation = process::output(apt.env("LC_ALL", "C"))
        .with_context(|| format!("apt-get knows no way to have {}", packages.join(" ")))?;
    Ok(installed_by(&simulation)
        .filter(|name| !packages.contains(name))
        .map(str::to_owned)
        .collect())
}

/// The packages that a simulation would install: `Inst NAME (VERSION ...)`.
fn installed_by(simulation: &str) -> impl Iterator<Item = &str> {
    simulation
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
}

/// Downloads packages and unpacks them into `target`.
pub(super) fn unpack(packages: &[String], target: &Path) -> Result<()> {
    // dpkg-deb wants to be told about its own directory only.
    let downloads = target.join("downloads");
    fs::create_dir(&downloads).with_context(|| format!("can not make {}", downloads.display()))?;
    if let Err(error) = download(packages, &downloads) {
        // The lists may be older than the mirror's packages.
        println!("  {error:#}");
        debian::refresh_lists();
        download(packages, &downloads)?;
    }
    let mut count = 0;
    for entry in fs::read_dir(&downloads)? {
        let archive = entry?.path();
        ensure!(
            process::succeeds(
                Command::new("dpkg-deb")
                    .arg("--extract")
                    .args([&archive, target])
            ),
            "{} can not be unpacked: is the disk full?",
            archive.display()
        );
        count += 1;
    }
    if count < packages.len() {
        bail!(
            "apt-get has downloaded {count} of {} packages",
            packages.len()
        );
    }
    fs::remove_dir_all(&downloads)
        .with_context(|| format!("can not remove {}", downloads.display()))
}

fn download(packages: &[String], directory: &Path) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.current_dir(directory)
        .args(["-q", "-o", "Dpkg::Use-Pty=0"]);
    if process::is_root() {
        // The user that apt-get would become can not write here.
        apt.args(["-o", "APT::Sandbox::User=root"]);
    }
    process::run(apt.arg("download").args(packages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_is_what_would_be_installed() {
        let policy = "linux-image-6.1.0-56-amd64:\n  Installed: (none)\n  Candidate: 6.1.192-2\n";
        assert_eq!(candidate(policy), Some("6.1.192-2"));
        assert_eq!(
            candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"),
            None
        );
        assert_eq!(candidate(""), None);
    }

    #[test]
    fn a_simulation_tells_what_would_be_installed() {
        let simulation = "Reading package lists...\nRemv qemu-utils [1:10.0]\n\
             Inst kmod (30+20221128-1 Debian:12.15/oldstable [amd64])\n\
             Inst libfdt1 (1.6.1-4+b1 Debian:12.15/oldstable [amd64])\n\
             Conf kmod (30+20221128-1 Debian:12.15/oldstable [amd64])\n";
        let names: Vec<_> = installed_by(simulation).collect();
        assert_eq!(names, ["kmod", "libfdt1"]);
    }

    #[test]
    fn a_version_makes_a_name_for_a_directory() {
        let package = Package {
            name: "qemu".to_owned(),
            version: "1:7.2+dfsg-7".to_owned(),
        };
        assert_eq!(package.directory(), "qemu_1_7.2+dfsg-7");
    }
}
