//! Announcements of a server inside.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{BOTH, Case, Stage, V4, numbers};
use crate::{
    duet::{Duet, Manner},
    setup::Family,
};

const PAUSE: Duration = Duration::from_millis(5);
const LONG_PAUSE: Duration = Duration::from_millis(50);

pub(super) const CASES: &[Case] = &[
    Case::server("reply in one segment", BOTH, whole),
    Case::server("reply byte by byte", BOTH, bytes),
    Case::server("reply byte by byte, Nagle's algorithm on", BOTH, nagle),
    Case::server("reply cut in two at every byte", BOTH, cuts),
    Case::server("segments of at most 88 bytes", BOTH, tiny),
    Case::server("replies to two commands in one segment", BOTH, two),
    Case::server("30 transfers over one connection", BOTH, many),
    Case::server("229 in an IPv4 connection", V4, extended),
    Case::server("229 with another delimiter", BOTH, delimiter),
    Case::server("227 without parentheses", V4, bare),
    Case::server("227 with digits in front of the numbers", V4, digits),
    Case::server("reply of several lines", BOTH, lines),
    Case::server("227 with the address 0,0,0,0", V4, unspecified),
    Case::server(
        "227 with 0,0,0,0 in an IPv6 connection",
        &[Family::V6],
        unspecified,
    ),
    Case::server("227 in answer to EPSV", V4, crossed),
    Case::server("line end is a bare LF", BOTH, bare_lf),
    Case::server("announcement of a client outside", BOTH, outside_client),
];

/// The reply that a server gives for `listener`, without a line end.
fn usual(stage: &Stage<'_>, listener: &TcpListener) -> Result<String> {
    Ok(match stage.family() {
        Family::V4 => format!("227 Entering Passive Mode ({}).", numbers(listener)?),
        Family::V6 => extended_reply(listener)?,
    })
}

fn extended_reply(listener: &TcpListener) -> Result<String> {
    let port = listener.local_addr()?.port();
    Ok(format!("229 Entering Extended Passive Mode (|||{port}|)"))
}

