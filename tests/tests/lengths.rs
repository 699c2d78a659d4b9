//! Lines that get shorter, stay as long as they were, or get longer.

use std::{
    cmp::Ordering,
    net::{IpAddr, Ipv4Addr, TcpListener},
};

use ftp_helper_tests::{
    check::exchange,
    client::{ClientKind, Mode},
    control::Control,
    payload,
    scenario::helped_scenario,
    server::{DOWNLOADS, Server, ServerKind},
    setup::{Addresses, Setup},
    transfers::Transfers,
};

#[test]
fn shorter() {
    twenty_transfers([192, 168, 100, 200], [192, 0, 2, 1], Ordering::Less);
}

#[test]
fn equal() {
    twenty_transfers([10, 0, 0, 100], [192, 0, 2, 10], Ordering::Equal);
}

#[test]
fn longer() {
    twenty_transfers([10, 0, 0, 2], [198, 51, 100, 201], Ordering::Greater);
}

/// `inside` becomes `outside`: the address' text then compares as `expected`.
fn twenty_transfers(inside: [u8; 4], outside: [u8; 4], expected: Ordering) {
    let addresses = Addresses {
        client: Ipv4Addr::from(inside).into(),
        lan: neighbour(inside),
        wan: Ipv4Addr::from(outside).into(),
        server: neighbour(outside),
    };
    helped_scenario(
        Setup {
            addresses,
            ..Setup::default()
        },
        |lab, _, _| {
            for kind in ServerKind::ALL {
                let server = Server::start(lab, kind)?;
                let mut transfers = Transfers::new();
                for _ in 0..10 {
                    transfers.download(lab, &server, 10_000)?;
                    transfers.upload(lab, &server, 10_000)?;
                }
                let rewrites =
                    exchange(lab, &server, ClientKind::Ftplib, Mode::Active, &transfers)?;
                assert_eq!(rewrites.len(), 20);
                for rewrite in rewrites {
                    let sent = length(rewrite.sent.address);
                    let received = length(rewrite.received.address);
                    assert_eq!(received.cmp(&sent), expected, "{rewrite:?}");
                }
            }
            Ok(())
        },
    );
}

fn length(address: Option<IpAddr>) -> usize {
    address.map_or(0, |address| address.to_string().len())
}

/// Another host in the same /24.
fn neighbour([first, second, third, _]: [u8; 4]) -> IpAddr {
    Ipv4Addr::new(first, second, third, 77).into()
}

/// A port that something on the gateway listens on is not announced in its
/// name; the line's length then changes with the port's digits.
#[test]
fn a_port_that_the_gateway_uses_is_replaced() {
    helped_scenario(Setup::default(), |lab, _, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let digest = payload::write(&server.file(&format!("{DOWNLOADS}/file")), 10_000, 1)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        for _ in 0..10 {
            let listener = control.listen()?;
            let port = listener.announcement.port;
            let _taken = lab
                .gateway
                .enter(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?))?;
            let data = control.begin(&listener, &format!("{DOWNLOADS}/file"))?;
            let bytes = control.receive(data)?;
            assert_eq!(payload::digest_of(&bytes), digest);
            let received = server.announcements()?.pop();
            assert_eq!(
                received.and_then(|at| at.address),
                Some(lab.setup.addresses.wan)
            );
            assert_ne!(received.map(|at| at.port), Some(port));
        }
        Ok(())
    });
}
