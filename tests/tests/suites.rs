//! Traffic that the test suites of other FTP gateways send, as far as no other test
//! here has it: see the table in `tests/README.md`.

use std::{
    cmp::Ordering,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    agent::Agent,
    announcement::{Announcement, Form},
    check::exchange,
    client::{ClientKind, Mode},
    duet::{Duet, Manner, is_closed},
    lab::{FILES, Lab},
    scenario::helped_scenario,
    server::{Server, ServerKind},
    setup::{Addresses, Family, Inside, Setup, Translation},
    transfers::Transfers,
};

/// Inside and outside address, and how long the outside one's text is beside the
/// other.
const LENGTHS: [([u8; 4], [u8; 4], Ordering); 2] = [
    ([192, 168, 100, 200], [192, 0, 2, 1], Ordering::Less),
    ([10, 0, 0, 2], [198, 51, 100, 201], Ordering::Greater),
];

fn setup(inside: Inside, inner: [u8; 4], outer: [u8; 4]) -> Setup {
    let neighbour = |[first, second, third, _]: [u8; 4]| -> IpAddr {
        Ipv4Addr::new(first, second, third, 77).into()
    };
    let addresses = Addresses {
        client: Ipv4Addr::from(inner).into(),
        lan: neighbour(inner),
        wan: Ipv4Addr::from(outer).into(),
        server: neighbour(outer),
    };
    Setup {
        addresses: match inside {
            Inside::Client => addresses,
            Inside::Server => addresses.swapped(),
        },
        ..Setup::new(inside, Family::V4, Translation::Nat)
    }
}

/// The command, or the reply, for a listener.
fn announce(form: Form, listener: &TcpListener) -> Result<Announcement> {
    let at = listener.local_addr()?;
    Ok(Announcement {
        form,
        address: Some(at.ip()),
        port: at.port(),
    })
}

/// Replies grow or shrink, while commands pass as they are: two directions with
/// different distances, in which neither helps the other out.
#[test]
fn replies_that_grow_or_shrink_and_commands_among_them() {
    for (inner, outer, expected) in LENGTHS {
        helped_scenario(setup(Inside::Server, inner, outer), |lab, _, _| {
            let server = Server::start(lab, ServerKind::Pyftpdlib)?;
            for mode in [Mode::Passive, Mode::Active] {
                let mut transfers = Transfers::new();
                for _ in 0..4 {
                    transfers.list(lab, &server, "listed")?;
                    transfers.upload(lab, &server, 10_000)?;
                }
                for rewrite in exchange(lab, &server, ClientKind::Ftplib, mode, &transfers)? {
                    let length = |at: Announcement| at.address.map(|it| it.to_string().len());
                    let change = length(rewrite.received).cmp(&length(rewrite.sent));
                    let wanted = if mode.is_active() {
                        Ordering::Equal
                    } else {
                        expected
                    };
                    ensure!(change == wanted, "{rewrite:?}");
                }
            }
            drop(server);
            both_ways(lab)
        });
    }
}

/// Both over one control connection.
fn both_ways(lab: &Lab) -> Result<()> {
    let mut duet = Duet::login(lab, Manner::default())?;
    for _ in 0..4 {
        let listener = duet.server.listen()?;
        duet.client_says("PASV\r\n")?;
        let reply = announce(Form::Reply227, &listener)?;
        duet.server.write(&format!("{reply}\r\n"))?;
        let received: Announcement = duet.client.line()?.trim_end().parse()?;
        ensure!(received.address == Some(lab.setup.known_as()), "{received}");
        duet.client_says("RETR file\r\n")?;
        let to = received.endpoint().context("a 227 has an address")?;
        duet.passive_data(to, &listener)?;
        duet.server_says("226 done\r\n")?;

        let listener = duet.client.listen()?;
        duet.client_says(&format!("{}\r\n", announce(Form::Port, &listener)?))?;
        duet.server_says("200 done\r\n")?;
        duet.client_says("STOR file\r\n")?;
        duet.active_data(listener.local_addr()?, &listener)?;
        duet.server_says("226 done\r\n")?;
    }
    Ok(())
}

/// A helper that keeps lengths in a byte writes past the end.
#[test]
fn segments_of_255_bytes_and_more() {
    for (inner, outer, _) in LENGTHS {
        helped_scenario(setup(Inside::Client, inner, outer), |lab, _, _| {
            let mut duet = Duet::login(lab, Manner::default())?;
            for length in [254, 255, 256, 257, 261, 511, 512, 513] {
                let listener = duet.client.listen()?;
                let line = format!("{}\r\n", announce(Form::Port, &listener)?);
                let filler = format!("SITE {}\r\n", "x".repeat(length - line.len() - 7));
                for front in [true, false] {
                    if front {
                        duet.client.write(&format!("{filler}{line}"))?;
                        duet.server.expect(&filler)?;
                    } else {
                        duet.client.write(&format!("{line}{filler}"))?;
                    }
                    let received: Announcement = duet.server.line()?.trim_end().parse()?;
                    ensure!(received.address == Some(lab.setup.known_as()), "{received}");
                    if !front {
                        duet.server.expect(&filler)?;
                    }
                    // Both commands work.
                    duet.server_says("200 done\r\n200 done\r\n")?;
                    duet.client_says("RETR file\r\n")?;
                    let to = received.endpoint().context("a PORT has an address")?;
                    duet.active_data(to, &listener)?;
                    duet.server_says("226 done\r\n")?;
                }
            }
            Ok(())
        });
    }
}

