//! Log lines of the programs, for debugging.

use std::os::fd::{AsRawFd, RawFd};

use anyhow::{Context as _, Result};
use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::io::{Interest, unix::AsyncFd};

/// Hands the programs' log lines to the `log` crate's logger. Readable when there
/// are some.
pub struct KernelLog {
    logger: EbpfLogger<&'static dyn tracing_log::log::Log>,
}

impl KernelLog {
    pub(super) fn new(object: &mut Ebpf) -> Result<Self> {
        let logger = EbpfLogger::init(object).context("can not read the programs' log")?;
        Ok(Self { logger })
    }

    /// Passes on every line that is there.
    pub fn flush(&mut self) {
        self.logger.flush();
    }

    /// Makes it possible to wait for lines; needs an event loop around it.
    pub fn watch(self) -> Result<AsyncFd<Self>> {
        // SAFETY: the descriptor is that of the map, which this value owns, and
        // neither changes while it lives.
        let watched = unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) };
        watched.context("can not wait for log lines")
    }
}

impl AsRawFd for KernelLog {
    fn as_raw_fd(&self) -> RawFd {
        self.logger.as_raw_fd()
    }
}
