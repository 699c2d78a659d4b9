//! How much is done.

use std::time::Duration;

/// How much is done, and how long.
#[derive(Clone, Debug)]
pub struct Amount {
    /// Its name, in reports.
    pub name: &'static str,
    /// Sessions over all wings.
    pub sessions: u64,
    /// They begin over this time, at an even rate; on a slow machine over a longer one.
    pub time: Duration,
    /// Between two looks at what is measured.
    pub interval: Duration,
    /// Whether it is waited until closed sessions are forgotten, and everything is as it
    /// was at the start: some minutes.
    pub settles: bool,
    /// Kibibytes that the agent's memory may grow by behind the warm-up.
    pub growth: u64,
}

impl Amount {
    /// An hour.
    pub const FULL: Self = Self {
        name: "full",
        sessions: 100_000,
        time: Duration::from_secs(3600),
        interval: Duration::from_secs(15),
        settles: true,
        growth: 1024,
    };

    /// Half a minute: shows that everything runs, and that nothing fails.
    pub const QUICK: Self = Self {
        name: "quick",
        sessions: 600,
        time: Duration::from_secs(12),
        interval: Duration::from_secs(1),
        settles: false,
        // Its own tables fill up meanwhile.
        growth: 8192,
    };
}
