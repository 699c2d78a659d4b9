//! What must not open anything.

use std::{net::TcpListener, thread::sleep, time::Duration};

use anyhow::{Context as _, Result};

use super::{BOTH, Case, Stage, V4, command, numbers, transfer};
use crate::{announcement::Announcement, duet::Duet, setup::Family};

/// So long, a segment that has been sent has arrived.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) const CASES: &[Case] = &[
    Case::client(
        "an announcement that the server refuses opens nothing",
        BOTH,
        refused,
    )
    .repeating(),
    Case::client("only the last announcement counts", BOTH, replaced).repeating(),
    Case::client("an announcement opens once", BOTH, once).repeating(),
    Case::client(
        "the end of the control connection closes what it opened",
        BOTH,
        ended,
    )
    .repeating(),
    Case::client(
        "an announcement before the greeting opens nothing",
        BOTH,
        early,
    )
    .repeating(),
    Case::client(
        "an announcement of a foreign address opens nothing",
        BOTH,
        foreign,
    )
    .repeating(),
    Case::client(
        "an announcement of a port below 1024 opens nothing",
        BOTH,
        low_port,
    )
    .repeating(),
    Case::client("port 65536 and more is no port", BOTH, wrapped_port).repeating(),
    Case::client(
        "what a server announces like a client opens nothing",
        BOTH,
        server_like_client,
    )
    .repeating(),
    Case::client("nothing is read behind AUTH TLS", BOTH, encrypted).repeating(),
    Case::client(
        "an announcement in the middle of a line opens nothing",
        BOTH,
        middle_of_a_line,
    )
    .repeating(),
    Case::client("nothing is announced behind EPSV ALL", BOTH, epsv_all).repeating(),
    Case::server("an unsolicited reply opens nothing", BOTH, unsolicited).repeating(),
    Case::server("a second reply to one PASV opens nothing", BOTH, doubled).repeating(),
    Case::server("a reply inside a 211 reply opens nothing", BOTH, inside_211).repeating(),
    Case::server(
        "the text of an error, at the start of a segment, opens nothing",
        BOTH,
        error_text,
    )
    .repeating(),
    Case::server(
        "a reply with a foreign address opens nothing",
        V4,
        foreign_reply,
    )
    .repeating(),
    Case::server(
        "a reply with a port below 1024 opens nothing",
        BOTH,
        low_reply,
    )
    .repeating(),
    Case::server(
        "what a client answers like a server opens nothing",
        BOTH,
        client_like_server,
    )
    .repeating(),
    Case::server(
        "a failed PASV does not leave the next reply solicited",
        BOTH,
        failed_question,
    )
    .repeating(),
];

fn line(listener: &TcpListener) -> Result<String> {
    Ok(format!("{}\r\n", command(listener, false)?))
}

/// The usual reply for `listener`.
fn reply(stage: &Stage<'_>, listener: &TcpListener) -> Result<String> {
    let port = listener.local_addr()?.port();
    Ok(match stage.family() {
        Family::V4 => format!("227 Entering Passive Mode ({}).\r\n", numbers(listener)?),
        Family::V6 => format!("229 Entering Extended Passive Mode (|||{port}|)\r\n"),
    })
}

