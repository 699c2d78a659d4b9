//! Many sessions, at a rate.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{
    client::{Manner, Session},
    kind::Kind,
    tls,
};

/// Failures whose reason is kept, of each kind of session.
const REASONS: usize = 5;

/// What is done.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The server
    server: SocketAddr,
    /// Kinds of sessions, drawn from these
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    kinds: Vec<Kind>,
    /// How many sessions
    #[arg(long)]
    sessions: u64,
    /// How many of them begin in a second; 0 for no limit
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// How many there are at once at most
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Transfers of each session
    #[arg(long, default_value_t = 1)]
    files: u64,
    /// Sizes of files, drawn from these
    #[arg(long, value_delimiter = ',', default_value = "1000,20000,200000")]
    sizes: Vec<u64>,
    /// What is drawn follows from this
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Longest wait for anything, in seconds
    #[arg(long, default_value_t = 120)]
    patience: u64,
    /// Milliseconds between an announcement and the command that uses it
    #[arg(long, default_value_t = 0)]
    pause: u64,
    /// Directory of the files
    #[arg(long, default_value = "")]
    directory: String,
    /// Store files, too
    #[arg(long)]
    stores: bool,
    /// The server's certificate
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Where the number of sessions that are over is kept
    #[arg(long, value_name = "FILE")]
    progress: Option<PathBuf>,
    /// Begin no session any more when this file is there
    #[arg(long, value_name = "FILE")]
    stop: Option<PathBuf>,
}

/// What became of all sessions.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    /// From the first one's start to the last one's end.
    pub seconds: f64,
    /// By kind.
    pub kinds: BTreeMap<String, Count>,
}

/// What became of the sessions of a kind.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Count {
    /// Sessions in which everything went as it should.
    pub done: u64,
    /// All others.
    pub failed: u64,
    /// Transfers that arrived whole.
    pub kept: u64,
    /// Transfers that did not, or were not even tried because the control connection
    /// was lost.
    pub lost: u64,
    /// Seconds of the longest session.
    pub longest: f64,
    /// Why the first ones failed.
    pub why: Vec<String>,
}

impl Count {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.kept += other.kept;
        self.lost += other.lost;
        self.longest = self.longest.max(other.longest);
        let room = REASONS.saturating_sub(self.why.len());
        self.why.extend(other.why.iter().take(room).cloned());
    }
}

impl Outcome {
    /// Over all kinds.
    pub fn sum(&self) -> Count {
        let mut sum = Count::default();
        for count in self.kinds.values() {
            sum.add(count);
        }
        sum
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.seconds = self.seconds.max(other.seconds);
        for (kind, count) in &other.kinds {
            self.kinds.entry(kind.clone()).or_default().add(count);
        }
    }
}

/// Pseudo-random numbers: splitmix64.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The same seed draws the same.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// One below `limit`, which is not 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let count = u64::try_from(choices.len()).ok().filter(|it| *it > 0)?;
        choices
            .get(usize::try_from(self.below(count)).ok()?)
            .copied()
    }
}

struct Drive<'a> {
    arguments: &'a Arguments,
    manner: Manner,
    begin: Instant,
    next: AtomicU64,
    over: AtomicU64,
    kinds: Mutex<BTreeMap<String, Count>>,
}

/// Makes the sessions.
pub(super) fn drive(arguments: &Arguments) -> Result<Outcome> {
    let tls = arguments.certificate.as_deref().map(tls::client);
    let drive = Drive {
        manner: Manner {
            server: arguments.server,
            patience: Duration::from_secs(arguments.patience),
            directory: arguments.directory.clone(),
            stores: arguments.stores,
            pause: Duration::from_millis(arguments.pause),
            tls: tls.transpose()?,
        },
        arguments,
        begin: Instant::now(),
        next: AtomicU64::new(0),
        over: AtomicU64::new(0),
        kinds: Mutex::default(),
    };
    thread::scope(|scope| {
        for _ in 0..arguments.clients {
            scope.spawn(|| drive.work());
        }
    });
    Ok(Outcome {
        seconds: drive.begin.elapsed().as_secs_f64(),
        kinds: drive
            .kinds
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner),
    })
}

impl Drive<'_> {
    fn work(&self) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.arguments.sessions || self.is_stopped() {
                return;
            }
            self.wait_for_turn(number);
            let mut draw = Draw::new(self.arguments.seed.wrapping_add(number));
            let Some(kind) = draw.of(&self.arguments.kinds) else {
                return;
            };
            let begin = Instant::now();
            let mut kept = 0;
            let result = self.session(kind, &mut draw, &mut kept);
            let count = Count {
                done: u64::from(result.is_ok()),
                failed: u64::from(result.is_err()),
                kept,
                lost: self.arguments.files.saturating_sub(kept),
                longest: begin.elapsed().as_secs_f64(),
                why: result
                    .err()
                    .map(|error| format!("session {number}: {error:#}"))
                    .into_iter()
                    .collect(),
            };
            let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
            kinds.entry(kind.word().to_owned()).or_default().add(&count);
            drop(kinds);
            self.tell();
        }
    }

    /// Waits until it is this session's turn.
    fn wait_for_turn(&self, number: u64) {
        if self.arguments.rate > 0.0 {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52 sessions")]
            let due = number as f64 / self.arguments.rate;
            let due = Duration::try_from_secs_f64(due).unwrap_or_default();
            sleep(due.saturating_sub(self.begin.elapsed()));
        }
    }

    fn session(&self, kind: Kind, draw: &mut Draw, kept: &mut u64) -> Result<()> {
        let mut session = Session::open(&self.manner, kind)?;
        for _ in 0..self.arguments.files {
            let size = draw.of(&self.arguments.sizes).context("no size")?;
            let is_stored = self.manner.stores && draw.below(3) == 0;
            if is_stored {
                session.store(size).context("upload")?;
            } else {
                session.retrieve(size).context("download")?;
            }
            *kept += 1;
        }
        session.leave()
    }

    fn is_stopped(&self) -> bool {
        self.arguments
            .stop
            .as_deref()
            .is_some_and(std::path::Path::exists)
    }

    fn tell(&self) {
        let over = self.over.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(path) = &self.arguments.progress {
            // Only looked at now and then; one that is missed is not missed later.
            let _ = std::fs::write(path, over.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same() {
        let draw = |seed| {
            let mut draw = Draw::new(seed);
            (0..5).map(|_| draw.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!(Draw::new(0).of::<u8>(&[]), None);
    }

    #[test]
    fn counts_add_up() {
        let count = |done, longest| Count {
            done,
            longest,
            why: vec!["x".to_owned(); 3],
            ..Count::default()
        };
        let mut outcome = Outcome::default();
        for (kind, done) in [("port", 3), ("pasv", 4), ("port", 5)] {
            let kinds = [(kind.to_owned(), count(done, 1.0))].into();
            outcome.add(&Outcome {
                seconds: 2.0,
                kinds,
            });
        }
        assert_eq!(outcome.kinds["port"].done, 8);
        assert_eq!(outcome.sum().done, 12);
        assert_eq!(outcome.sum().why.len(), REASONS);
    }
}