/// What asks for that.
fn question(stage: &Stage<'_>) -> &'static str {
    match stage.family() {
        Family::V4 => "PASV\r\n",
        Family::V6 => "EPSV\r\n",
    }
}

/// Data over the announced connection, and what is said then.
fn transfer(duet: &mut Duet, announced: SocketAddr, listener: &TcpListener) -> Result<()> {
    duet.client_says("RETR file\r\n")?;
    duet.passive_data(announced, listener)?;
    duet.server_says("150 here it comes\r\n")?;
    duet.server_says("226 done\r\n")
}

/// The last line that the client gets names the gateway, and leads to the server.
fn answered(stage: &Stage<'_>, duet: &mut Duet, listener: &TcpListener) -> Result<()> {
    let line = duet.client.line()?;
    let announced = stage.named(&line)?;
    transfer(duet, announced, listener)
}

/// Three times: the reply in one write, as `spell` makes it of the usual one.
fn spelt(stage: &Stage<'_>, spell: impl Fn(&str) -> String) -> Result<()> {
    let mut duet = stage.login()?;
    for _ in 0..3 {
        let listener = duet.server.listen()?;
        duet.client_says(question(stage))?;
        let reply = spell(&usual(stage, &listener)?);
        duet.server.write(&reply)?;
        answered(stage, &mut duet, &listener)?;
    }
    Ok(())
}

fn whole(stage: &Stage<'_>) -> Result<()> {
    spelt(stage, |reply| format!("{reply}\r\n"))
}

fn bare_lf(stage: &Stage<'_>) -> Result<()> {
    spelt(stage, |reply| format!("{reply}\n"))
}

/// With whole greeting and login in pieces, too.
fn bytes(stage: &Stage<'_>) -> Result<()> {
    let mut duet = Duet::connect(stage.lab, stage.manner())?;
    for (reply, command) in [
        ("220-welcome\r\n220 ready\r\n", "USER anonymous\r\n"),
        ("331 password\r\n", "PASS lab@example.net\r\n"),
        ("230 welcome\r\n", "NOOP\r\n"),
        ("200 nothing\r\n", "NOOP\r\n"),
    ] {
        duet.server
            .write_pieces(reply.as_bytes().chunks(1), PAUSE)?;
        duet.client.expect(reply)?;
        duet.client_says(command)?;
    }
    duet.server_says("200 nothing\r\n")?;
    for _ in 0..3 {
        let listener = duet.server.listen()?;
        duet.client_says(question(stage))?;
        let reply = format!("{}\r\n", usual(stage, &listener)?);
        duet.server
            .write_pieces(reply.as_bytes().chunks(1), PAUSE)?;
        answered(stage, &mut duet, &listener)?;
    }
    Ok(())
}

fn nagle(stage: &Stage<'_>) -> Result<()> {
    let manner = Manner {
        nagle: true,
        ..stage.manner()
    };
    let mut duet = Duet::login(stage.lab, manner)?;
    for size in [1, 3, 7] {
        for pause in [Duration::ZERO, PAUSE] {
            let listener = duet.server.listen()?;
            duet.client_says(question(stage))?;
            let reply = format!("{}\r\n", usual(stage, &listener)?);
            duet.server
                .write_pieces(reply.as_bytes().chunks(size), pause)?;
            answered(stage, &mut duet, &listener)?;
        }
    }
    Ok(())
}

fn cuts(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let mut cut = 1;
    loop {
        let listener = duet.server.listen()?;
        let reply = format!("{}\r\n", usual(stage, &listener)?);
        if cut >= reply.len() {
            return Ok(());
        }
        duet.client_says(question(stage))?;
        let (first, second) = reply.as_bytes().split_at(cut);
        duet.server.write_pieces([first, second], LONG_PAUSE)?;
        answered(stage, &mut duet, &listener).with_context(|| format!("cut at {cut}"))?;
        cut += 1;
    }
}

/// Texts of all lengths: the numbers meet the ends of segments everywhere.
fn tiny(stage: &Stage<'_>) -> Result<()> {
    let manner = Manner {
        segment: Some(88),
        ..stage.manner()
    };
    let mut duet = Duet::login(stage.lab, manner)?;
    for length in 0..40 {
        let listener = duet.server.listen()?;
        duet.client_says(question(stage))?;
        let reply = usual(stage, &listener)?;
        let (code, text) = reply.split_at(4);
        duet.server
            .write(&format!("{code}{}{text}\r\n", "x".repeat(length * 2)))?;
        answered(stage, &mut duet, &listener).with_context(|| format!("{length} more"))?;
    }
    Ok(())
}

fn two(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    for _ in 0..3 {
        let (first, second) = (duet.server.listen()?, duet.server.listen()?);
        duet.client_says(&question(stage).repeat(2))?;
        let replies = format!(
            "{}\r\n{}\r\n",
            usual(stage, &first)?,
            usual(stage, &second)?
        );
        duet.server.write(&replies)?;
        let line = duet.client.line()?;
        stage.named(&line)?;
        answered(stage, &mut duet, &second)?;
    }
    Ok(())
}

fn many(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    for _ in 0..30 {
        let listener = duet.server.listen()?;
        duet.client_says(question(stage))?;
        duet.server
            .write(&format!("{}\r\n", usual(stage, &listener)?))?;
        answered(stage, &mut duet, &listener)?;
    }
    Ok(())
}

fn extended(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    for _ in 0..3 {
        let listener = duet.server.listen()?;
        duet.client_says("EPSV\r\n")?;
        duet.server
            .write(&format!("{}\r\n", extended_reply(&listener)?))?;
        answered(stage, &mut duet, &listener)?;
    }
    Ok(())
}

fn delimiter(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    duet.client_says("EPSV\r\n")?;
    let reply = extended_reply(&listener)?.replace('|', "!");
    duet.server.write(&format!("{reply}\r\n"))?;
    let line = duet.client.line()?;
    ensure!(line.contains("(!!!"), "the client received {line:?}");
    let announced = stage.named(&line.replace('!', "|"))?;
    transfer(&mut duet, announced, &listener)
}

/// RFC 959 has it both ways; RFC 1123 wants clients to look for the first digit.
fn bare(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    for text in ["Entering Passive Mode. ", "=", "Data waits at "] {
        let listener = duet.server.listen()?;
        duet.client_says("PASV\r\n")?;
        duet.server
            .write(&format!("227 {text}{}\r\n", numbers(&listener)?))?;
        let line = duet.client.line()?;
        let (start, rest) = line.trim_end().split_at(4 + text.len());
        ensure!(
            start == format!("227 {text}"),
            "the client received {line:?}"
        );
        let announced = stage.named(&format!("227 ({rest})"))?;
        transfer(&mut duet, announced, &listener)?;
    }
    Ok(())
}

fn digits(stage: &Stage<'_>) -> Result<()> {
    spelt(stage, |reply| {
        format!("{}\r\n", reply.replace("Passive", "Passive 1 of 2, 3rd"))
    })
}

/// Lines before the last do not count, whatever they say.
fn lines(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    duet.client_says(question(stage))?;
    let reply = usual(stage, &listener)?;
    let code = &reply[..3];
    let before =
        format!("{code}-a socket was made\r\n more of 1,2,3,4,5,6\r\n200 padded badly\r\n");
    duet.server.write(&format!("{before}{reply}\r\n"))?;
    duet.client.expect(&before)?;
    answered(stage, &mut duet, &listener)
}

/// "The address that you know me by": it must not be replaced.
fn unspecified(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    duet.client_says("PASV\r\n")?;
    let [high, low] = listener.local_addr()?.port().to_be_bytes();
    duet.server.write(&format!(
        "227 Entering Passive Mode (0,0,0,0,{high},{low}).\r\n"
    ))?;
    let line = duet.client.line()?;
    let announcement: crate::announcement::Announcement = line.trim_end().parse()?;
    ensure!(line.contains("(0,0,0,0,"), "the client received {line:?}");
    let announced = SocketAddr::new(stage.outside(), announcement.port);
    transfer(&mut duet, announced, &listener)
}

/// Gateways between the families do that.
fn crossed(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    duet.client_says("EPSV\r\n")?;
    let reply = usual(stage, &listener)?;
    duet.server.write(&format!("{reply}\r\n"))?;
    answered(stage, &mut duet, &listener)?;
    let listener = duet.server.listen()?;
    duet.client_says("PASV\r\n")?;
    let reply = extended_reply(&listener)?;
    duet.server.write(&format!("{reply}\r\n"))?;
    answered(stage, &mut duet, &listener)
}

/// The client names itself and is right: nothing is to be changed.
fn outside_client(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    let line = super::command(&listener, false)?;
    duet.client.write(&format!("{line}\r\n"))?;
    let received = duet.server.line()?;
    ensure!(
        super::canonical(received.trim_end()) == line,
        "the server received {received:?}, not {line:?}"
    );
    super::transfer(&mut duet, listener.local_addr()?, &listener)
}