/// The gateway puts its own inside address into what comes from the outside, so that
/// answers find the way back: the server knows one client only, and takes a data
/// connection from nobody else.
#[test]
fn the_server_sees_the_gateway_as_its_client() {
    for (family, translation) in [
        (Family::V4, Translation::Nat),
        (Family::V6, Translation::Nat),
        (Family::V6, Translation::None),
    ] {
        let setup = Setup::new(Inside::Server, family, translation);
        helped_scenario(setup, |lab, agent, _| {
            translate_sources(lab)?;
            let server = Server::start(lab, ServerKind::Vsftpd)?;
            let mut transfers = Transfers::new();
            transfers.list(lab, &server, "listed")?;
            transfers.download(lab, &server, 100_000)?;
            transfers.upload(lab, &server, 100_000)?;
            exchange(lab, &server, ClientKind::Curl, Mode::Passive, &transfers)
                .with_context(|| setup.name())?;
            assert_eq!(agent.count("expectation_matched")?, 3);
            let lan = lab.setup.addresses.lan.to_string();
            let log = std::fs::read_to_string(lab.logs().join("vsftpd-commands.log"))?;
            let seen = log
                .lines()
                .any(|line| line.contains("CONNECT") && line.trim_end_matches('"').ends_with(&lan));
            assert!(seen, "the server did not see {lan}:\n{log}");
            Ok(())
        });
    }
}

fn translate_sources(lab: &Lab) -> Result<()> {
    let rules = "
table inet hidden {
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname \"lan0\" masquerade
    }
}
";
    let path = Path::new(FILES).join("hidden.nft");
    std::fs::write(&path, rules)?;
    lab.gateway.must(&format!("nft -f {}", path.display()))?;
    Ok(())
}

/// Replies to a question that announce nothing, in the words of servers and of those
/// who test clients. They reach the client as they are, and the next one is helped.
#[test]
fn replies_that_announce_nothing() {
    for family in Family::ALL {
        let setup = Setup::new(Inside::Server, family, Translation::Nat);
        helped_scenario(setup, |lab, agent, _| {
            let question = match family {
                Family::V4 => "PASV\r\n",
                Family::V6 => "EPSV\r\n",
            };
            let mut duet = Duet::login(lab, Manner::default())?;
            for reply in [
                "227 Entering Passive Mode (1216,256,2,127,127,127)\r\n",
                "227 Entering Passive Mode (1,2,3,4,5\r\n",
                "227 Entering Passive Mode (\r\n",
                "227 Logout.\r\n",
                "229 Entering Extended Passive Mode (|||1000000|)\r\n",
                "229 Entering Extended Passive Mode (|||1|)\r\n",
                "229 Entering Extended Passive Mode\r\n",
                "314 bluah you fewl!\r\n",
                "500 no such command\r\n",
            ] {
                duet.client_says(question)?;
                duet.server_says(reply)?;
            }
            assert_eq!(agent.count("expectation_created")?, 0);
            let listener = duet.server.listen()?;
            let form = match family {
                Family::V4 => Form::Reply227,
                Family::V6 => Form::Reply229,
            };
            duet.client_says(question)?;
            let reply = announce(form, &listener)?;
            duet.server.write(&format!("{reply}\r\n"))?;
            let received: Announcement = duet.client.line()?.trim_end().parse()?;
            let address = received.address.unwrap_or(lab.setup.known_as());
            duet.client_says("RETR file\r\n")?;
            duet.passive_data(SocketAddr::new(address, received.port), &listener)
        });
    }
}

/// A server outside that lies to its client, or takes only the older command.
#[test]
fn a_server_outside_that_lies_or_refuses() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let mut duet = Duet::login(lab, Manner::default())?;
        let listener = duet.client.listen()?;
        // The client itself, the gateway, somebody else: the client may believe it,
        // nothing is let in.
        let port = listener.local_addr()?.port();
        let addresses = lab.setup.addresses;
        for address in [addresses.client, addresses.lan, addresses.wan] {
            let lie = Announcement {
                form: Form::Reply227,
                address: Some(address),
                port,
            };
            duet.client_says("PASV\r\n")?;
            duet.server_says(&format!("{lie}\r\n"))?;
            opened_nothing(lab, agent, &listener)?;
        }
        let line = Announcement::command(addresses.client, port, true);
        duet.client.write(&format!("{line}\r\n"))?;
        let refused: Announcement = duet.server.line()?.trim_end().parse()?;
        ensure!(refused.form == Form::Eprt, "received {refused}");
        duet.server_says("502 no EPRT here\r\n")?;
        let line = Announcement::command(addresses.client, port, false);
        duet.client.write(&format!("{line}\r\n"))?;
        let received: Announcement = duet.server.line()?.trim_end().parse()?;
        ensure!(received.address == Some(addresses.wan), "{received}");
        duet.server_says("200 done\r\n")?;
        duet.client_says("RETR file\r\n")?;
        duet.active_data(received.endpoint().context("an address")?, &listener)
    });
}

fn opened_nothing(lab: &Lab, agent: &Agent, listener: &TcpListener) -> Result<()> {
    let to = SocketAddr::new(lab.setup.known_as(), listener.local_addr()?.port());
    is_closed(lab.outside(), to, listener)?;
    ensure!(agent.count("expectation_created")? == 0, "a hole was made");
    Ok(())
}
