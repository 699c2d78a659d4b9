//! Waiting for something to become true, with an end.

use std::{
    env,
    sync::LazyLock,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How many times slower than usual this machine may be: the environment variable
/// `FTP_HELPER_TEST_PATIENCE`, for emulated machines.
static PATIENCE: LazyLock<u32> = LazyLock::new(|| {
    let set = env::var("FTP_HELPER_TEST_PATIENCE");
    set.map_or(1, |value| {
        value
            .parse()
            .expect("FTP_HELPER_TEST_PATIENCE is a whole number")
    })
});

/// A time that is long enough on a usual machine, made long enough for this one.
#[must_use]
pub fn patient(limit: Duration) -> Duration {
    limit * *PATIENCE
}

/// As much work as takes the usual time, on a machine that is slower than usual.
#[must_use]
pub fn portion(work: usize) -> usize {
    work / *PATIENCE as usize
}

/// Asks `probe` until it has an answer, at most for `limit`, which is made
/// [`patient`]; `what` names in the error what did not happen.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let limit = patient(limit);
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(answer) = probe()? {
            return Ok(answer);
        }
        if start.elapsed() > limit {
            bail!("{what}: not within {limit:?}");
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
