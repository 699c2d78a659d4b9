//! Which kernel runs.

use std::fs;

use anyhow::{Context as _, Result};

/// Whether it is older than this version: what a backport has brought does not count.
pub fn is_before(major: u32, minor: u32) -> Result<bool> {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").context("the kernel's version")?;
    let version = version(&text).with_context(|| format!("no version in {text:?}"))?;
    Ok(version < (major, minor))
}

/// The first two numbers.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release
        .split(|letter: char| !letter.is_ascii_digit())
        .map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("6.1.0-43-amd64\n"), Some((6, 1)));
        assert_eq!(version("7.0-rc1"), Some((7, 0)));
        assert_eq!(version("somebody's"), None);
        assert!(version("6.9.1") < version("6.11.0"));
    }

    #[test]
    fn this_one_is_no_older_than_what_is_needed() {
        assert!(!is_before(5, 0).unwrap());
        assert!(is_before(u32::MAX, 0).unwrap());
    }
}
