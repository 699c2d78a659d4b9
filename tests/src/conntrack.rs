//! What the kernel's connection table says of data connections.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    check::Rewrite,
    client::Mode,
    host::Host,
    lab::Lab,
    setup::{Family, Inside},
    wait::wait_for,
};

/// Longest wait for a state that the last packets of a connection lead to.
const LIMIT: Duration = Duration::from_secs(5);

/// A TCP connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Like `ESTABLISHED`.
    pub state: String,
    /// As its first packet came.
    pub original: Tuple,
    /// As the answers come.
    pub reply: Tuple,
    /// Its zone: 0 unless the rules have set one.
    pub zone: u16,
}

/// Where packets of one direction come from and go to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tuple {
    /// From.
    pub source: SocketAddr,
    /// To.
    pub destination: SocketAddr,
}

impl Entry {
    /// Every TCP connection that `host` knows of.
    pub fn all(host: &Host, family: Family) -> Result<Vec<Self>> {
        let word = match family {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        };
        let list = host.must(&format!("conntrack -L -f {word} -p tcp"))?;
        list.lines().map(Self::parse).collect()
    }

    /// `tcp 6 119 TIME_WAIT src=A dst=B sport=1 dport=2 src=B dst=A sport=2 dport=1 [ASSURED] mark=0
    /// zone=7 ..`, and no word of the zone 0.
    fn parse(line: &str) -> Result<Self> {
        let parse = || {
            let state = line.split_whitespace().nth(3)?.to_owned();
            let mut words = line
                .split_whitespace()
                .filter_map(|word| word.split_once('='));
            let original = Tuple::parse(&mut words)?;
            let reply = Tuple::parse(&mut words)?;
            let zone = match words.find(|(name, _)| *name == "zone") {
                Some((_, number)) => number.parse().ok()?,
                None => 0,
            };
            Some(Self {
                state,
                original,
                reply,
                zone,
            })
        };
        parse().with_context(|| format!("not a TCP connection of conntrack's: {line:?}"))
    }
}

impl Tuple {
    fn parse<'a>(words: &mut impl Iterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let four: HashMap<_, _> = words.by_ref().take(4).collect();
        let endpoint = |address, port| {
            let address: IpAddr = four.get(address)?.parse().ok()?;
            let port = four.get(port)?.parse().ok()?;
            Some(SocketAddr::new(address, port))
        };
        Some(Self {
            source: endpoint("src", "sport")?,
            destination: endpoint("dst", "dport")?,
        })
    }
}

/// An error unless the gateway knows the finished data connections that were
/// announced in `rewrites`, each with the addresses of both sides, and has seen
/// them end.
pub fn finished(lab: &Lab, mode: Mode, rewrites: &[Rewrite]) -> Result<()> {
    for rewrite in rewrites {
        let what = format!("{mode:?} {rewrite:?}");
        let expected = Expected::new(lab, mode, rewrite);
        let mut last = None;
        wait_for("the data connection's end in conntrack", LIMIT, || {
            let entry = expected.find(lab)?;
            let ended = entry.state == "TIME_WAIT";
            last = Some(entry);
            Ok(ended.then_some(()))
        })
        .with_context(|| format!("{what}: {last:?}"))?;
    }
    Ok(())
}

/// The entry of the data connection that was announced in `rewrite`; an error
/// unless it has the addresses of both sides.
pub fn data_connection(lab: &Lab, mode: Mode, rewrite: &Rewrite) -> Result<Entry> {
    Expected::new(lab, mode, rewrite).find(lab)
}

/// The endpoints of a data connection on the two sides of the gateway. Its
/// connecting end chooses its port itself.
#[derive(Debug)]
struct Expected {
    /// The connecting end, as its own side knows it.
    source: IpAddr,
    /// Where it connects to.
    destination: SocketAddr,
    /// The announcing end, as its own side knows it.
    listener: SocketAddr,
    /// The connecting end, as the announcing end sees it.
    seen_source: IpAddr,
}

impl Expected {
    fn new(lab: &Lab, mode: Mode, rewrite: &Rewrite) -> Self {
        let setup = &lab.setup;
        let ports = (rewrite.sent.port, rewrite.received.port);
        let (inside, outside) = (setup.inside_address(), setup.outside_address());
        let announcer_inside = mode.is_active() == (setup.inside == Inside::Client);
        if announcer_inside {
            Self {
                source: outside,
                destination: SocketAddr::new(setup.known_as(), ports.1),
                listener: SocketAddr::new(inside, ports.0),
                seen_source: outside,
            }
        } else {
            Self {
                source: inside,
                destination: SocketAddr::new(outside, ports.1),
                listener: SocketAddr::new(outside, ports.0),
                seen_source: setup.known_as(),
            }
        }
    }

    fn find(&self, lab: &Lab) -> Result<Entry> {
        let entries = Entry::all(&lab.gateway, lab.setup.family())?;
        let found = entries.iter().find(|entry| {
            entry.original.source.ip() == self.source
                && entry.original.destination == self.destination
        });
        let entry = found.with_context(|| format!("no {self:?} among {entries:#?}"))?;
        ensure!(
            entry.reply.source == self.listener && entry.reply.destination.ip() == self.seen_source,
            "{entry:?} is not {self:?}"
        );
        Ok(entry.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_are_read() {
        let line = "tcp      6 119 TIME_WAIT src=203.0.113.2 dst=203.0.113.1 sport=20 dport=40000 \
                    src=10.0.0.2 dst=203.0.113.2 sport=40001 dport=20 [ASSURED] mark=0 use=1";
        let entry = Entry::parse(line).unwrap();
        assert_eq!(entry.state, "TIME_WAIT");
        assert_eq!(
            entry.original.destination,
            "203.0.113.1:40000".parse().unwrap()
        );
        assert_eq!(entry.reply.source, "10.0.0.2:40001".parse().unwrap());
        assert_eq!(entry.reply.destination, "203.0.113.2:20".parse().unwrap());
        assert_eq!(entry.zone, 0);
        let zoned = Entry::parse(&line.replace("use=1", "zone=7 use=1")).unwrap();
        assert_eq!(zoned, Entry { zone: 7, ..entry });
        assert!(Entry::parse("udp 17 src=1.2.3.4").is_err());
    }
}
