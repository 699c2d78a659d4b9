//! Marks, as the configuration writes them.

use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

/// A mark and the bits that it covers, like `0x10/0xf0`; without a mask it
/// covers all of them. Other bits stay as they are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Mark {
    /// The bits that are set.
    pub value: u32,
    /// The bits that are replaced.
    pub mask: u32,
}

impl FromStr for Mark {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (value, mask) = match text.split_once('/') {
            Some((value, mask)) => (number(value)?, number(mask)?),
            None => (number(text)?, u32::MAX),
        };
        if value & !mask != 0 {
            bail!("{value:#x} has bits outside of the mask {mask:#x}");
        }
        Ok(Self { value, mask })
    }
}

fn number(text: &str) -> Result<u32> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.with_context(|| format!("`{text}` is no number of 32 bits like 16 or 0x10"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(text: &str) -> Option<(u32, u32)> {
        let mark: Mark = text.parse().ok()?;
        Some((mark.value, mark.mask))
    }

    #[test]
    fn value_and_mask() {
        assert_eq!(mark("21"), Some((21, u32::MAX)));
        assert_eq!(mark("0x15"), Some((0x15, u32::MAX)));
        assert_eq!(mark("0x10/0xf0"), Some((0x10, 0xf0)));
        assert_eq!(mark("0/1"), Some((0, 1)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", "x", "0x", "1/", "/1", "0x1ffffffff", "-1", "0x11/0xf0"] {
            assert_eq!(mark(text), None, "{text}");
        }
    }
}
