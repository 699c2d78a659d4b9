//! What runs the machine: the emulator, a static busybox and kmod, unpacked from
//! packages, whatever of them is installed as well.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::packages::{self, Cache, Package};
use crate::{process, setup::debian};

const PACKAGES: [&str; 3] = ["qemu-system-x86", "busybox-static", "kmod"];

/// Where the dynamic linker looks inside the unpacked packages.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

/// The unpacked programs.
#[derive(Debug)]
pub(super) struct Tools {
    root: PathBuf,
}

impl Tools {
    /// The programs, unpacked if they are not in the cache.
    pub(super) fn provide(cache: &Cache) -> Result<Self> {
        let qemu = Package::find(PACKAGES[0])
            .or_else(|| {
                debian::refresh_lists();
                Package::find(PACKAGES[0])
            })
            .with_context(|| format!("apt-get knows no package {}", PACKAGES[0]))?;
        let root = cache.provide("tools", &qemu.directory(), |target| {
            process::step("Fetch the emulator (nothing is installed)");
            let mut wanted = packages::missing_dependencies(&PACKAGES)?;
            wanted.extend(PACKAGES.map(str::to_owned));
            packages::unpack(&wanted, target)
        })?;
        let tools = Self { root };
        let version = process::output(tools.qemu().arg("--version"));
        ensure!(
            version.is_some(),
            "the unpacked emulator does not run: `{} --version` tells why; remove {} to fetch it again",
            tools.qemu().get_program().display(),
            tools.root.display()
        );
        Ok(tools)
    }

    /// A command that starts the emulator; it finds its firmware.
    pub(super) fn qemu(&self) -> Command {
        let mut command = self.command(&self.root.join("usr/bin/qemu-system-x86_64"));
        // The installed firmware, if it is not missing, was not unpacked.
        for root in [self.root.as_path(), Path::new("/")] {
            for directory in ["usr/share/qemu", "usr/share/seabios"] {
                command.arg("-L").arg(root.join(directory));
            }
        }
        command
    }

    /// A command that starts one of kmod's programs.
    pub(super) fn kmod(&self, name: &str) -> Command {
        // kmod is told by its name which one it is.
        let mut command = self.command(&self.kmod_binary());
        std::os::unix::process::CommandExt::arg0(&mut command, name);
        command
    }

    /// The program that all of kmod's programs are.
    pub(super) fn kmod_binary(&self) -> PathBuf {
        self.binary("kmod")
    }

    /// The static busybox.
    pub(super) fn busybox(&self) -> PathBuf {
        self.binary("busybox")
    }

    /// A program that packages for a system with one directory of programs have elsewhere.
    fn binary(&self, name: &str) -> PathBuf {
        let merged = self.root.join("usr/bin").join(name);
        if merged.exists() {
            merged
        } else {
            self.root.join("bin").join(name)
        }
    }

    /// The search path for the libraries of the unpacked programs.
    pub(super) fn library_path(&self) -> OsString {
        let directories = LIBRARIES.map(|directory| self.root.join(directory).into_os_string());
        directories.join(&OsString::from(":"))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", self.library_path());
        command
    }
}
