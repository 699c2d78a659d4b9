//! Sets and ranges of TCP ports.

use std::{fmt, fs, ops::RangeInclusive, str::FromStr};

use anyhow::{Context as _, Result, bail};

/// Words of a [`PortSet`]; the maps have the same shape.
pub const WORDS: usize = 65536 / 64;

/// Ports that no data connection may be given (a privileged port of the gateway
/// is never a data port).
const PRIVILEGED: RangeInclusive<u16> = 0..=1023;

const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// One bit per port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortSet {
    words: Vec<u64>,
}

impl Default for PortSet {
    fn default() -> Self {
        Self {
            words: vec![0; WORDS],
        }
    }
}

impl PortSet {
    /// Adds a port.
    pub fn insert(&mut self, port: u16) {
        self.words[usize::from(port) / 64] |= 1 << (port % 64);
    }

    /// True when the port is in the set.
    pub fn contains(&self, port: u16) -> bool {
        self.words[usize::from(port) / 64] & (1 << (port % 64)) != 0
    }

    /// The ports, in their order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..=u16::MAX).filter(|port| self.contains(*port))
    }

    /// The words, port 0 in the lowest bit of the first.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The ports that must not be given to a data connection: the privileged
    /// ones, and `ip_local_reserved_ports` of this network namespace.
    pub fn reserved() -> Result<Self> {
        let text = fs::read_to_string(RESERVED).with_context(|| {
            format!("can not read {RESERVED}: mount /proc in this mount namespace")
        })?;
        let mut set: Self = text
            .parse()
            .with_context(|| format!("can not understand {RESERVED}"))?;
        set.extend(PRIVILEGED);
        Ok(set)
    }
}

impl Extend<u16> for PortSet {
    fn extend<T: IntoIterator<Item = u16>>(&mut self, ports: T) {
        for port in ports {
            self.insert(port);
        }
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<T: IntoIterator<Item = u16>>(ports: T) -> Self {
        let mut set = Self::default();
        set.extend(ports);
        set
    }
}

/// The form of the kernel's own bitmaps: `80,1000-2000`, empty for none.
impl FromStr for PortSet {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut set = Self::default();
        for item in text.trim().split(',').filter(|item| !item.is_empty()) {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            let (first, last) = (port(first)?, port(last)?);
            if first > last {
                bail!("`{item}` ends before it starts");
            }
            set.extend(first..=last);
        }
        Ok(set)
    }
}

/// Outside ports that may be given to data connections, both ends included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The dynamic ports of RFC 6335 section 6: no service is assigned there,
    /// and all of them have five digits, like most ports that clients announce,
    /// so a rewrite seldom changes the length of a line.
    pub const DYNAMIC: Self = Self {
        first: 49152,
        last: 65535,
    };

    /// The first port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    pub const fn last(self) -> u16 {
        self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for PortRange {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((first, last)) = text.split_once('-') else {
            bail!("a range looks like 49152-65535");
        };
        let (first, last) = (port(first)?, port(last)?);
        if first > last {
            bail!("the range ends before it starts");
        }
        if first <= *PRIVILEGED.end() {
            bail!("data ports start at 1024");
        }
        Ok(Self { first, last })
    }
}

fn port(text: &str) -> Result<u16> {
    text.trim()
        .parse()
        .with_context(|| format!("`{text}` is not a port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_form_of_reserved_ports() {
        let set: PortSet = "21,8080,9000-9002\n".parse().unwrap();
        let listed: Vec<u16> = (0..=u16::MAX).filter(|port| set.contains(*port)).collect();
        assert_eq!(listed, [21, 8080, 9000, 9001, 9002]);
    }

    #[test]
    fn no_reserved_ports() {
        assert_eq!("\n".parse::<PortSet>().unwrap(), PortSet::default());
    }

    #[test]
    fn both_ends_of_the_port_space_fit() {
        let set: PortSet = "0-65535".parse().unwrap();
        assert!(set.words().iter().all(|word| *word == u64::MAX));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["x", "1-", "-1", "70000", "9-8", "1--2"] {
            assert!(text.parse::<PortSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn privileged_ports_are_always_reserved() {
        let set = PortSet::reserved().unwrap();
        assert!(set.contains(0));
        assert!(set.contains(21));
        assert!(set.contains(1023));
    }

    #[test]
    fn port_ranges() {
        let range: PortRange = "1024-65535".parse().unwrap();
        assert_eq!((range.first(), range.last()), (1024, 65535));
        assert_eq!("50000-50000".parse::<PortRange>().unwrap().first(), 50000);
        assert_eq!(
            PortRange::DYNAMIC.to_string().parse::<PortRange>().unwrap(),
            PortRange::DYNAMIC
        );
        for text in ["1023-2000", "2000", "3000-2000", "2000-65536", "a-b", ""] {
            assert!(text.parse::<PortRange>().is_err(), "{text}");
        }
    }
}
