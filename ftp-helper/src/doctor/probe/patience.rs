//! How long others are waited for.

use std::time::{Duration, Instant};

/// How long other programs and large tables may take.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Each of them this long.
    Each(Duration),
    /// All of them together until then.
    Until(Instant),
}

impl Patience {
    /// The end of the time of something that starts now.
    pub fn deadline(self) -> Instant {
        match self {
            Self::Each(time) => Instant::now() + time,
            Self::Until(time) => time,
        }
    }
}
