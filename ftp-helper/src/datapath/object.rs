//! The object file with the programs, made ready for the running kernel.

use std::path::Path;

use anyhow::{Context as _, Result};
use zerocopy::IntoBytes as _;

use super::{
    btf::Btf,
    kfunc::{self, advice},
};
use crate::preflight::{VMLINUX_BTF, kernel_release};

/// The programs as they were built.
static EMBEDDED: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ftp-helper"));

/// An object file that may be changed. ELF structures are read in place and
/// want the alignment of a `u64`.
pub(super) struct Object {
    words: Vec<u64>,
    length: usize,
}

impl Object {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.words.as_bytes()[..self.length]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.words.as_mut_bytes()[..self.length]
    }
}

/// A copy of the programs as they were built.
pub(super) fn embedded() -> Object {
    let length = EMBEDDED.len();
    let mut object = Object {
        words: vec![0; length.div_ceil(size_of::<u64>())],
        length,
    };
    object.bytes_mut().copy_from_slice(EMBEDDED);
    object
}

/// The programs with everything filled in that depends on the kernel.
pub(super) struct Prepared {
    pub(super) object: Object,
    /// Offset of `tuplehash` in the kernel's `struct nf_conn`.
    pub(super) tuplehash: u32,
    /// Offset of `mark` there; 0 when the kernel has none
    /// (`CONFIG_NF_CONNTRACK_MARK`).
    pub(super) mark: u32,
}

/// Makes the programs ready for the running kernel.
pub(super) fn prepare() -> Result<Prepared> {
    let btf = Btf::read(Path::new(VMLINUX_BTF))?;
    let mut object = embedded();
    kfunc::patch(object.bytes_mut(), &btf)?;
    let tuplehash = btf.member_offset("nf_conn", "tuplehash").with_context(|| {
        format!(
            "this kernel ({}) does not describe its conntrack entries: {}",
            kernel_release(),
            advice()
        )
    })?;
    let mark = btf.member_offset("nf_conn", "mark").unwrap_or(0);
    Ok(Prepared {
        object,
        tuplehash,
        mark,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::btf::Kind;

    #[test]
    fn the_running_kernel_has_what_the_programs_need_or_says_why_not() {
        let btf = Btf::read(Path::new(VMLINUX_BTF)).unwrap();
        if btf.find(Kind::Func, "bpf_ct_set_nat_info").is_some() {
            let prepared = prepare().unwrap();
            // The reference count comes first in `struct nf_conn`.
            assert!(prepared.tuplehash > 0);
            assert_ne!(prepared.object.bytes(), EMBEDDED);
        } else {
            let error = prepare().map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("CONFIG_NF_NAT=y"), "{error}");
        }
    }
}
