//! The object file with the programs, made ready for the running kernel.

use anyhow::{Context as _, Result};
use zerocopy::IntoBytes as _;

use super::{kernel::Kernel, kfunc, module};
use crate::preflight::kernel_release;

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
    /// What they call, which has to live until they are loaded.
    pub(super) kernel: Kernel,
    /// Offset of `tuplehash` in the kernel's `struct nf_conn`.
    pub(super) tuplehash: u32,
    /// Offset of `proto` there.
    pub(super) proto: u32,
    /// Offset of `mark` there; 0 when the kernel has none
    /// (`CONFIG_NF_CONNTRACK_MARK`).
    pub(super) mark: u32,
    /// Bytes of `struct bpf_ct_opts`; without zones it has its [`Self::WITHOUT_ZONES`].
    pub(super) options: u32,
}

impl Prepared {
    /// Before Linux 6.11.
    const WITHOUT_ZONES: u32 = 12;
    const WITH_ZONES: u32 = 16;

    /// Conntrack can be asked about connections in a zone.
    pub(super) const fn has_zones(&self) -> bool {
        self.options != Self::WITHOUT_ZONES
    }
}

/// Makes the programs ready for the running kernel.
pub(super) fn prepare() -> Result<Prepared> {
    let mut object = embedded();
    let kernel = Kernel::read(&kfunc::names(object.bytes())?)?;
    kfunc::patch(object.bytes_mut(), &kernel)?;
    let member = |name| {
        kernel.member_offset("nf_conn", name).with_context(|| {
            format!(
                "this kernel ({}) does not describe its conntrack entries: {}",
                kernel_release(),
                module::advice()
            )
        })
    };
    let (tuplehash, proto) = (member("tuplehash")?, member("proto")?);
    let mark = kernel.member_offset("nf_conn", "mark").unwrap_or(0);
    let options = match kernel.member_offset("bpf_ct_opts", "ct_zone_id") {
        Some(_) => Prepared::WITH_ZONES,
        None => Prepared::WITHOUT_ZONES,
    };
    Ok(Prepared {
        object,
        kernel,
        tuplehash,
        proto,
        mark,
        options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datapath::tests::privileged;

    #[test]
    fn the_running_kernel_has_what_the_programs_need() {
        if !privileged() {
            return;
        }
        let prepared = prepare().unwrap();
        // The reference count comes first in `struct nf_conn`.
        assert!(prepared.tuplehash > 0);
        assert_ne!(prepared.object.bytes(), EMBEDDED);
    }
}
