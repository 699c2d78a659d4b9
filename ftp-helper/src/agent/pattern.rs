//! Interfaces as settings name them.

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Error, Result, ensure};

/// Bytes of an interface's name (`IFNAMSIZ` without the NUL).
const NAME: usize = 15;

/// The device that never leads to anybody.
const LOOPBACK: &str = "lo";

/// A name like `wan0`, a glob like `eth*`, or with `!` in front what is left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pattern {
    /// The interface of this name.
    Name(String),
    /// Every interface whose name looks like this, but the loopback device.
    Glob(glob::Pattern),
    /// None of these, whatever else matches.
    Not(Box<Pattern>),
}

impl Pattern {
    /// True when the interface of this name is meant; for what is left out, when
    /// it is left out.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(wanted) => wanted == name,
            Self::Glob(pattern) => name != LOOPBACK && pattern.matches(name),
            Self::Not(pattern) => pattern.matches(name),
        }
    }

    /// The name, if it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }

    /// True for what is left out.
    pub const fn is_exclusion(&self) -> bool {
        matches!(self, Self::Not(_))
    }

    /// True when some interface may be meant by both.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(name), pattern) | (pattern, Self::Name(name)) => pattern.matches(name),
            // Two globs: what they have in common shows when interfaces come.
            _ => true,
        }
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix('!') {
            ensure!(
                !rest.starts_with('!'),
                "`{text}`: one `!` is enough to leave an interface out"
            );
            return Ok(Self::Not(Box::new(rest.parse()?)));
        }
        ensure!(!text.is_empty(), "the name of an interface is missing");
        ensure!(
            !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()),
            "`{text}` can not be the name of an interface"
        );
        if text.contains(['*', '?', '[']) {
            let pattern = glob::Pattern::new(text).with_context(|| {
                format!("`{text}` is no pattern: `*`, `?` and `[abc]` stand for parts of names")
            })?;
            return Ok(Self::Glob(pattern));
        }
        ensure!(
            text.len() <= NAME,
            "`{text}` can not be the name of an interface: it has more than {NAME} characters"
        );
        Ok(Self::Name(text.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Glob(pattern) => f.write_str(pattern.as_str()),
            Self::Not(pattern) => write!(f, "!{pattern}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn names_globs_and_exclusions() {
        assert_eq!(pattern("wan0").name(), Some("wan0"));
        for (text, name, matches) in [
            ("wan0", "wan0", true),
            ("wan0", "wan01", false),
            ("eth*", "eth12.100", true),
            ("eth*", "veth0", false),
            ("eth[01]", "eth1", true),
            ("eth?", "eth10", false),
            ("!ppp*", "ppp0", true),
            ("!ppp*", "eth0", false),
            ("*", "lo", false),
            ("lo", "lo", true),
        ] {
            assert_eq!(pattern(text).matches(name), matches, "{text} {name}");
            assert_eq!(pattern(text).to_string(), text);
        }
        assert!(pattern("!wan0").is_exclusion() && !pattern("wan*").is_exclusion());
    }

    #[test]
    fn what_may_mean_the_same_interface() {
        for (one, other, overlaps) in [
            ("wan0", "wan0", true),
            ("wan0", "wan1", false),
            ("wan*", "wan1", true),
            ("lan0", "wan*", false),
            ("wan*", "*0", true),
        ] {
            let (one, other) = (pattern(one), pattern(other));
            assert_eq!(one.overlaps(&other), overlaps, "{one} {other}");
            assert_eq!(other.overlaps(&one), overlaps, "{other} {one}");
        }
    }

    #[test]
    fn what_names_no_interface_is_refused() {
        for text in [
            "",
            "!",
            "!!wan0",
            "wan 0",
            "a/b",
            "eth0:1",
            "eth[",
            "abcdefghijklmnop",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }
}
