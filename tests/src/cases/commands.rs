//! Announcements of a client inside.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{BOTH, Case, Stage, V4, canonical, command, transfer};
use crate::{
    duet::{Duet, Manner},
    setup::Family,
};

/// Behind each piece that shall go in a segment of its own.
const PAUSE: Duration = Duration::from_millis(5);

/// Long enough for an acknowledgment that is delayed, and for what follows it.
const LONG_PAUSE: Duration = Duration::from_millis(50);

pub(super) const CASES: &[Case] = &[
    Case::client("announcement in one segment", BOTH, whole),
    Case::client("login and announcement byte by byte", BOTH, bytes),
    Case::client(
        "announcement byte by byte, Nagle's algorithm on",
        BOTH,
        nagle,
    ),
    Case::client("announcement cut in two at every byte", BOTH, cuts),
    Case::client("two announcements in one segment", BOTH, two),
    Case::client(
        "announcement behind another command in a segment",
        BOTH,
        behind,
    ),
    Case::client(
        "4 announcements with commands between in one write, segments of at most 88 bytes",
        BOTH,
        tiny,
    ),
    Case::client("30 announcements in one write", BOTH, thirty).repeating(),
    Case::client(
        "announcements, one behind the other, before any reply",
        BOTH,
        ahead,
    ),
    Case::client("30 transfers over one connection", BOTH, many),
    Case::client("EPRT with IPv4", V4, extended),
    Case::client(
        "address of EPRT in its shortest form",
        &[Family::V6],
        shortest,
    ),
    Case::client("EPRT with commas as delimiters", BOTH, delimiter),
    Case::client("line end is a bare LF", BOTH, bare_lf),
    Case::client("blank behind the numbers", V4, trailing_blank),
    Case::client("two blanks behind the verb", BOTH, two_blanks),
    Case::client("verb in lower case", BOTH, lower_case),
    Case::client(
        "Telnet interrupt in front of the announcement",
        BOTH,
        interrupt,
    ),
    Case::client("announcement behind a line of 3000 bytes", BOTH, long_line),
    Case::client(
        "the connection outlives an announcement that is none",
        BOTH,
        nonsense,
    ),
    Case::client(
        "the connection outlives EPRT of a foreign family",
        BOTH,
        foreign_family,
    ),
];

/// Announces in the line that `spell` makes of the command, in one write, and
/// has a file sent. The line that arrives has to be the same, except for the
/// endpoint.
fn spelt(stage: &Stage<'_>, extended: bool, spell: impl Fn(&str) -> String) -> Result<()> {
    let mut duet = stage.login()?;
    for _ in 0..3 {
        let listener = duet.client.listen()?;
        let plain = command(&listener, extended)?;
        duet.client.write(&spell(&plain))?;
        let line = canonical(&duet.server.line()?);
        // What has to arrive: the same spelling of the outside endpoint, whose
        // port is free to choose.
        let endpoint =
            outside_port(stage, &line).with_context(|| format!("the server received {line:?}"))?;
        let expected =
            crate::announcement::Announcement::command(stage.outside(), endpoint, extended);
        let expected = spell(&expected.to_string());
        ensure!(
            line == expected,
            "the server received {line:?}, not {expected:?}"
        );
        let announced = std::net::SocketAddr::new(stage.outside(), endpoint);
        transfer(&mut duet, announced, &listener)?;
    }
    Ok(())
}

/// The port in a command, however it is spelt.
fn outside_port(stage: &Stage<'_>, line: &str) -> Result<u16> {
    let is_port = line.to_ascii_uppercase().contains("PORT");
    let numbers: Vec<&str> = line
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|number| !number.is_empty())
        .collect();
    let last: u32 = numbers.last().context("no number")?.parse()?;
    if !is_port {
        return Ok(u16::try_from(last)?);
    }
    debug_assert_eq!(stage.family(), Family::V4);
    let high: u32 = numbers.iter().rev().nth(1).context("one number")?.parse()?;
    Ok(u16::try_from(high * 256 + last)?)
}

fn whole(stage: &Stage<'_>) -> Result<()> {
    spelt(stage, false, |line| format!("{line}\r\n"))
}

fn extended(stage: &Stage<'_>) -> Result<()> {
    spelt(stage, true, |line| format!("{line}\r\n"))
}

/// Some servers compare it as text with the address of their peer.
fn shortest(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    duet.client
        .write(&format!("{}\r\n", command(&listener, true)?))?;
    let line = duet.server.line()?;
    ensure!(
        line == canonical(&line),
        "the server received {line:?}, which is not the shortest form"
    );
    let announced = stage.named(&line)?;
    transfer(&mut duet, announced, &listener)
}

