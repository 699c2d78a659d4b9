//! What the exit code of a command says.
//!
//! | code | |
//! | --- | --- |
//! | 0 | done |
//! | 1 | it was tried and failed |
//! | 2 | the command line makes no sense; clap's own code for that |
//! | 3 | nothing goes by the name or the endpoints that were given |
//! | 4 | nothing is loaded, or no agent runs where the command needs one |
//!
//! A [`Failure`] anywhere in the chain of an [`anyhow::Error`] sets the code;
//! an error without one is an ordinary failure. More may be said around it with
//! `context`.

use std::{error::Error, fmt};

/// Done.
pub const OK: u8 = 0;

/// It was tried and failed.
pub const RUN_TIME: u8 = 1;

/// The command line makes no sense.
pub const USAGE: u8 = 2;

/// Nothing goes by that name.
pub const NOT_FOUND: u8 = 3;

/// Nothing is loaded, or no agent runs.
pub const NOT_RUNNING: u8 = 4;

/// Why a command ends with a code of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// The command line makes no sense, in a way that clap can not see.
    Usage(String),
    /// Nothing goes by the name or the endpoints that were given.
    NotFound(String),
    /// Nothing is loaded, or no agent runs where the command needs one.
    NotRunning(String),
}

impl Failure {
    /// The command line makes no sense, in a way that clap can not see.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Nothing goes by the name or the endpoints that were given.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::NotFound(message.into())
    }

    /// Nothing is loaded, or no agent runs where the command needs one. The
    /// message says how to start one.
    pub fn not_running(message: impl Into<String>) -> Self {
        Self::NotRunning(message.into())
    }

    /// The exit code.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::NotFound(_) => NOT_FOUND,
            Self::NotRunning(_) => NOT_RUNNING,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::NotFound(message) | Self::NotRunning(message) => {
                formatter.write_str(message)
            }
        }
    }
}

impl Error for Failure {}

/// The exit code for an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    // The first looks at contexts too, the second behind errors that are not
    // anyhow's.
    let context = error.downcast_ref::<Failure>();
    let mut causes = error.chain();
    context
        .or_else(|| causes.find_map(|cause| cause.downcast_ref()))
        .map_or(RUN_TIME, Failure::code)
}

/// An error with its causes, on one line.
pub fn one_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn an_error_without_a_failure_is_an_ordinary_one() {
        assert_eq!(exit_code(&anyhow!("no").context("it failed")), RUN_TIME);
    }

    #[test]
    fn a_failure_is_found_wherever_it_is() {
        let failure = || Failure::not_found("no session 10.0.0.2:21");
        assert_eq!(exit_code(&failure().into()), NOT_FOUND);
        let below = anyhow::Error::from(failure()).context("one").context("two");
        assert_eq!(exit_code(&below), NOT_FOUND);
        let above = anyhow!("cause").context(Failure::not_running("no agent"));
        assert_eq!(exit_code(&above.context("more")), NOT_RUNNING);
        let foreign = anyhow::Error::from(Foreign(Failure::usage("which?")));
        assert_eq!(exit_code(&foreign.context("more")), USAGE);
    }

    /// An error of somebody else's, with a failure behind it.
    #[derive(Debug)]
    struct Foreign(Failure);

    impl fmt::Display for Foreign {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("it failed")
        }
    }

    impl Error for Foreign {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn it_says_what_it_was_given() {
        assert_eq!(Failure::not_running("no agent").to_string(), "no agent");
        let error = anyhow::Error::from(Failure::not_found("nothing")).context("it failed");
        assert_eq!(format!("{error:#}"), "it failed: nothing");
    }

    #[test]
    fn errors_take_one_line() {
        let error = anyhow!("the end\nof it").context("it failed");
        assert_eq!(one_line(&error), "it failed: the end of it");
    }
}
