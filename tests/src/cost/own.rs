//! ftp-helper's programs, beside their agent or without it.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};
use ftp_helper::{
    datapath::{chain::pinned_program, sys},
    pins::{PinDirectory, Technique},
};
use ftp_helper_common::session::Direction;

use super::links::{self, Links};

/// Both programs, with the maps that an agent has set up for them.
pub(super) struct Own {
    ingress: OwnedFd,
    egress: OwnedFd,
    /// Attached with links, as they can be without an agent.
    pub(super) is_linked: bool,
}

impl Own {
    /// Those that an agent has attached.
    pub(super) fn find(pins: &Path) -> Result<Self> {
        let [mut ingress, mut egress] = [None, None];
        let mut is_linked = true;
        for pin in PinDirectory::new(pins).read()?.attachments {
            is_linked &= pin.technique == Technique::Tcx;
            let program = sys::open_program(pinned_program(&pin)?)
                .with_context(|| format!("no program behind {}", pin.path.display()))?;
            match pin.direction {
                Direction::Ingress => ingress = Some(program),
                Direction::Egress => egress = Some(program),
            }
        }
        Ok(Self {
            ingress: ingress.context("nothing is attached to what comes in")?,
            egress: egress.context("nothing is attached to what goes out")?,
            is_linked,
        })
    }

    /// Attaches them, see [`links::attach`].
    pub(super) fn attach(&self, device: u32) -> Result<Links> {
        links::attach(device, self.ingress.as_fd(), self.egress.as_fd())
    }

    /// How long they have run while the kernel counted that.
    pub(super) fn run_time(&self) -> Result<Duration> {
        let mut sum = 0;
        for program in [&self.ingress, &self.egress] {
            let info = sys::program_info(program.as_fd()).context("a program is not known")?;
            sum += info.run_time_ns;
        }
        Ok(Duration::from_nanos(sum))
    }
}