fn question(stage: &Stage<'_>) -> &'static str {
    match stage.family() {
        Family::V4 => "PASV\r\n",
        Family::V6 => "EPSV\r\n",
    }
}

fn refused(stage: &Stage<'_>) -> Result<()> {
    for answer in ["500 no\r\n", "425 no\r\n", "501-no\r\n501 no\r\n"] {
        let mut duet = stage.login()?;
        let listener = duet.client.listen()?;
        duet.client.write(&line(&listener)?)?;
        let announced = stage.received(&mut duet)?;
        duet.server_says(answer)?;
        crate::duet::is_closed(stage.outside_host(), announced, &listener)
            .with_context(|| format!("after {answer:?}"))?;
    }
    Ok(())
}

fn replaced(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let (first, second) = (duet.client.listen()?, duet.client.listen()?);
    duet.client.write(&line(&first)?)?;
    let old = stage.received(&mut duet)?;
    duet.server_says("200 done\r\n")?;
    duet.client.write(&line(&second)?)?;
    let new = stage.received(&mut duet)?;
    crate::duet::is_closed(stage.outside_host(), old, &first)?;
    transfer(&mut duet, new, &second)
}

fn once(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    duet.client.write(&line(&listener)?)?;
    let announced = stage.received(&mut duet)?;
    transfer(&mut duet, announced, &listener)?;
    crate::duet::is_closed(stage.outside_host(), announced, &listener)
}

fn ended(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    duet.client.write(&line(&listener)?)?;
    let announced = stage.received(&mut duet)?;
    duet.end()?;
    crate::duet::is_closed(stage.outside_host(), announced, &listener)
}

fn early(stage: &Stage<'_>) -> Result<()> {
    let mut duet = Duet::connect(stage.lab, stage.manner())?;
    let listener = duet.client.listen()?;
    // The very first line is never looked at by some: have one in front.
    duet.client_says("NOOP\r\n")?;
    duet.client_says(&line(&listener)?)?;
    stage.closed(&listener)?;
    duet.server_says("220 ready\r\n")
}

fn foreign(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    let port = listener.local_addr()?.port();
    // The gateway on its inside; whoever the port leads to, nothing may open.
    let foreign = Announcement::command(stage.lab.setup.addresses.lan, port, false);
    duet.client_says(&format!("{foreign}\r\n"))?;
    stage.closed(&listener)?;
    duet.server_says("500 no\r\n")
}

fn low_port(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let at = std::net::SocketAddr::new(duet.client.address()?, 139);
    let listener = stage
        .lab
        .client
        .enter(|| TcpListener::bind(at).context("port 139"))?;
    listener.set_nonblocking(true)?;
    duet.client_says(&line(&listener)?)?;
    stage.closed(&listener)?;
    duet.server_says("500 no\r\n")
}

/// 65536 more than the port: whoever cuts to 16 bits reads the port itself.
fn wrapped_port(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    let address = duet.client.address()?;
    let family = if address.is_ipv4() { 1 } else { 2 };
    let port = 65536 + u32::from(listener.local_addr()?.port());
    duet.client_says(&format!("EPRT |{family}|{address}|{port}|\r\n"))?;
    stage.closed(&listener)?;
    duet.server_says("501 no\r\n")
}

/// Even for its own address: whoever looks at both ways would let it in.
fn server_like_client(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    duet.server_says(&line(&listener)?)?;
    duet.server_says(&format!("200 {}", line(&listener)?))?;
    stage.closed(&listener)
}

fn encrypted(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    duet.client_says("AUTH TLS\r\n")?;
    duet.server_says("234 go ahead\r\n")?;
    let listener = duet.client.listen()?;
    duet.client_says("\r\n")?;
    duet.client_says(&line(&listener)?)?;
    stage.closed(&listener)
}

/// As a browser can be made to send it: a long line whose later part starts a
/// segment (NAT slipstreaming).
fn middle_of_a_line(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.client.listen()?;
    for length in [1, 100, 1448, 3000] {
        duet.client_says(&"x".repeat(length))?;
        duet.client_says(&line(&listener)?)?;
        stage.closed(&listener)?;
        duet.server_says("500 no\r\n")?;
    }
    Ok(())
}

/// RFC 2428 section 4.
fn epsv_all(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    duet.client_says("EPSV ALL\r\n")?;
    duet.server_says("200 EPSV only\r\n")?;
    let listener = duet.client.listen()?;
    duet.client_says(&line(&listener)?)?;
    stage.closed(&listener)
}

fn unsolicited(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    duet.server_says("200 nothing\r\n")?;
    duet.server_says(&reply(stage, &listener)?)?;
    stage.closed(&listener)?;
    duet.client_says("NOOP\r\n")?;
    duet.server_says(&reply(stage, &listener)?)?;
    stage.closed(&listener)
}

/// The first one is refused by its content only in the second place.
fn doubled(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let (first, second) = (duet.server.listen()?, duet.server.listen()?);
    duet.client_says(question(stage))?;
    duet.server.write(&reply(stage, &first)?)?;
    let received = duet.client.line()?;
    stage.named(&received)?;
    duet.server_says(&reply(stage, &second)?)?;
    stage.closed(&second)
}

fn inside_211(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    duet.client_says("STAT\r\n")?;
    duet.server_says("211-Status\r\n")?;
    duet.server_says(&reply(stage, &listener)?)?;
    stage.closed(&listener)?;
    duet.server_says("211 End\r\n")?;
    // And with the question asked, so that only the open reply tells.
    duet.client_says(question(stage))?;
    duet.server_says("550-Something else:\r\n")?;
    duet.server_says(&reply(stage, &listener)?)?;
    stage.closed(&listener)?;
    duet.server_says("550 End\r\n")
}

/// The client acknowledges just so much that the rest starts a segment (CERT
/// VU#328867); here the server sends it that way.
fn error_text(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    let reply = reply(stage, &listener)?;
    duet.client_says(&format!("RETR {reply}"))?;
    duet.server_says("550 No such file: ")?;
    sleep(PAUSE);
    duet.server_says(&reply)?;
    stage.closed(&listener)?;
    // And with the question asked, so that only the place tells.
    duet.client_says(question(stage))?;
    duet.server_says("550 No such file: ")?;
    sleep(PAUSE);
    duet.server_says(&reply)?;
    stage.closed(&listener)
}

fn foreign_reply(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    let [high, low] = listener.local_addr()?.port().to_be_bytes();
    duet.client_says("PASV\r\n")?;
    duet.server_says(&format!(
        "227 Entering Passive Mode (10,0,0,1,{high},{low})\r\n"
    ))?;
    stage.closed(&listener)
}

fn low_reply(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let at = std::net::SocketAddr::new(duet.server.address()?, 139);
    let listener = stage
        .lab
        .server
        .enter(|| TcpListener::bind(at).context("port 139"))?;
    listener.set_nonblocking(true)?;
    duet.client_says(question(stage))?;
    duet.server_says(&reply(stage, &listener)?)?;
    stage.closed(&listener)
}

fn client_like_server(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    duet.client_says(question(stage))?;
    duet.client_says(&reply(stage, &listener)?)?;
    stage.closed(&listener)
}

fn failed_question(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    duet.client_says(question(stage))?;
    duet.server_says("425 no port left\r\n")?;
    duet.client_says("NOOP\r\n")?;
    duet.server_says(&reply(stage, &listener)?)?;
    stage.closed(&listener)
}