fn delimiter(stage: &Stage<'_>) -> Result<()> {
    spelt(stage, true, |line| {
        format!("{}\r\n", line.replace('|', ","))
    })
}

fn bare_lf(stage: &Stage<'_>) -> Result<()> {
    spelt(stage, false, |line| format!("{line}\n"))
}

fn trailing_blank(stage: &Stage<'_>) -> Result<()> {
    spelt(stage, false, |line| format!("{line} \r\n"))
}

fn two_blanks(stage: &Stage<'_>) -> Result<()> {
    spelt(stage, false, |line| {
        format!("{}\r\n", line.replacen(' ', "  ", 1))
    })
}

fn lower_case(stage: &Stage<'_>) -> Result<()> {
    spelt(stage, false, |line| {
        format!("{}\r\n", line.to_ascii_lowercase())
    })
}

fn bytes(stage: &Stage<'_>) -> Result<()> {
    let mut duet = Duet::connect(stage.lab, stage.manner())?;
    duet.server_says("220 ready\r\n")?;
    for (line, reply) in [
        ("USER anonymous\r\n", "331 password\r\n"),
        ("PASS lab@example.net\r\n", "230 welcome\r\n"),
    ] {
        duet.client.write_pieces(line.as_bytes().chunks(1), PAUSE)?;
        duet.server.expect(line)?;
        duet.server_says(reply)?;
    }
    for _ in 0..3 {
        let listener = duet.client.listen()?;
        let line = format!("{}\r\n", command(&listener, false)?);
        duet.client.write_pieces(line.as_bytes().chunks(1), PAUSE)?;
        let announced = stage.received(&mut duet)?;
        transfer(&mut duet, announced, &listener)?;
    }
    Ok(())
}

/// The first byte goes out, the rest waits until that one is acknowledged.
fn nagle(stage: &Stage<'_>) -> Result<()> {
    let manner = Manner {
        nagle: true,
        ..stage.manner()
    };
    let mut duet = Duet::login(stage.lab, manner)?;
    for size in [1, 3, 7] {
        for pause in [Duration::ZERO, PAUSE] {
            let listener = duet.client.listen()?;
            let line = format!("{}\r\n", command(&listener, false)?);
            duet.client
                .write_pieces(line.as_bytes().chunks(size), pause)?;
            let announced = stage.received(&mut duet)?;
            transfer(&mut duet, announced, &listener)?;
        }
    }
    Ok(())
}

fn cuts(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let mut cut = 1;
    loop {
        let listener = duet.client.listen()?;
        let line = format!("{}\r\n", command(&listener, false)?);
        if cut >= line.len() {
            return Ok(());
        }
        let (first, second) = line.as_bytes().split_at(cut);
        duet.client.write_pieces([first, second], LONG_PAUSE)?;
        let announced = stage
            .received(&mut duet)
            .with_context(|| format!("cut at {cut}"))?;
        transfer(&mut duet, announced, &listener).with_context(|| format!("cut at {cut}"))?;
        cut += 1;
    }
}

/// Both are answered before any data; only the second one counts then.
fn two(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    for _ in 0..3 {
        let (first, second) = (duet.client.listen()?, duet.client.listen()?);
        let lines = format!(
            "{}\r\n{}\r\nNOOP\r\n",
            command(&first, false)?,
            command(&second, false)?
        );
        duet.client.write(&lines)?;
        stage.received(&mut duet)?;
        let announced = stage.received(&mut duet)?;
        duet.server.expect("NOOP\r\n")?;
        duet.server_says("200 first\r\n")?;
        transfer(&mut duet, announced, &second)?;
        duet.server_says("200 noop\r\n")?;
    }
    Ok(())
}

fn behind(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    for _ in 0..3 {
        let listener = duet.client.listen()?;
        let lines = format!("TYPE I\r\n{}\r\nNOOP\r\n", command(&listener, false)?);
        duet.client.write(&lines)?;
        duet.server.expect("TYPE I\r\n")?;
        let announced = stage.received(&mut duet)?;
        duet.server.expect("NOOP\r\n")?;
        duet.server_says("200 type\r\n")?;
        transfer(&mut duet, announced, &listener)?;
        duet.server_says("200 noop\r\n")?;
    }
    Ok(())
}

/// Lines of all lengths: announcements meet the ends of segments everywhere.
fn tiny(stage: &Stage<'_>) -> Result<()> {
    let manner = Manner {
        segment: Some(88),
        ..stage.manner()
    };
    let mut duet = Duet::login(stage.lab, manner)?;
    for round in 0..10 {
        burst(stage, &mut duet, round, 4)?;
    }
    Ok(())
}

