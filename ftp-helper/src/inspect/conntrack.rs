//! Expectations in the form of `conntrack -L expect`, for scripts that read that.

use std::{fmt::Write as _, net::IpAddr};

use ftp_helper_common::{
    address::{Address, Endpoint},
    expectation::{Expectation, ExpectationKey},
    session::Session,
};

use super::{expectation::is_static, session::is_client_inside};

/// The line for an expectation.
///
/// The tuples are those of the first packets, as in the kernel: of the data
/// connection as it is awaited, of the control connection as its client opened it.
pub fn line(
    key: &ExpectationKey,
    value: &Expectation,
    session: Option<&Session>,
    now: u64,
) -> String {
    let seconds = value.expires.saturating_sub(now) / 1_000_000_000;
    let is_v4 = key.destination.address.is_v4();
    let none = if is_v4 {
        Address::from_v4([0; 4])
    } else {
        Address::UNSPECIFIED
    };
    let all = if is_v4 {
        Address::from_v4([255; 4])
    } else {
        Address::from_groups(&[u16::MAX; 8])
    };
    let anybody = key.source.is_unspecified();
    let source = Endpoint::new(if anybody { none } else { key.source }, 0);
    let source_mask = Endpoint::new(if anybody { none } else { all }, 0);
    let (client, server) = if is_static(value) {
        (Endpoint::new(none, 0), Endpoint::new(none, 0))
    } else {
        master(value, session)
    };
    let mut line = format!("{seconds} proto=6 ");
    tuple(&mut line, "", &source, &key.destination);
    tuple(
        &mut line,
        "mask-",
        &source_mask,
        &Endpoint::new(all, u16::MAX),
    );
    tuple(&mut line, "master-", &client, &server);
    line.push_str("class=0 helper=ftp");
    line
}

/// The ends of the control connection as its first packet names them.
fn master(value: &Expectation, session: Option<&Session>) -> (Endpoint, Endpoint) {
    let key = &value.master;
    let known = |one: Endpoint, other: Endpoint| {
        if one == Endpoint::default() {
            other
        } else {
            one
        }
    };
    match session {
        // Translated on the way out.
        Some(session) if is_client_inside(session) => (
            known(session.inside, key.outside),
            known(session.seen_peer, key.peer),
        ),
        // Translated on the way in.
        Some(_) => (key.peer, key.outside),
        None => (key.outside, key.peer),
    }
}

fn tuple(line: &mut String, prefix: &str, source: &Endpoint, destination: &Endpoint) {
    // Writing to a `String` can not fail.
    let _ = write!(
        line,
        "{prefix}src={} {prefix}dst={} sport={} dport={} ",
        IpAddr::from(source.address),
        IpAddr::from(destination.address),
        source.port,
        destination.port
    );
}

/// What conntrack(8) says on standard error in the end.
pub fn summary(count: usize) -> String {
    format!(
        "conntrack v{} (ftp-helper): {count} expectations have been shown.",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::session::SessionKey;

    use super::*;
    use crate::{
        clock,
        inspect::expectation::tests::{at, master, sample},
    };

    const NOW: u64 = clock::seconds(112);

    #[test]
    fn the_line_is_that_of_conntrack() {
        let (key, value) = sample();
        assert_eq!(
            line(&key, &value, Some(&master()), NOW),
            "48 proto=6 src=203.0.113.2 dst=203.0.113.1 sport=0 dport=45678 \
             mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 \
             master-src=10.0.0.2 master-dst=203.0.113.2 sport=40000 dport=21 class=0 helper=ftp"
        );
    }

    #[test]
    fn a_server_inside_is_named_as_its_client_names_it() {
        let (key, mut value) = sample();
        let mut session = master();
        session.flags = 0;
        value.master = SessionKey {
            outside: at([203, 0, 113, 1], 21),
            peer: at([203, 0, 113, 9], 5555),
        };
        let line = line(&key, &value, Some(&session), NOW);
        let wanted = "master-src=203.0.113.9 master-dst=203.0.113.1 sport=5555 dport=21 ";
        assert!(line.contains(wanted), "{line}");
    }

    #[test]
    fn what_is_not_known_is_named_as_it_is_seen_outside() {
        let (key, value) = sample();
        let line = line(&key, &value, None, NOW);
        let wanted = "master-src=203.0.113.1 master-dst=203.0.113.2 sport=40000 dport=21 ";
        assert!(line.contains(wanted), "{line}");
    }

    #[test]
    fn anybody_has_no_mask_and_nobody_no_master() {
        let (mut key, mut value) = sample();
        key.source = Address::UNSPECIFIED;
        value.master = SessionKey::default();
        let line = line(&key, &value, None, NOW);
        assert!(line.contains(" src=0.0.0.0 dst=203.0.113.1 "), "{line}");
        assert!(line.contains(" mask-src=0.0.0.0 "), "{line}");
        let wanted = "master-src=0.0.0.0 master-dst=0.0.0.0 sport=0 dport=0 ";
        assert!(line.contains(wanted), "{line}");
    }

    #[test]
    fn ipv6() {
        let (mut key, mut value) = sample();
        let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        key.source = address("2001:db8::2");
        key.destination.address = address("2001:db8::1");
        value.target.address = key.destination.address;
        let line = line(&key, &value, None, NOW);
        assert!(
            line.starts_with("48 proto=6 src=2001:db8::2 dst=2001:db8::1 sport=0 dport=45678 "),
            "{line}"
        );
        let mask = "mask-src=ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ";
        assert!(line.contains(mask), "{line}");
    }
}
