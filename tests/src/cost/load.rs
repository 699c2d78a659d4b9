//! What loads a gateway, and what answers: processes of their own, because a lab's
//! thread can start no threads.

pub mod client;
mod dialogue;
pub mod server;
pub mod web;

use std::{
    net::TcpStream,
    os::fd::AsFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::{socket::setsockopt, socket::sockopt, time::TimeVal};
use serde::{Deserialize, Serialize};

/// Longest wait for anything that the other end has to do. Much longer than anything
/// takes that works.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a load came to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Tally {
    /// How often it was done.
    pub done: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How often it failed.
    pub failed: u64,
    /// Why it failed first.
    pub why: Option<String>,
}

impl Tally {
    /// How much was done; an error when anything failed, and when that is nothing.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn count(&self) -> Result<f64> {
        ensure!(
            self.failed == 0,
            "{} of {} failed: {}",
            self.failed,
            self.done + self.failed,
            self.why.as_deref().unwrap_or("for no reason that was told")
        );
        ensure!(self.done > 0, "none was done within {:.1} s", self.seconds);
        Ok(self.done as f64)
    }

    /// [`Tally::count`] a second.
    pub fn rate(&self) -> Result<f64> {
        Ok(self.count()? / self.seconds)
    }
}

/// How long something is done.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// For some time; what is under way then does not count, nor what is done in the
    /// first moments, while nothing is in any cache.
    Elapsed(Duration),
    /// So often by each client.
    Done(u64),
}

/// Lets `clients` threads do something again and again: `open` makes what a thread
/// keeps, `once` does it. A thread ends with its first failure.
fn repeat<S>(
    clients: usize,
    until: Until,
    open: impl Fn() -> Result<S> + Sync,
    once: impl Fn(&mut S) -> Result<()> + Sync,
) -> Tally {
    let [early, done, late, failed] = [const { AtomicU64::new(0) }; 4];
    let why = Mutex::new(None);
    let warm_up = match until {
        Until::Elapsed(limit) => limit / 8,
        Until::Done(_) => Duration::ZERO,
    };
    let begin = Instant::now() + warm_up;
    let fail = |error: anyhow::Error| {
        failed.fetch_add(1, Ordering::Relaxed);
        let mut why = why.lock().unwrap_or_else(PoisonError::into_inner);
        why.get_or_insert_with(|| format!("{error:#}"));
    };
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut state = match open() {
                    Ok(state) => state,
                    Err(error) => return fail(error),
                };
                let mut own = 0;
                loop {
                    match until {
                        // Once at least, however late it is already.
                        Until::Elapsed(limit) if own > 0 && begin.elapsed() >= limit => break,
                        Until::Done(count) if own >= count => break,
                        _ => {}
                    }
                    if let Err(error) = once(&mut state) {
                        return fail(error);
                    }
                    own += 1;
                    let now = Instant::now();
                    let counter = match until {
                        Until::Elapsed(_) if now < begin => &early,
                        Until::Elapsed(limit) if now >= begin + limit => &late,
                        _ => &done,
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let [early, done, late] = [early, done, late].map(AtomicU64::into_inner);
    let (done, seconds) = match until {
        Until::Elapsed(limit) if done > 0 => (done, limit),
        // On a machine that has other things to do, each took longer than that.
        _ => (early + done + late, warm_up + begin.elapsed()),
    };
    Tally {
        done,
        seconds: seconds.as_secs_f64(),
        failed: failed.into_inner(),
        why: why.into_inner().unwrap_or_else(PoisonError::into_inner),
    }
}

/// Lets no call on the socket wait for ever; `accept` heeds it too.
fn limit_waits(socket: &impl AsFd) -> Result<()> {
    let limit = TimeVal::new(i64::try_from(PATIENCE.as_secs())?, 0);
    setsockopt(socket, sockopt::ReceiveTimeout, &limit).context("no limit for receiving")?;
    setsockopt(socket, sockopt::SendTimeout, &limit).context("no limit for sending")
}

/// A connection whose small segments go at once.
fn prepare(stream: &TcpStream) -> Result<()> {
    limit_waits(stream)?;
    stream.set_nodelay(true).context("TCP_NODELAY")
}
