//! What ftp-helper itself takes of something: the time of its programs, as the kernel
//! counts it, and that of its agent. Chance has less to do with it than with rates, of
//! which it is a small part.

use std::{fs, os::fd::OwnedFd, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use aya_obj::generated::bpf_cmd;
use ftp_helper::datapath::sys;

use super::{own::Own, peer::Peer, rig::Rig};
use crate::{agent::PINS, soak::gauge::process_of};

/// Time that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// By the programs, on all processors, with all that they called.
    pub(super) programs: Duration,
    /// By the agent's threads.
    pub(super) agent: Duration,
}

/// Has `work` done with ftp-helper on the gateway.
pub(super) fn of<T>(rig: &mut Rig, work: impl FnOnce(&Rig) -> Result<T>) -> Result<(T, Effort)> {
    rig.give(Peer::Ours)?;
    let programs = Own::find(Path::new(PINS))?;
    let agent = process_of(rig.agent())?;
    let _counting = count_time()?;
    let (programs_before, agent_before) = (programs.run_time()?, running_time(&agent)?);
    let done = work(rig)?;
    let effort = Effort {
        programs: programs.run_time()?.saturating_sub(programs_before),
        agent: running_time(&agent)?.saturating_sub(agent_before),
    };
    Ok((done, effort))
}

/// Lets the kernel time every run of a program, for as long as this is kept.
fn count_time() -> Result<OwnedFd> {
    /// `BPF_STATS_RUN_TIME`.
    const RUN_TIME: u32 = 0;

    let mut attribute = sys::zero();
    attribute.enable_stats.type_ = RUN_TIME;
    // SAFETY: the attribute holds no pointer, and the command returns a new descriptor.
    unsafe { sys::open(bpf_cmd::BPF_ENABLE_STATS, &mut attribute) }
        .context("the kernel does not time programs")
}

/// What the scheduler accounts to all threads of a process.
pub(super) fn running_time(process: &Path) -> Result<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(process.join("task"))?.flatten() {
        let path = thread.path().join("schedstat");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{} not readable", path.display()))?;
        let first = text.split(' ').next().and_then(|it| it.parse::<u64>().ok());
        sum += first.with_context(|| format!("{} has no times: {text}", path.display()))?;
    }
    Ok(Duration::from_nanos(sum))
}
