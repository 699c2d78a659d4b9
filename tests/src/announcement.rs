//! `PORT` as the two ends of a control connection see it.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use anyhow::{Context as _, Result, bail, ensure};

/// An endpoint that a client announced.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Announcement {
    /// Where the data connection shall go to.
    pub address: Ipv4Addr,
    /// And to which port.
    pub port: u16,
}

/// The announcements among `lines`, in their order. A line that starts like
/// one and is not spelt exactly as one is an error.
pub fn announcements(lines: &[String]) -> Result<Vec<Announcement>> {
    lines
        .iter()
        .filter(|line| line.starts_with("PORT"))
        .map(|line| line.parse())
        .collect()
}

impl fmt::Display for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [high, low] = self.port.to_be_bytes();
        let address = self.address.to_string().replace('.', ",");
        write!(f, "PORT {address},{high},{low}")
    }
}

impl FromStr for Announcement {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let numbers = line
            .strip_prefix("PORT ")
            .with_context(|| format!("not PORT: {line:?}"))?;
        let numbers: Vec<u8> = numbers
            .split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("numbers of {line:?}"))?;
        let (Some((&octets, rest)), 6) = (numbers.split_first_chunk::<4>(), numbers.len()) else {
            bail!("not six numbers: {line:?}");
        };
        let announcement = Self {
            address: octets.into(),
            port: u16::from_be_bytes([rest[0], rest[1]]),
        };
        // Also refuses "007", which parses.
        ensure!(
            announcement.to_string() == line,
            "{line:?} is not spelt {announcement}"
        );
        Ok(announcement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_round_trips() {
        let announcement: Announcement = "PORT 203,0,113,1,178,110".parse().unwrap();
        assert_eq!(announcement.address, Ipv4Addr::new(203, 0, 113, 1));
        assert_eq!(announcement.port, 45678);
        assert_eq!(announcement.to_string(), "PORT 203,0,113,1,178,110");
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "PORT 1,2,3,4,5",
            "PORT 1,2,3,4,5,256",
            "PORT 1,2,3,4,5,06",
            "PORT 1,2,3,4,5,6 ",
        ] {
            assert!(line.parse::<Announcement>().is_err(), "{line:?}");
        }
    }

    #[test]
    fn only_announcements_are_taken_from_a_list() {
        let lines = ["USER a".to_owned(), "PORT 1,2,3,4,5,6".to_owned()];
        assert_eq!(announcements(&lines).unwrap().len(), 1);
        assert!(announcements(&["PORT broken".to_owned()]).is_err());
    }
}
