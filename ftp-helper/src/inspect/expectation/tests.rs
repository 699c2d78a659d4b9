//! Awaited data connections as they are shown.

use ftp_helper_common::{address::Address, session::flags};
use serde_json::json;
use zerocopy::FromZeros as _;

use super::*;
use crate::output::{Format, render, render_object};

pub(in crate::inspect) fn at(address: [u8; 4], port: u16) -> Endpoint {
    Endpoint::new(Address::from_v4(address), port)
}

pub(in crate::inspect) fn sample() -> (ExpectationKey, Expectation) {
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
    (key, value)
}

pub(in crate::inspect) fn master() -> Session {
    let mut session = Session::new_zeroed();
    session.inside = at([10, 0, 0, 2], 40000);
    session.seen_peer = at([203, 0, 113, 2], 21);
    session.flags = flags::CLIENT_INSIDE;
    session
}

fn entry(key: &ExpectationKey, value: &Expectation) -> Entry {
    let mut names = Names::default();
    Entry::new(key, value, Some(&master()), &mut names, clock::seconds(112))
}

#[test]
fn table() {
    let (key, value) = sample();
    assert_eq!(
        render(&[entry(&key, &value)], Format::Table).unwrap(),
        "STATE    MODE  OPENS  PEER         OUTSIDE            INSIDE          INTERFACE     AGE  EXPIRES IN\n\
         waiting  PORT  peer   203.0.113.2  203.0.113.1:45678  10.0.0.2:45678  if2147418112  12s  48s\n"
    );
    assert_eq!(
        entry(&key, &value).wide_cells(),
        [
            "tcp",
            "203.0.113.2",
            "203.0.113.1:45678",
            "-",
            "10.0.0.2:40000",
            "203.0.113.1:40000",
            "203.0.113.2:21",
        ]
    );
    assert_eq!(Entry::WIDE.len(), 7);
}

#[test]
fn item() {
    let (key, mut value) = sample();
    value.new_source = Address::from_v4([10, 0, 0, 1]);
    assert_eq!(
        serde_json::to_value(entry(&key, &value)).unwrap(),
        json!({
            "state": "waiting",
            "mode": "PORT",
            "proto": "tcp",
            "opens": "peer",
            "source": "203.0.113.2",
            "destination": "203.0.113.1:45678",
            "peer": "203.0.113.2",
            "outside": "203.0.113.1:45678",
            "inside": "10.0.0.2:45678",
            "seen_peer": "10.0.0.1",
            "interface": "if2147418112",
            "static": false,
            "master": {
                "outside": "203.0.113.1:40000",
                "peer": "203.0.113.2:21",
                "inside": "10.0.0.2:40000",
                "seen_peer": "203.0.113.2:21",
                "client": "inside",
            },
            "age_seconds": 12.0,
            "expires_in_seconds": 48.0,
        })
    );
}

#[test]
fn one_that_goes_out() {
    let (mut key, mut value) = sample();
    key.source = Address::from_v4([10, 0, 0, 2]);
    key.destination = at([203, 0, 113, 2], 50000);
    value.target = key.destination;
    value.new_source = Address::from_v4([203, 0, 113, 1]);
    value.outgoing = 1;
    let entry = entry(&key, &value);
    assert_eq!(
        entry.cells()[2..6],
        ["inside", "203.0.113.2:50000", "203.0.113.1", "10.0.0.2"]
    );
    assert_eq!(entry.seen_peer, None);
}

#[test]
fn one_of_anybody() {
    let (mut key, value) = sample();
    key.source = Address::UNSPECIFIED;
    let entry = entry(&key, &value);
    assert_eq!(entry.peer, "any");
    assert_eq!(entry.source, None);
    assert_eq!(entry.source(), "any");
}

#[test]
fn one_without_a_control_connection() {
    let (key, mut value) = sample();
    value.master = SessionKey::default();
    let mut names = Names::default();
    let entry = Entry::new(&key, &value, None, &mut names, clock::seconds(112));
    assert!(entry.is_static);
    let text = render_object(&entry, Format::Table).unwrap();
    assert!(text.contains("master      none"), "{text}");
}

#[test]
fn all_about_one() {
    let (key, value) = sample();
    let shown = render_object(&entry(&key, &value), Format::Table).unwrap();
    insta::assert_snapshot!(shown);
}

#[test]
fn states() {
    let (_, mut value) = sample();
    assert_eq!(State::of(&value, clock::seconds(159)), State::Waiting);
    assert_eq!(State::of(&value, clock::seconds(160)), State::Expired);
    value.unapproved = 1;
    assert_eq!(State::of(&value, clock::seconds(159)), State::Unapproved);
    for state in State::value_variants() {
        assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        assert_eq!(State::from_str(state.word(), false), Ok(*state));
    }
}

#[test]
fn it_leads_to_its_destination_on_both_sides() {
    let (key, value) = sample();
    assert!(leads_to(&key, &value, &at([203, 0, 113, 1], 45678)));
    assert!(leads_to(&key, &value, &at([10, 0, 0, 2], 45678)));
    assert!(!leads_to(&key, &value, &at([203, 0, 113, 2], 21)));
}