fn thirty(stage: &Stage<'_>) -> Result<()> {
    let manner = Manner {
        segment: Some(88),
        ..stage.manner()
    };
    let mut duet = Duet::login(stage.lab, manner)?;
    burst(stage, &mut duet, 0, 30)
}

/// `count` announcements in one write, with other commands between them.
fn burst(stage: &Stage<'_>, duet: &mut Duet, round: usize, count: usize) -> Result<()> {
    let listener = duet.client.listen()?;
    let fill = |number| format!("CWD {}\r\n", "x".repeat(round * 3 + number));
    let line = command(&listener, false)?;
    let lines: Vec<String> = (0..count)
        .map(|number| format!("{}{line}\r\n", fill(number)))
        .collect();
    duet.client.write(&lines.concat())?;
    let mut announced = None;
    for number in 0..count {
        duet.server.expect(&fill(number))?;
        announced = Some(stage.received(duet)?);
    }
    for _ in 0..2 * count - 1 {
        duet.server_says("200 done\r\n")?;
    }
    let announced = announced.context("all were read")?;
    transfer(duet, announced, &listener)
}

/// Each in a segment of its own, in flight together.
fn ahead(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    for _ in 0..6 {
        duet.client
            .write(&format!("{}\r\n", command(&listener, false)?))?;
    }
    let mut announced = stage.received(&mut duet)?;
    for _ in 0..5 {
        announced = stage.received(&mut duet)?;
    }
    for _ in 0..5 {
        duet.server_says("200 done\r\n")?;
    }
    transfer(&mut duet, announced, &listener)
}

fn many(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    for _ in 0..30 {
        let listener = duet.client.listen()?;
        duet.client
            .write(&format!("{}\r\n", command(&listener, false)?))?;
        let announced = stage.received(&mut duet)?;
        transfer(&mut duet, announced, &listener)?;
    }
    Ok(())
}

/// As before an `ABOR` (RFC 959 section 4.1.3).
fn interrupt(stage: &Stage<'_>) -> Result<()> {
    const SYNCH: [u8; 4] = [0xff, 0xf4, 0xff, 0xf2];
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    duet.client.write_bytes(&SYNCH)?;
    duet.client.write_bytes(b"ABOR\r\n")?;
    duet.server.expect_bytes(&SYNCH)?;
    duet.server.expect("ABOR\r\n")?;
    duet.server_says("226 nothing to abort\r\n")?;
    let line = [&SYNCH[..], command(&listener, false)?.as_bytes(), b"\r\n"].concat();
    duet.client.write_bytes(&line)?;
    duet.server.expect_bytes(&SYNCH)?;
    let announced = stage.received(&mut duet)?;
    transfer(&mut duet, announced, &listener)
}

fn long_line(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    let long = format!("SITE {}\r\n", "1,2,3,4,5,6 ".repeat(250));
    duet.client
        .write(&format!("{long}{}\r\n", command(&listener, false)?))?;
    duet.server.expect(&long)?;
    let announced = stage.received(&mut duet)?;
    duet.server_says("500 too long\r\n")?;
    transfer(&mut duet, announced, &listener)
}

/// The server has to get it, and to say so; the next one is a good one.
fn nonsense(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    for line in [
        "PORT 1,2,3\r\n",
        "PORT 300,1,1,1,1,1\r\n",
        "PORT\r\n",
        "EPRT |\r\n",
        "EPRT |1|nobody|5|\r\n",
        "PORTABLE 1,2,3,4,5,6\r\n",
    ] {
        duet.client_says(line)?;
        duet.server_says("501 no\r\n")?;
    }
    let listener = duet.client.listen()?;
    duet.client
        .write(&format!("{}\r\n", command(&listener, false)?))?;
    let announced = stage.received(&mut duet)?;
    transfer(&mut duet, announced, &listener)
}

/// The server may want to answer 522.
fn foreign_family(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let foreign = match stage.family() {
        Family::V4 => "EPRT |2|2001:db8::99|5000|\r\n",
        Family::V6 => "EPRT |1|192.0.2.99|5000|\r\n",
    };
    duet.client_says(foreign)?;
    duet.server_says("522 not supported, use (1)\r\n")?;
    let listener = duet.client.listen()?;
    duet.client
        .write(&format!("{}\r\n", command(&listener, false)?))?;
    let announced = stage.received(&mut duet)?;
    transfer(&mut duet, announced, &listener)
}
