//! The kernel: whether it takes the programs.

use std::path::Path;

use anyhow::Result;

use super::Check;
use crate::{
    datapath::Datapath,
    doctor::{Finding, Gateway},
    failure::one_line,
    preflight::{VMLINUX_BTF, kernel_release, missing_capabilities},
};

pub(super) const CHECK: Check = Check {
    name: "kernel",
    looks_at: "the kernel's version, types and functions: the programs are loaded for a try",
    quick: false,
    run,
};

/// A version number alone says little: distributions leave parts out and take
/// others over from later versions. So the programs are loaded, as a start
/// would, but neither pinned nor attached.
fn run(_: &Gateway) -> Result<Vec<Finding>> {
    let subject = format!("Linux {}", kernel_release());
    if !missing_capabilities()?.is_empty() {
        return Ok(vec![Finding::skip(
            subject,
            "loading the programs for a try needs the capabilities of the check `capabilities`",
        )]);
    }
    if !Path::new(VMLINUX_BTF).exists() {
        return Ok(vec![Finding::fail(
            subject,
            format!("there is no {VMLINUX_BTF}: the programs can not be fitted to this kernel"),
            "boot Linux 6.1 or later that has CONFIG_DEBUG_INFO_BTF=y, and mount /sys",
        )]);
    }
    Ok(vec![match Datapath::load(0) {
        Ok(_) => Finding::ok(
            subject,
            "it has every function that the programs call, and its verifier accepts them",
        ),
        Err(error) => Finding::fail(
            subject,
            one_line(&error),
            "`modprobe -a nf_conntrack nf_nat`, or boot Linux 6.1 or later with CONFIG_NF_CONNTRACK, \
             CONFIG_NF_NAT and CONFIG_DEBUG_INFO_BTF_MODULES",
        ),
    }])
}
