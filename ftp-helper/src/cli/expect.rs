//! `ftp-helper expect list`

use std::net::IpAddr;

use anyhow::Result;
use ftp_helper_common::{
    address::Endpoint,
    expectation::{Expectation, ExpectationKey},
    grammar::Kind,
};
use serde::Serialize;

use crate::{
    clock,
    datapath::maps::{EXPECTATIONS, Expectations},
    device::Device,
    output::{self, Format, Row, endpoint},
    pins::PinDirectory,
};

#[derive(Debug, Serialize)]
struct Entry {
    /// Who opens the connection: `peer` or `inside`.
    opens: &'static str,
    peer: String,
    outside: String,
    inside: String,
    seen_peer: Option<IpAddr>,
    kind: &'static str,
    interface: String,
    master: Master,
    age_seconds: f64,
    expires_in_seconds: f64,
    #[serde(skip)]
    age: String,
    #[serde(skip)]
    expires_in: String,
}

/// The control connection that announced it.
#[derive(Debug, Serialize)]
struct Master {
    outside: String,
    peer: String,
}

impl Row for Entry {
    const HEADER: &'static [&'static str] = &[
        "OPENS",
        "PEER",
        "OUTSIDE",
        "INSIDE",
        "KIND",
        "INTERFACE",
        "AGE",
        "EXPIRES IN",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.opens.to_owned(),
            self.peer.clone(),
            self.outside.clone(),
            self.inside.clone(),
            self.kind.to_owned(),
            self.interface.clone(),
            self.age.clone(),
            self.expires_in.clone(),
        ]
    }
}

impl Entry {
    fn new(key: &ExpectationKey, value: &Expectation, now: u64) -> Self {
        let age = now.saturating_sub(value.created);
        let expires_in = value.expires.saturating_sub(now);
        let renamed = Some(value.new_source).filter(|address| !address.is_unspecified());
        let inside = value.inside(key);
        let (opens, peer, outside, seen_peer) = if value.outgoing == 1 {
            let seen = Some(key.destination.address);
            (
                "inside",
                value.target,
                Endpoint::new(renamed.unwrap_or(inside.address), 0),
                seen.filter(|address| *address != value.target.address),
            )
        } else {
            let peer = Endpoint::new(key.source, 0);
            ("peer", peer, key.destination, renamed)
        };
        Self {
            opens,
            peer: endpoint(&peer),
            outside: endpoint(&outside),
            inside: endpoint(&inside),
            seen_peer: seen_peer.map(IpAddr::from),
            kind: Kind(value.kind).word(),
            interface: Device::name_of(value.ifindex),
            master: Master {
                outside: endpoint(&value.master.outside),
                peer: endpoint(&value.master.peer),
            },
            age_seconds: clock::to_seconds(age),
            expires_in_seconds: clock::to_seconds(expires_in),
            age: clock::to_words(age),
            expires_in: clock::to_words(expires_in),
        }
    }
}

pub(super) fn list(pins: &PinDirectory, format: Format) -> Result<()> {
    let table = Expectations::open(pins, EXPECTATIONS)?;
    let now = clock::now()?;
    output::print(&entries(table.entries()?, now), format)
}

/// Oldest first. What has expired stays in the table until the agent looks, but
/// is not awaited any more.
fn entries(mut table: Vec<(ExpectationKey, Expectation)>, now: u64) -> Vec<Entry> {
    table.retain(|(_, value)| value.expires > now);
    table.sort_by_key(|(_, value)| value.created);
    let entries = table.iter();
    entries
        .map(|(key, value)| Entry::new(key, value, now))
        .collect()
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::{
        address::{Address, Endpoint},
        session::SessionKey,
    };

    use super::*;

    fn at(address: [u8; 4], port: u16) -> Endpoint {
        Endpoint::new(Address::from_v4(address), port)
    }

    fn sample() -> Vec<(ExpectationKey, Expectation)> {
        let outside = at([203, 0, 113, 1], 45678);
        let peer = at([203, 0, 113, 2], 21);
        let key = ExpectationKey {
            source: peer.address,
            destination: outside,
        };
        let value = Expectation {
            master: SessionKey {
                outside: at([203, 0, 113, 1], 40000),
                peer,
            },
            target: at([10, 0, 0, 2], 45678),
            kind: Kind::PORT.0,
            ifindex: 0x7fff_0000,
            created: clock::seconds(100),
            expires: clock::seconds(160),
            ..Expectation::default()
        };
        let expired = Expectation {
            expires: clock::seconds(101),
            ..value
        };
        let mut other = key;
        other.destination.port = 45679;
        vec![(other, expired), (key, value)]
    }

    #[test]
    fn table() {
        let rows = entries(sample(), clock::seconds(112));
        assert_eq!(
            output::render(&rows, Format::Table).unwrap(),
            "OPENS  PEER         OUTSIDE            INSIDE          KIND  INTERFACE     AGE  EXPIRES IN\n\
             peer   203.0.113.2  203.0.113.1:45678  10.0.0.2:45678  PORT  if2147418112  12s  48s\n"
        );
    }

    #[test]
    fn json() {
        let mut sample = sample();
        sample[1].1.new_source = Address::from_v4([10, 0, 0, 1]);
        let rows = entries(sample, clock::seconds(112));
        let text = output::render(&rows, Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!([{
                "opens": "peer",
                "peer": "203.0.113.2",
                "outside": "203.0.113.1:45678",
                "inside": "10.0.0.2:45678",
                "seen_peer": "10.0.0.1",
                "kind": "PORT",
                "interface": "if2147418112",
                "master": {"outside": "203.0.113.1:40000", "peer": "203.0.113.2:21"},
                "age_seconds": 12.0,
                "expires_in_seconds": 48.0,
            }])
        );
    }

    #[test]
    fn one_that_goes_out() {
        let mut sample = sample();
        let (key, value) = &mut sample[1];
        key.source = Address::from_v4([10, 0, 0, 2]);
        key.destination = at([203, 0, 113, 2], 50000);
        value.target = key.destination;
        value.new_source = Address::from_v4([203, 0, 113, 1]);
        value.outgoing = 1;
        let rows = entries(sample, clock::seconds(112));
        assert_eq!(
            rows[0].cells()[..4],
            ["inside", "203.0.113.2:50000", "203.0.113.1", "10.0.0.2"]
        );
        assert_eq!(rows[0].seen_peer, None);
    }

    #[test]
    fn a_peer_that_is_seen_as_it_is_has_no_other_name() {
        let rows = entries(sample(), clock::seconds(112));
        assert_eq!(rows[0].seen_peer, None);
    }
}
