//! Whether a pinned program runs where it was attached, as the kernel says it.

use anyhow::{Context as _, Result};

use super::{chain, sys, tcx};
use crate::pins::AttachmentPin;

/// True when the program of a pinned link is among those of its hook. A link
/// that was detached keeps its program and its pin.
///
/// Only numbers are compared: names would take CAP_SYS_ADMIN.
pub fn runs_on_tcx(pin: &AttachmentPin) -> Result<bool> {
    let program = chain::pinned_program(pin)?;
    let programs = sys::programs_of(pin.device.index, tcx::hook(pin.direction))
        .context("can not see which programs are attached")?;
    Ok(programs.contains(&program))
}
