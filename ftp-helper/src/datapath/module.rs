//! Kernel modules whose functions the programs call.
//!
//! Distributions build conntrack as modules, which are loaded when the first rule
//! or tool wants them. Their functions are described in BTF of their own.

use std::{
    fs,
    io::{self, ErrorKind},
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::sys;
use crate::preflight::kernel_release;

/// Modules that conntrack's functions are in, where they are not in the kernel
/// itself.
pub(super) const CONNTRACK: [&str; 2] = ["nf_conntrack", "nf_nat"];

/// Where the kernel describes the types of a module.
pub(super) fn types(module: &str) -> PathBuf {
    Path::new("/sys/kernel/btf").join(module)
}

/// True for a module that is loaded, and of a kernel that describes it.
pub(super) fn is_described(module: &str) -> bool {
    types(module).exists()
}

/// Opens the types of a loaded module.
///
/// The kernel knows them by number only. Both asking for the numbers and opening
/// one takes CAP_SYS_ADMIN, CAP_BPF is not enough (seen up to Linux 6.18).
pub(super) fn open(module: &str) -> Result<OwnedFd> {
    match search(module) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => bail!(
            "missing CAP_SYS_ADMIN: conntrack is a module of this kernel, and without it the \
             functions of modules can not be called: run as root or add it"
        ),
        result => result.with_context(|| format!("can not open the types of module {module}")),
    }
}

fn search(module: &str) -> io::Result<OwnedFd> {
    let mut id = 0;
    while let Some(next) = sys::next_types(id)? {
        id = next;
        let types = match sys::open_types(id) {
            Ok(types) => types,
            // Gone since its number was given.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if sys::module_of(types.as_fd())?.as_deref() == Some(module) {
            return Ok(types);
        }
    }
    Err(ErrorKind::NotFound.into())
}

/// What to do about a kernel in which a function of conntrack's was not found.
pub(super) fn advice() -> String {
    advice_in(Path::new("/"), &kernel_release())
}

fn advice_in(root: &Path, release: &str) -> String {
    let loaded = |module: &&str| {
        // What is part of the kernel may have a directory there too, but no state.
        let state = root.join("sys/module").join(module).join("initstate");
        state.exists()
    };
    let described = |module: &&str| root.join("sys/kernel/btf").join(module).exists();
    let missing: Vec<&str> = CONNTRACK
        .into_iter()
        .filter(|module| !described(module))
        .collect();
    if let Some(module) = missing.iter().find(|module| loaded(module)) {
        return format!(
            "module {module} is loaded, but the kernel has no description of it \
             (/sys/kernel/btf/{module}): use a kernel with CONFIG_DEBUG_INFO_BTF_MODULES=y, and \
             modules that were built with it"
        );
    }
    let available = fs::read_to_string(root.join("lib/modules").join(release).join("modules.dep"));
    let available = available.unwrap_or_default();
    if missing
        .iter()
        .any(|module| available.contains(&format!("/{module}.ko")))
    {
        return format!(
            "run `modprobe -a {}`, then start again",
            CONNTRACK.join(" ")
        );
    }
    "use Linux 6.1 or later with CONFIG_NF_CONNTRACK and CONFIG_NF_NAT, and where these are \
     modules, load nf_conntrack and nf_nat first"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice_with(files: &[&str], modules: &str) -> String {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let directory = root.path().join("lib/modules/6.1.0");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("modules.dep"), modules).unwrap();
        advice_in(root.path(), "6.1.0")
    }

    const AVAILABLE: &str = "kernel/net/netfilter/nf_conntrack.ko: kernel/lib/libcrc32c.ko\n\
                             kernel/net/netfilter/nf_nat.ko.xz: kernel/net/netfilter/nf_conntrack.ko\n";

    #[test]
    fn modules_that_are_not_loaded() {
        let advice = advice_with(&[], AVAILABLE);
        assert!(
            advice.contains("`modprobe -a nf_conntrack nf_nat`"),
            "{advice}"
        );
        let advice = advice_with(&["sys/kernel/btf/nf_conntrack"], AVAILABLE);
        assert!(advice.contains("modprobe"), "{advice}");
    }

    #[test]
    fn modules_without_types() {
        let loaded = ["sys/module/nf_conntrack/initstate"];
        let advice = advice_with(&loaded, AVAILABLE);
        assert!(
            advice.contains("CONFIG_DEBUG_INFO_BTF_MODULES=y"),
            "{advice}"
        );
        assert!(advice.contains("/sys/kernel/btf/nf_conntrack"), "{advice}");
    }

    #[test]
    fn kernels_that_have_no_such_functions() {
        let all = ["sys/kernel/btf/nf_conntrack", "sys/kernel/btf/nf_nat"];
        // A part of the kernel has parameters there, but was never loaded.
        let builtin = ["sys/module/nf_conntrack/parameters/hashsize"];
        for (files, modules) in [(&all[..], AVAILABLE), (&builtin[..], "")] {
            let advice = advice_with(files, modules);
            assert!(advice.starts_with("use Linux 6.1 or later"), "{advice}");
        }
    }

    #[test]
    fn types_of_what_is_no_module_are_not_found() {
        if !crate::datapath::tests::privileged() {
            return;
        }
        assert!(open("vmlinux").is_ok());
        let error = format!("{:#}", open("no_such_module").unwrap_err());
        assert!(error.contains("no_such_module"), "{error}");
    }
}
