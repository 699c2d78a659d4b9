//! NAT slipstreaming: a page has the victim's browser, or an inside server that fetches
//! what it is told to, send bytes of the attacker's choice to the attacker's server on
//! the control port. That server says whatever helps.

use anyhow::Result;

use super::super::{
    Attack, Stage,
    stage::{command, pause},
};
use crate::{duet::Duet, setup::Inside};

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new(
        "form",
        "a web page has a browser send a form with an announcement in it",
        "NAT slipstreaming v1",
        Inside::Client,
        form,
    ),
    Attack::new(
        "segments",
        "a line of a form, cut by the size of segments so that one starts with an announcement",
        "NAT slipstreaming v1",
        Inside::Client,
        segments,
    ),
    Attack::new(
        "fragments",
        "the same with fragments of IP",
        "NAT slipstreaming v1",
        Inside::Client,
        fragments,
    ),
    Attack::new(
        "method",
        "a web page uses a command of FTP as its request's method, to a server that greets",
        "NAT slipstreaming, methods of `fetch`",
        Inside::Client,
        method,
    ),
    Attack {
        port: 8080,
        arguments: &["--detect"],
        kernel: false,
        ..Attack::new(
            "detected",
            "the same to any port, where FTP is looked for on all of them",
            "NAT slipstreaming, methods of `fetch`",
            Inside::Client,
            method,
        )
    },
    Attack {
        arguments: &["--ccc"],
        kernel: false,
        ..Attack::new(
            "ccc",
            "a form, where connections that leave encryption are read again",
            "NAT slipstreaming v1",
            Inside::Client,
            form,
        )
    },
    Attack::new(
        "session_ticket",
        "an announcement in the session ticket that a client of TLS sends back in the clear",
        "TLS poison (2020)",
        Inside::Client,
        session_ticket,
    ),
    Attack::new(
        "turn",
        "an announcement in the user name of a request to a TURN server",
        "NAT slipstreaming v2, CVE-2021-34791",
        Inside::Client,
        turn,
    ),
];

/// A server that does not greet, and one that does.
const GREETINGS: [&str; 2] = ["", "220 ready\r\n"];

/// The beginning of a request; what comes behind it is the page's choice.
fn header(method: &str) -> String {
    format!(
        "{method} / HTTP/1.1\r\nHost: ftp.example.net:21\r\nConnection: keep-alive\r\n\
         Content-Length: 9999\r\nContent-Type: text/plain;charset=UTF-8\r\n\r\n"
    )
}

/// Each part in a segment of its own.
fn say(duet: &mut Duet, parts: &[&[u8]]) -> Result<()> {
    for part in parts {
        duet.client.write_bytes(part)?;
        pause();
    }
    Ok(())
}

fn form(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let line = command(trap.at());
    for greeting in GREETINGS {
        let mut duet = stage.connect()?;
        duet.server_says(greeting)?;
        let filled = format!("x={}\r\n{line}", "x".repeat(3000));
        let parts = [&header("POST"), &line, &filled, "\r\n", &line];
        say(&mut duet, &parts.map(str::as_bytes))?;
        duet.server.write("200 OK\r\n")?;
        pause();
        stage.tempt(
            &trap,
            &duet.server,
            &format!("after a form to a server that says {greeting:?}"),
        )?;
    }
    Ok(())
}

fn segments(stage: &Stage<'_>) -> Result<()> {
    /// What the attacker's server asks for, and what of it the options leave.
    const SEGMENT: u16 = 536;
    let trap = stage.trap(0)?;
    let line = command(trap.at());
    let mut duet = stage.connect_small(SEGMENT)?;
    duet.server_says("220 ready\r\n")?;
    duet.client_says("USER anonymous\r\n")?;
    // One of these ends where a segment does.
    for options in [0, 12] {
        let size = usize::from(SEGMENT) - options;
        for count in [1, 2] {
            let text = format!("{}{line}", "x".repeat(size * count));
            duet.client.write(&text)?;
            pause();
        }
    }
    for filler in [1, 100, 1448, 3000] {
        let filler = "x".repeat(filler);
        say(&mut duet, &[filler.as_bytes(), line.as_bytes()])?;
    }
    stage.tempt(
        &trap,
        &duet.server,
        "after lines with an announcement in them",
    )
}

fn fragments(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let line = command(trap.at());
    let duet = stage.login_raw(20_021)?;
    // The first fragment has a TCP header of 20 bytes, and a length that is a multiple
    // of 8: 1480 bytes with IPv4, 1448 with IPv6.
    let before = if trap.at().is_ipv4() { 1460 } else { 1428 };
    for start in ["", "SITE "] {
        let text = format!("{start}{}{line}", "x".repeat(before - start.len()));
        duet.client.send_at(duet.client.next, text.as_bytes())?;
        pause();
        stage.tempt(
            &trap,
            &duet.server,
            "after a packet whose second fragment announces",
        )?;
    }
    Ok(())
}

fn method(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let line = command(trap.at());
    for method in ["USER", "FEAT", "OPTS", "PATCH", "DELETE"] {
        let mut duet = stage.connect()?;
        duet.server_says("220 ready\r\n")?;
        let parts = [&header(method), &line, "\r\n", &line];
        say(&mut duet, &parts.map(str::as_bytes))?;
        stage.tempt(
            &trap,
            &duet.server,
            &format!("after a request with the method {method}"),
        )?;
    }
    Ok(())
}

fn session_ticket(stage: &Stage<'_>) -> Result<()> {
    // Record, message, version, random, no session, one cipher, no compression; then
    // the extension with the ticket, which is the server's choice.
    let mut hello = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    hello.extend([0xa5; 32]);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0, 1, 0xb0, 0, 0x23, 1, 0xac]);
    other_protocol(stage, &hello, "a ticket")
}

fn turn(stage: &Stage<'_>) -> Result<()> {
    // Allocate request, magic cookie, transaction, USERNAME (RFC 8489 section 5).
    let mut request = vec![0, 3, 2, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend(*b"transaction.");
    request.extend([0, 6, 1, 0xf0]);
    other_protocol(stage, &request, "a request")
}

/// Bytes that are no text, and behind them what the attacker chose.
fn other_protocol(stage: &Stage<'_>, first: &[u8], name: &str) -> Result<()> {
    let trap = stage.trap(0)?;
    let line = command(trap.at());
    let line = line.as_bytes();
    for greeting in GREETINGS {
        let mut duet = stage.connect()?;
        duet.server_says(greeting)?;
        say(&mut duet, &[first, b"\r\n", line, b"\r\n", line])?;
        stage.tempt(
            &trap,
            &duet.server,
            &format!("after {name} to a server that says {greeting:?}"),
        )?;
    }
    Ok(())
}
