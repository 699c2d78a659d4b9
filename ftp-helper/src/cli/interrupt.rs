//! Commands that run until somebody has seen enough: a signal is how they are
//! meant to end.

use std::{process, thread};

use anyhow::{Context as _, Result};
use nix::sys::signal::{SigSet, Signal};

/// Ends this process with success when it gets SIGINT, SIGTERM or SIGHUP, behind
/// `farewell`. To be called before there is another thread, which would take the
/// signal.
pub(super) fn is_success(farewell: impl FnOnce() + Send + 'static) -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    signals.thread_block().context("can not catch signals")?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if signals.wait().is_ok() {
                farewell();
                process::exit(0);
            }
        })
        .context("can not start a thread")?;
    Ok(())
}
