//! Urgent data on the control connection, and transfers that are aborted by it.

use std::{
    io::Read as _,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    announcement::Announcement,
    client::{Transcript, abort},
    control::Control,
    duet::{Duet, Manner},
    host::Host,
    lab::Lab,
    payload,
    scenario::helped_scenario,
    server::{DOWNLOADS, Server, ServerKind},
    setup::{Addresses, Family, Inside, Setup, Translation},
    urgent,
};

/// Telnet's IAC and IP, and the IAC in front of DM, which is the urgent byte: what
/// BSD's ftp sends.
const INTERRUPT: &[u8] = &[0xff, 0xf4, 0xff];
/// DM, which is Telnet's mark in the data.
const MARK_AND_ABOR: &[u8] = b"\xf2ABOR\r\n";

/// The announcement of a client's listener, as it is sent and as it has to arrive:
/// the port is free outside as well.
fn lines(lab: &Lab, listener: &TcpListener) -> Result<(String, String)> {
    let at = listener.local_addr()?;
    let line = |address| format!("{}\r\n", Announcement::command(address, at.port(), false));
    let (sent, wire) = (line(at.ip()), line(lab.setup.known_as()));
    ensure!(sent.len() != wire.len(), "the length has to change");
    Ok((sent, wire))
}

/// A transfer that works, announced in a segment of its own.
fn transfer(lab: &Lab, duet: &mut Duet) -> Result<()> {
    let listener = duet.client.listen()?;
    let (sent, wire) = lines(lab, &listener)?;
    duet.client.write(&sent)?;
    duet.server.expect(&wire)?;
    duet.server_says("200 PORT command successful\r\n")?;
    duet.client_says("RETR file\r\n")?;
    let port = listener.local_addr()?.port();
    duet.active_data(SocketAddr::new(lab.setup.known_as(), port), &listener)?;
    duet.server_says("226 done\r\n")
}

