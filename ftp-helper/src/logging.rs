//! The log: lines on standard error.

use std::io::{IsTerminal as _, stderr};

use anyhow::{Context as _, Result};
use tracing::level_filters::LevelFilter;
use tracing_log::LogTracer;
use tracing_subscriber::EnvFilter;

/// Starts logging. `filter` is a level, or directives in the form of
/// [`EnvFilter`].
pub fn start(filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("`{filter}` is no log level: use error, warn, info, debug or trace")
    })?;
    // The log lines of the programs and of aya come through the log crate.
    LogTracer::init().context("a logger is there already")?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).context("a logger is there already")
}

/// Most verbose level that is logged, as the programs count it: 0 for none,
/// 1 for errors, up to 5 for everything.
pub fn kernel_level() -> u8 {
    match LevelFilter::current() {
        LevelFilter::OFF => 0,
        LevelFilter::ERROR => 1,
        LevelFilter::WARN => 2,
        LevelFilter::INFO => 3,
        LevelFilter::DEBUG => 4,
        _ => 5,
    }
}
