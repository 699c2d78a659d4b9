//! What the running kernel offers to programs, in itself and in its modules.

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
    rc::Rc,
};

use anyhow::Result;
use tracing::debug;

use super::{
    autoload,
    btf::{Btf, Kind},
    kfunc::{Kfunc, Kfuncs},
    module,
};
use crate::preflight::VMLINUX_BTF;

/// The types of the kernel, and of those modules that are needed.
pub(super) struct Kernel {
    itself: Rc<Btf>,
    modules: Vec<Module>,
}

struct Module {
    types: Btf,
    descriptor: OwnedFd,
}

impl Kernel {
    /// Reads what the kernel itself has, and unless that is enough for these
    /// functions, what conntrack's modules have.
    pub(super) fn read(functions: &[String]) -> Result<Self> {
        let itself = Rc::new(Btf::read(Path::new(VMLINUX_BTF), None)?);
        let mut kernel = Self {
            itself,
            modules: Vec::new(),
        };
        if functions.iter().all(|name| kernel.find(name).is_some()) {
            return Ok(kernel);
        }
        if !module::CONNTRACK.into_iter().all(module::is_described) {
            let refusal = autoload::conntrack();
            debug!("the kernel was asked to load conntrack: {refusal:?}");
        }
        for name in module::CONNTRACK {
            // Without the one, the functions of the other may do; what is missing
            // then is told with what to do about it.
            if module::is_described(name) {
                let base = Rc::clone(&kernel.itself);
                kernel.modules.push(Module {
                    types: Btf::read(&module::types(name), Some(base))?,
                    descriptor: module::open(name)?,
                });
            }
        }
        Ok(kernel)
    }

    /// Offset of a member of a structure.
    pub(super) fn member_offset(&self, structure: &str, member: &str) -> Option<u32> {
        let modules = self.modules.iter().map(|module| &module.types);
        [&*self.itself]
            .into_iter()
            .chain(modules)
            .find_map(|types| types.member_offset(structure, member))
    }

    /// The descriptors that [`Kfunc::descriptor`] counts.
    pub(super) fn descriptors(&self) -> Vec<i32> {
        let modules = self.modules.iter();
        // Index 0 means the kernel itself; nothing is looked up there.
        [-1].into_iter()
            .chain(modules.map(|module| module.descriptor.as_raw_fd()))
            .collect()
    }
}

impl Kfuncs for Kernel {
    fn find(&self, name: &str) -> Option<Kfunc> {
        let modules = self.modules.iter().map(|module| &module.types);
        [&*self.itself]
            .into_iter()
            .chain(modules)
            .zip(0..)
            .find_map(|(types, descriptor)| {
                let btf_id = types.find(Kind::Func, name)?;
                Some(Kfunc { btf_id, descriptor })
            })
    }
}
