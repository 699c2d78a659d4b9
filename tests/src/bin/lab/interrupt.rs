//! Ctrl-C and SIGTERM take the lab down with them.

use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::{Context as _, Result};
use ftp_helper_tests::lab::Lab;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The process whose end is the end of the lab; 0 while there is none.
static INIT: AtomicI32 = AtomicI32::new(0);

/// Makes a lab that an interruption removes. While it is being made, signals
/// wait: half a lab is not known here, and could be left behind.
pub(crate) fn guard(make: impl FnOnce() -> Result<Lab>) -> Result<Lab> {
    let signals = SigSet::from_iter(SIGNALS);
    signals
        .thread_block()
        .context("signals can not be blocked")?;
    let lab = make()?;
    INIT.store(i32::try_from(lab.init())?, Ordering::Relaxed);
    let action = SigAction::new(SigHandler::Handler(remove), SaFlags::SA_RESTART, signals);
    for signal in SIGNALS {
        // SAFETY: the handler only makes system calls that are allowed in one.
        unsafe { sigaction(signal, &action) }.context("signals can not be handled")?;
    }
    signals
        .thread_unblock()
        .context("signals can not be let in again")?;
    Ok(lab)
}

/// Kills the lab, waits until it is gone and ends the process.
extern "C" fn remove(signal: libc::c_int) {
    let message = b"\nlab: interrupted; the lab is removed\n";
    // SAFETY: each call is async-signal-safe, and the message outlives it.
    unsafe {
        libc::kill(INIT.load(Ordering::Relaxed), libc::SIGKILL);
        while libc::waitpid(-1, std::ptr::null_mut(), 0) > 0 {}
        libc::write(libc::STDERR_FILENO, message.as_ptr().cast(), message.len());
        libc::_exit(128 + signal);
    }
}
