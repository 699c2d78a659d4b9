//! The log: lines on standard error.

use std::{
    io::{self, IsTerminal as _, Write, stderr},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use tracing::level_filters::LevelFilter;
use tracing_log::LogTracer;
use tracing_subscriber::EnvFilter;

/// aya tells every relocation at the debug level. Whoever wants that says so:
/// what comes later in the directives wins.
const QUIET: &str = "aya=info,aya_obj=info";

/// Starts logging. `filter` is a level, or directives in the form of
/// [`EnvFilter`].
pub fn start(filter: &str) -> Result<()> {
    let filter = parse(filter).with_context(|| {
        format!("`{filter}` is no log level: use error, warn, info, debug or trace")
    })?;
    // The log lines of the programs and of aya come through the log crate.
    LogTracer::init().context("a logger is there already")?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lines)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).context("a logger is there already")
}

/// What was logged while lines are kept together; `None` while they are not.
static TOGETHER: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Keeps the lines that are logged until it goes away, and writes all of them at once: a
/// busy gateway reports thousands of events a second, and a system call for each would be
/// most of the agent's work.
#[derive(Debug)]
pub struct Together(());

/// See [`Together`].
pub fn together() -> Together {
    TOGETHER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_with(Vec::new);
    Together(())
}

impl Drop for Together {
    fn drop(&mut self) {
        let mut kept = TOGETHER.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = kept.take().unwrap_or_default();
        if !lines.is_empty() {
            // Who does not take the log has no place where that could be said.
            let _ = stderr().write_all(&lines);
        }
    }
}

/// Standard error, or what is kept for it.
struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = TOGETHER.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *kept {
            Some(lines) => {
                lines.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            None => stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn parse(filter: &str) -> Result<EnvFilter> {
    // A lone word is a level; as a directive a mistyped one would be the name of a
    // module, and everything else would fall silent.
    if !filter.contains(['=', ',']) {
        ensure!(!filter.is_empty(), "there is no level");
        filter.parse::<LevelFilter>()?;
    }
    Ok(EnvFilter::try_new(format!("{QUIET},{filter}"))?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives() {
        for filter in [
            "error",
            "warn",
            "INFO",
            "debug",
            "trace",
            "off",
            "aya=debug,info",
        ] {
            assert!(parse(filter).is_ok(), "{filter}");
        }
        for filter in ["", "inf", "verbose", "a=b=c"] {
            assert!(parse(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn lines_that_are_kept_together_are_kept() {
        let guard = together();
        Lines.write_all(b"one\n").unwrap();
        Lines.write_all(b"two\n").unwrap();
        let kept = TOGETHER.lock().unwrap().clone();
        assert_eq!(kept.as_deref(), Some(&b"one\ntwo\n"[..]));
        drop(guard);
        assert_eq!(*TOGETHER.lock().unwrap(), None);
    }

    #[test]
    fn aya_is_quiet_unless_asked() {
        let text = parse("debug").unwrap().to_string();
        assert!(
            text.contains("aya_obj=info") && text.contains("debug"),
            "{text}"
        );
        let text = parse("aya=debug,info").unwrap().to_string();
        assert!(
            text.contains("aya=debug") && !text.contains("aya=info"),
            "{text}"
        );
    }
}
