//! The first root file system of a machine: enough to mount the one that this
//! machine shares with it.

use std::{
    fs,
    io::{self, Write as _},
};

use anyhow::{Context as _, Result};

use super::{
    kernel::{self, Kernel},
    tools::Tools,
};

/// What it takes to mount the shared file system, to lay a writable one over it, and
/// to report.
const MODULES: [&str; 5] = [
    "9p",
    "9pnet_virtio",
    "virtio_pci",
    "virtio_console",
    "overlay",
];

/// Program 1 of the machine; ends as `GUEST` in the shared file system.
const INIT: &str = include_str!("init.sh");
/// Makes the shared file system look like a running system, and runs the tests.
const GUEST: &str = include_str!("guest.sh");

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
const FILE: u32 = 0o100_644;

/// Everything that `kernel` starts with; `settings` are variables for the shell, and
/// `plan` is what to run.
pub(super) fn build(
    kernel: &Kernel,
    tools: &Tools,
    settings: &str,
    plan: &[u8],
) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for directory in [
        "bin", "proc", "sys", "dev", "shared", "changes", "root", "vm", "modules",
    ] {
        archive.add(directory, DIRECTORY, &[])?;
    }
    let busybox = tools.busybox();
    let busybox =
        fs::read(&busybox).with_context(|| format!("can not read {}", busybox.display()))?;
    archive.add("bin/busybox", EXECUTABLE, &busybox)?;
    archive.add("init", EXECUTABLE, INIT.as_bytes())?;
    archive.add("vm/guest.sh", FILE, GUEST.as_bytes())?;
    archive.add("vm/settings", FILE, settings.as_bytes())?;
    archive.add("vm/plan.json", FILE, plan)?;
    let mut order = String::new();
    for (index, file) in kernel.module_files(&MODULES, tools)?.iter().enumerate() {
        let name = format!("{index}.ko");
        let module = kernel::read_module(file, tools)?;
        archive.add(&format!("modules/{name}"), FILE, &module)?;
        order += &name;
        order += "\n";
    }
    archive.add("modules/order", FILE, order.as_bytes())?;
    archive.finish()
}

/// A cpio archive in the form that kernels read.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.entries += 1;
        self.write(name, mode, content)
            .with_context(|| format!("{name} does not go into the archive"))
    }

    fn write(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let entry = cpio::newc::Builder::new(name).ino(self.entries).mode(mode);
        let mut writer = entry.write(&mut self.bytes, size);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        cpio::newc::trailer(&mut self.bytes).context("the archive can not be ended")?;
        Ok(self.bytes)
    }
}
