//! Announced endpoints as the two ends of a control connection see them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail, ensure};

/// Which line announces.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Form {
    /// `PORT h,h,h,h,p,p`.
    Port,
    /// `EPRT |family|address|port|`.
    Eprt,
    /// `227 text (h,h,h,h,p,p)`.
    Reply227,
    /// `229 text (|||port|)`.
    Reply229,
}

/// An announced endpoint.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Announcement {
    /// The line that it is in.
    pub form: Form,
    /// Where the data connection shall go to; a 229 does not say.
    pub address: Option<IpAddr>,
    /// And to which port.
    pub port: u16,
}

/// The announcements among `lines`, in their order. A line that starts like
/// one and is not spelt as one is an error.
pub fn announcements(lines: &[String]) -> Result<Vec<Announcement>> {
    lines
        .iter()
        .filter(|line| {
            ["PORT", "EPRT", "227 ", "229 "]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .map(|line| line.parse())
        .collect()
}

impl Announcement {
    /// Both together, if both are there.
    pub fn endpoint(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address?, self.port))
    }

    /// The command in which a client names `address` and `port`; `extended` for
    /// `EPRT`, which IPv6 needs in any case.
    pub fn command(address: IpAddr, port: u16, extended: bool) -> Self {
        Self {
            form: if extended || address.is_ipv6() {
                Form::Eprt
            } else {
                Form::Port
            },
            address: Some(address),
            port,
        }
    }
}

fn numbers(address: Option<IpAddr>, port: u16) -> String {
    let [high, low] = port.to_be_bytes();
    let address = address
        .map(|address| address.to_string())
        .unwrap_or_default();
    format!("{},{high},{low}", address.replace('.', ","))
}

impl fmt::Display for Announcement {
    /// The command itself, or the usual wording of the reply.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, .. } = *self;
        match (self.form, address) {
            (Form::Port, _) => write!(f, "PORT {}", numbers(address, port)),
            (Form::Eprt, Some(address)) => {
                let family = if address.is_ipv4() { 1 } else { 2 };
                write!(f, "EPRT |{family}|{address}|{port}|")
            }
            (Form::Eprt, None) => write!(f, "EPRT |||{port}|"),
            (Form::Reply227, _) => {
                write!(f, "227 Entering Passive Mode ({})", numbers(address, port))
            }
            (Form::Reply229, _) => {
                write!(f, "229 Entering Extended Passive Mode (|||{port}|)")
            }
        }
    }
}

/// Six numbers. Also refuses "007", which parses.
fn six(text: &str) -> Result<(IpAddr, u16)> {
    let parts: Vec<u8> = text
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("numbers of {text:?}"))?;
    let (Some((&octets, rest)), 6) = (parts.split_first_chunk::<4>(), parts.len()) else {
        bail!("not six numbers: {text:?}");
    };
    let address = IpAddr::V4(Ipv4Addr::from(octets));
    let port = u16::from_be_bytes([rest[0], rest[1]]);
    ensure!(
        numbers(Some(address), port) == text,
        "not the shortest spelling: {text:?}"
    );
    Ok((address, port))
}

fn parenthesised(line: &str) -> Option<&str> {
    let (_, text) = line.split_once('(')?;
    Some(text.split_once(')')?.0)
}

impl FromStr for Announcement {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        if let Some(text) = line.strip_prefix("PORT ") {
            let (address, port) = six(text)?;
            return Ok(Self::command(address, port, false));
        }
        if let Some(text) = line.strip_prefix("EPRT |") {
            let mut parts = text.splitn(4, '|');
            let (_family, address, port) = (parts.next(), parts.next(), parts.next());
            let address: IpAddr = address
                .with_context(|| format!("no address: {line:?}"))?
                .parse()
                .with_context(|| format!("address of {line:?}"))?;
            let port = port
                .with_context(|| format!("no port: {line:?}"))?
                .parse()?;
            let announcement = Self::command(address, port, true);
            // Also compares the family and the shortest form of an IPv6 address.
            ensure!(
                announcement.to_string() == line,
                "{line:?} is not spelt {announcement}"
            );
            return Ok(announcement);
        }
        let text = parenthesised(line).with_context(|| format!("not announced: {line:?}"))?;
        if line.starts_with("227 ") {
            let (address, port) = six(text)?;
            return Ok(Self {
                form: Form::Reply227,
                address: Some(address),
                port,
            });
        }
        ensure!(line.starts_with("229 "), "not announced: {line:?}");
        let port = text
            .strip_prefix("|||")
            .and_then(|text| text.strip_suffix('|'))
            .with_context(|| format!("not a port: {line:?}"))?
            .parse()?;
        Ok(Self {
            form: Form::Reply229,
            address: None,
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_round_trip() {
        for (line, address, port) in [
            ("PORT 203,0,113,1,178,110", "203.0.113.1", 45678),
            ("EPRT |1|203.0.113.1|45678|", "203.0.113.1", 45678),
            ("EPRT |2|2001:db8::1|45678|", "2001:db8::1", 45678),
        ] {
            let announcement: Announcement = line.parse().unwrap();
            assert_eq!(announcement.address, Some(address.parse().unwrap()));
            assert_eq!(announcement.port, port);
            assert_eq!(announcement.to_string(), line);
        }
    }

    #[test]
    fn replies_are_read_in_any_wording() {
        let reply: Announcement = "227 Entering Passive Mode (1,2,3,4,5,6).".parse().unwrap();
        assert_eq!((reply.form, reply.port), (Form::Reply227, 1286));
        let reply: Announcement = "229 EPSV ok (|||45678|).".parse().unwrap();
        assert_eq!((reply.form, reply.port), (Form::Reply229, 45678));
        assert_eq!(reply.address, None);
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "PORT 1,2,3,4,5",
            "PORT 1,2,3,4,5,256",
            "PORT 1,2,3,4,5,06",
            "PORT 1,2,3,4,5,6 ",
            "EPRT |2|1.2.3.4|5|",
            "EPRT |2|2001:0db8::1|5|",
            "227 Entering Passive Mode",
            "229 Entering Extended Passive Mode (|1||5|)",
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
