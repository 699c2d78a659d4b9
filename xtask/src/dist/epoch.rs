//! The time that everything in the packages bears, so that the same source gives the
//! same packages (reproducible-builds.org, `SOURCE_DATE_EPOCH`).

use std::{env, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{process, workspace};

/// The variable that sets it.
pub(super) const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// Seconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Epoch(pub(super) u32);

impl Epoch {
    /// For packages that nobody keeps.
    pub(super) const ANY: Self = Self(1_000_000_000);

    /// What the environment says, or the time of the commit.
    pub(super) fn find() -> Result<Self> {
        if let Some(value) = env::var_os(VARIABLE) {
            let value = value.to_string_lossy();
            return Self::parse(&value)
                .with_context(|| format!("{VARIABLE}={value} is no time in seconds since 1970"));
        }
        let mut git = Command::new("git");
        git.current_dir(workspace::root());
        let commit = process::output(git.args(["log", "-1", "--format=%ct"])).unwrap_or_default();
        ensure!(
            !commit.is_empty(),
            "git tells no commit here: set {VARIABLE} to the time of the source, in seconds since \
             1970"
        );
        Self::parse(&commit).with_context(|| format!("git tells {commit} for a time"))
    }

    fn parse(text: &str) -> Result<Self> {
        Ok(Self(text.trim().parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds() {
        assert_eq!(Epoch::parse("1700000000\n").unwrap(), Epoch(1_700_000_000));
        assert!(Epoch::parse("yesterday").is_err());
        assert!(Epoch::parse("").is_err());
    }
}