/// What is tried in a lab.
type Check = (&'static str, fn(&Lab) -> Result<()>);

const CHECKS: [Check; 4] = [
    ("the mark behind earlier rewrites", behind_rewrites),
    ("the mark in the segment of an announcement", in_a_segment),
    ("the mark behind announcements to come", over_announcements),
    ("a transfer from vsftpd is aborted", vsftpd_aborts),
];

fn every_check(setup: Setup) {
    helped_scenario(setup, |lab, _, _| {
        let mut failed = Vec::new();
        for (name, check) in CHECKS {
            if let Err(error) = check(lab) {
                failed.push(format!("{name}: {error:#}"));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
        Ok(())
    });
}

#[test]
fn announcements_get_longer() {
    every_check(Setup::default());
}

#[test]
fn announcements_get_shorter() {
    let v4 = |octets: [u8; 4]| IpAddr::from(Ipv4Addr::from(octets));
    every_check(Setup {
        addresses: Addresses {
            client: v4([192, 168, 100, 200]),
            lan: v4([192, 168, 100, 77]),
            wan: v4([192, 0, 2, 1]),
            server: v4([192, 0, 2, 77]),
        },
        ..Setup::default()
    });
}

#[test]
fn announcements_with_ipv6() {
    every_check(Setup::new(Inside::Client, Family::V6, Translation::Nat));
}

fn behind_rewrites(lab: &Lab) -> Result<()> {
    let mut duet = Duet::login(lab, Manner::default())?;
    urgent::keep_inline(duet.server.stream())?;
    for _ in 0..3 {
        transfer(lab, &mut duet)?;
        urgent::send(duet.client.stream(), INTERRUPT)?;
        duet.client.write_bytes(MARK_AND_ABOR)?;
        received(&duet, &[], &[2])?;
        duet.server_says("226 nothing to abort\r\n")?;
    }
    transfer(lab, &mut duet)
}

/// The pointer counts from the segment's first byte, over the rewritten text.
fn in_a_segment(lab: &Lab) -> Result<()> {
    let mut duet = Duet::login(lab, Manner::default())?;
    urgent::keep_inline(duet.server.stream())?;
    for count in [1, 2, 3] {
        let listener = duet.client.listen()?;
        let (sent, wire) = lines(lab, &listener)?;
        urgent::cork(duet.client.stream(), true)?;
        duet.client.write(&sent.repeat(count))?;
        urgent::send(duet.client.stream(), INTERRUPT)?;
        urgent::cork(duet.client.stream(), false)?;
        duet.client.write_bytes(MARK_AND_ABOR)?;
        let expected = wire.repeat(count);
        received(&duet, expected.as_bytes(), &[expected.len() + 2])?;
        for _ in 0..count {
            duet.server_says("200 PORT command successful\r\n")?;
        }
        duet.server_says("226 nothing to abort\r\n")?;
        duet.client_says("RETR file\r\n")?;
        let port = listener.local_addr()?.port();
        duet.active_data(SocketAddr::new(lab.setup.known_as(), port), &listener)?;
        duet.server_says("226 done\r\n")?;
    }
    Ok(())
}

/// From the moment on that there is urgent data, every segment tells how far ahead
/// it is, over announcements that the helper has not seen yet.
fn over_announcements(lab: &Lab) -> Result<()> {
    /// More bytes than may be on their way at first, in segments of this size.
    const SEGMENT: u16 = 88;
    const COUNT: usize = 60;
    let manner = Manner {
        segment: Some(SEGMENT),
        ..Manner::default()
    };
    let mut duet = Duet::login(lab, manner)?;
    urgent::keep_inline(duet.server.stream())?;
    let listener = duet.client.listen()?;
    let (sent, wire) = lines(lab, &listener)?;
    duet.client.write(&sent.repeat(COUNT))?;
    urgent::send(duet.client.stream(), INTERRUPT)?;
    duet.client.write_bytes(MARK_AND_ABOR)?;
    let expected = wire.repeat(COUNT);
    received(&duet, expected.as_bytes(), &[expected.len() + 2])
}

/// The server receives `before`, the interrupt and `ABOR`, with the urgent bytes at
/// these positions.
fn received(duet: &Duet, before: &[u8], marks: &[usize]) -> Result<()> {
    let expected = [before, INTERRUPT, MARK_AND_ABOR].concat();
    let (bytes, found) = urgent::read(duet.server.stream(), expected.len())?;
    ensure!(
        bytes == expected,
        "the server received {:?}, not {:?}",
        bytes.escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    ensure!(found == marks, "urgent were {found:?}, not {marks:?}");
    Ok(())
}

const SMALL: usize = 10_000;
const LARGE: usize = 20 << 20;

/// The two files of a scenario, with the digest of the small one.
fn files(server: &Server) -> Result<(String, String, payload::Digest)> {
    let (small, large) = (format!("{DOWNLOADS}/small"), format!("{DOWNLOADS}/large"));
    let digest = payload::write(&server.file(&small), SMALL, 1)?;
    payload::write(&server.file(&large), LARGE, 2)?;
    Ok((small, large, digest))
}

/// vsftpd hears the signal, ends the transfer, and says so.
fn vsftpd_aborts(lab: &Lab) -> Result<()> {
    lab.limit_buffers()?;
    let server = Server::start(lab, ServerKind::Vsftpd)?;
    let (small, large, digest) = files(&server)?;
    let mut control = Control::login(&lab.client, server.endpoint())?;
    for _ in 0..3 {
        let listener = control.listen()?;
        let mut data = control.begin(&listener, &large)?;
        // vsftpd misses a signal between its 150 and its sendfile.
        data.read_exact(&mut [0])?;
        urgent::send(control.stream(), INTERRUPT)?;
        control.send_bytes(MARK_AND_ABOR)?;
        control.reply()?.expect_code(426)?;
        let done = control.reply()?.expect_code(226)?;
        ensure!(done.text.contains("ABOR"), "{done:?}");
        drop(data);
        let bytes = control.retrieve(&small)?;
        ensure!(payload::digest_of(&bytes) == digest, "arrived changed");
    }
    let received = server.announcements()?;
    ensure!(received.len() == 6, "{received:?}");
    for announcement in received {
        ensure!(announcement.address == Some(lab.setup.known_as()));
    }
    Ok(())
}

#[test]
fn lftp_aborts_a_transfer_from_vsftpd() {
    client_aborts(ServerKind::Vsftpd, abort::with_lftp);
}

#[test]
fn ftplib_aborts_a_transfer_from_pyftpdlib() {
    client_aborts(ServerKind::Pyftpdlib, abort::with_ftplib);
}

fn client_aborts(
    kind: ServerKind,
    client: fn(&Host, SocketAddr, abort::Files<'_>) -> Result<Transcript>,
) {
    helped_scenario(Setup::default(), |lab, agent, _| {
        lab.limit_buffers()?;
        let server = Server::start(lab, kind)?;
        let (small, large, digest) = files(&server)?;
        let before = lab.client_files().join("before");
        let after = lab.client_files().join("after");
        let files = abort::Files {
            large: &large,
            small: &small,
            before: &before,
            after: &after,
        };
        let transcript = client(&lab.client, server.endpoint(), files)?;
        let what = format!("{transcript:#?}");
        let transcript = transcript.success("the client")?;
        for path in [before, after] {
            assert_eq!(payload::digest(&path)?, digest, "{what}");
        }
        let replies = server.replies()?;
        let aborted = replies.iter().position(|line| line.starts_with("426 "));
        let aborted = aborted.with_context(|| format!("nothing was aborted: {replies:#?}"))?;
        assert!(replies[aborted + 1].starts_with("226 "), "{replies:#?}");
        let commands = server.commands()?;
        let logins = commands.iter().filter(|line| line.starts_with("USER"));
        assert_eq!(logins.count(), 1, "{commands:#?}");
        let (sent, received) = (transcript.announcements()?, server.announcements()?);
        assert_eq!((sent.len(), received.len()), (3, 3), "{what}");
        for announcement in received {
            assert_eq!(announcement.address, Some(lab.setup.known_as()));
        }
        assert_eq!(agent.count("expectation_matched")?, 3);
        Ok(())
    });
}
