//! What has to be there before a start. Each check has one clear line, with the
//! cause and what to do about it, in place of an errno from deep inside.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use caps::{CapSet, Capability};
use nix::sys::statfs::{FsType, statfs};

use crate::pins::PinDirectory;

/// The kernel's own type information.
pub const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Type of a BPF file system.
pub const BPFFS: FsType = FsType(libc::BPF_FS_MAGIC);

/// What loading and attaching need: programs and maps, their use of kernel
/// pointers, and attachment to a network device. CAP_SYS_ADMIN is needed only
/// where conntrack is a module, and only to load; the loader finds that out, and
/// says so.
pub const NEEDED: [Capability; 3] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_NET_ADMIN,
];

/// Everything that `ftp-helper run` needs, except the interfaces.
pub fn check(pins: &PinDirectory) -> Result<()> {
    capabilities()?;
    kernel_types(Path::new(VMLINUX_BTF))?;
    bpffs(pins.path())
}

/// Those of [`NEEDED`] that this process has not.
pub fn missing_capabilities() -> Result<Vec<Capability>> {
    let held = caps::read(None, CapSet::Effective).context("can not read the capabilities")?;
    let missing = NEEDED.into_iter().filter(|one| !held.contains(one));
    Ok(missing.collect())
}

fn capabilities() -> Result<()> {
    let missing = missing_capabilities()?;
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    if !missing.is_empty() {
        bail!(
            "missing {}: run as root or add it with setcap",
            missing.join(", ")
        );
    }
    Ok(())
}

fn kernel_types(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    bail!(
        "this kernel ({}) has no {}: use one with CONFIG_DEBUG_INFO_BTF=y, and mount /sys",
        kernel_release(),
        path.display()
    )
}

/// Where pins at `path` are or will be: a start makes the last directory of the path,
/// and no other one.
pub fn place_of(path: &Path) -> &Path {
    if path.exists() {
        path
    } else {
        path.parent().unwrap_or(path)
    }
}

/// The pin directory, or the one that it is to be made in, must be on a BPF file
/// system. It is not mounted here: where a mount belongs is for the
/// administrator to say, and a mount of ours might hide somebody's pins.
fn bpffs(path: &Path) -> Result<()> {
    let place = place_of(path);
    let found = statfs(place).with_context(|| {
        format!(
            "can not look at {}: make it, on a BPF file system (`mount -t bpf bpf /sys/fs/bpf`)",
            place.display()
        )
    })?;
    if found.filesystem_type() != BPFFS {
        bail!(
            "{} is not on a BPF file system: run `mount -t bpf bpf /sys/fs/bpf`, or choose \
             another place with --pin-dir",
            place.display()
        );
    }
    Ok(())
}

/// The release of the running kernel, for messages.
pub fn kernel_release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_no_bpffs_is_refused_with_the_mount_command() {
        let place = tempfile::tempdir().unwrap();
        for path in [place.path().to_owned(), place.path().join("pins")] {
            let error = bpffs(&path).unwrap_err().to_string();
            assert!(error.contains("mount -t bpf bpf /sys/fs/bpf"), "{error}");
        }
    }

    #[test]
    fn a_place_that_is_not_there_is_named() {
        let error = bpffs(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at"), "{error}");
    }

    #[test]
    fn missing_kernel_types_name_the_option() {
        let error = kernel_types(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.contains("CONFIG_DEBUG_INFO_BTF"), "{error}");
    }
}
