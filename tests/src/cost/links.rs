//! Programs that are attached for as long as somebody keeps their links.

use std::os::fd::{BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result};
use aya_obj::generated::bpf_attach_type;
use ftp_helper::datapath::sys::{self, Place};

/// What keeps two programs attached.
pub(super) type Links = [OwnedFd; 2];

/// Attaches programs to both hooks of a device of the network namespace that the thread
/// is in.
pub(super) fn attach(
    device: u32,
    ingress: BorrowedFd<'_>,
    egress: BorrowedFd<'_>,
) -> Result<Links> {
    let link = |program, hook| {
        sys::create_link(program, device, hook, Place::First)
            .context("the kernel has no TCX (Linux 6.6)")
    };
    Ok([
        link(ingress, bpf_attach_type::BPF_TCX_INGRESS)?,
        link(egress, bpf_attach_type::BPF_TCX_EGRESS)?,
    ])
}
