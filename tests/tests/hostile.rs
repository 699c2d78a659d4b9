//! Ends that do not keep to TCP's or FTP's manners to get through the gateway.

use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use ftp_helper_tests::{
    agent::Agent,
    announcement::{Announcement, Form},
    attack::{Forged, What, know_the_inside},
    duet::{Duet, Manner, is_closed},
    lab::Lab,
    raw::RawDuet,
    scenario::{agent_scenario, helped_scenario},
    setup::{ControlPort, Family, Inside, Setup, Translation},
    wait::{patient, wait_for},
};

/// Longest wait for what has to come: a few repetitions of the kernel's.
const PATIENCE: Duration = Duration::from_secs(5);

/// For what must not come.
const BLOCKED: Duration = Duration::from_millis(300);

/// What is tried in a lab.
type Check = (&'static str, fn(&Stage<'_>) -> Result<()>);

const CLIENT_INSIDE: [Check; 4] = [
    (
        "a repetition that starts in the middle of a command",
        middle_of_a_command,
    ),
    ("other bytes at the place of an announcement", other_bytes),
    ("fragments from the inside", fragments_from_the_inside),
    ("a form sent to the control port", form_to_the_control_port),
];

const SERVER_INSIDE: [Check; 2] = [
    (
        "a repetition that starts in the middle of a reply",
        middle_of_a_reply,
    ),
    ("fragments from the outside", fragments_from_the_outside),
];

/// Where a check runs.
struct Stage<'a> {
    lab: &'a Lab,
    agent: &'a Agent,
    /// Data connections that were expected before.
    created: u64,
    /// The port of its client that is spoken packet by packet.
    port: u16,
}

impl Stage<'_> {
    fn login(&self) -> Result<RawDuet> {
        RawDuet::login(self.lab, self.port, PATIENCE)
    }

    /// So many data connections have been expected since the check began.
    fn has_created(&self, count: u64) -> Result<()> {
        let created = self.agent.count("expectation_created")? - self.created;
        ensure!(created == count, "{created} expectations, not {count}");
        Ok(())
    }

    /// Nothing is expected, and the port is not open under any name of the host.
    fn opened_nothing(&self, listener: &TcpListener) -> Result<()> {
        let (lab, port) = (self.lab, listener.local_addr()?.port());
        for address in [lab.setup.known_as(), lab.setup.inside_address()] {
            is_closed(lab.outside(), SocketAddr::new(address, port), listener)?;
        }
        self.has_created(0)
    }
}

fn every_check(inside: Inside, family: Family, checks: &[Check]) {
    let setup = Setup::new(inside, family, Translation::Nat);
    helped_scenario(setup, |lab, agent, _| {
        know_the_inside(lab)?;
        let mut failed = Vec::new();
        // Ports that no host takes by itself.
        for ((name, check), port) in checks.iter().zip(20_021..) {
            let stage = Stage {
                lab,
                agent,
                created: agent.count("expectation_created")?,
                port,
            };
            if let Err(error) = check(&stage) {
                failed.push(format!("{name}: {error:#}"));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
        Ok(())
    });
}

#[test]
fn client_inside_with_ipv4() {
    every_check(Inside::Client, Family::V4, &CLIENT_INSIDE);
}

#[test]
fn client_inside_with_ipv6() {
    every_check(Inside::Client, Family::V6, &CLIENT_INSIDE);
}

#[test]
fn server_inside_with_ipv4() {
    every_check(Inside::Server, Family::V4, &SERVER_INSIDE);
}

#[test]
fn server_inside_with_ipv6() {
    every_check(Inside::Server, Family::V6, &SERVER_INSIDE);
}

/// The announcement of an inside client's listener, as a line.
fn command(listener: &TcpListener) -> Result<String> {
    let at = listener.local_addr()?;
    Ok(format!(
        "{}\r\n",
        Announcement::command(at.ip(), at.port(), false)
    ))
}

/// What an inside server says of its listener, as a line.
fn reply(listener: &TcpListener) -> Result<String> {
    let at = listener.local_addr()?;
    let (form, address) = match at {
        SocketAddr::V4(_) => (Form::Reply227, Some(at.ip())),
        SocketAddr::V6(_) => (Form::Reply229, None),
    };
    let reply = Announcement {
        form,
        address,
        port: at.port(),
    };
    Ok(format!("{reply}\r\n"))
}

fn question(lab: &Lab) -> &'static str {
    match lab.setup.family() {
        Family::V4 => "PASV\r\n",
        Family::V6 => "EPSV\r\n",
    }
}

/// CERT VU#328867: the client has the server say something that it echoes, and
/// acknowledges just so much of it that the rest, when it is repeated, starts a
/// packet and looks like a reply.
fn middle_of_a_reply(stage: &Stage<'_>) -> Result<()> {
    const ERROR: &str = "550 No such file: ";
    let lab = stage.lab;
    let mut duet = stage.login()?;
    let listener = duet.server.listen()?;
    let echoed = reply(&listener)?;
    duet.client_says(&format!("RETR {echoed}"))?;
    duet.server.write(&format!("{ERROR}{echoed}"))?;
    // What came before may be repeated meanwhile.
    let start = duet.client.expected;
    let whole = duet.client.receive_at(start)?;
    ensure!(whole.payload == format!("{ERROR}{echoed}").as_bytes());

    let middle = start.wrapping_add(u32::try_from(ERROR.len())?);
    duet.client.expected = middle;
    duet.client.acknowledge(middle)?;
    // A question is open, so only the place in the stream tells.
    duet.client_says(question(lab))?;
    let rest = duet.client.receive_at(middle)?;
    ensure!(
        rest.payload == echoed.as_bytes(),
        "repeated is {:?}, not {echoed:?}",
        rest.payload.escape_ascii().to_string()
    );
    stage.opened_nothing(&listener)?;

    // The answer itself is still one.
    duet.client.expected = middle.wrapping_add(u32::try_from(echoed.len())?);
    duet.client.acknowledge(duet.client.expected)?;
    duet.server.write(&echoed)?;
    // What was repeated may be under way once more.
    let answer = duet.client.receive_at(duet.client.expected)?;
    let answer: Announcement = std::str::from_utf8(&answer.payload)?.trim_end().parse()?;
    ensure!(answer.address.unwrap_or(lab.setup.known_as()) == lab.setup.known_as());
    stage.has_created(1)
}

/// The same the other way round: what a browser was made to send is cut, by its
/// server's acknowledgment or by the size of a packet, in front of `PORT`.
fn middle_of_a_command(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let listener = duet.listen(stage.lab, 0)?;
    let line = command(&listener)?;
    let begin = "STAT ";
    duet.client_says(&format!("{begin}{line}"))?;
    let middle = duet.client.next.wrapping_sub(u32::try_from(line.len())?);
    duet.client.send_at(middle, line.as_bytes())?;
    // And in new bytes of an unfinished line.
    duet.client_says(begin)?;
    duet.client_says(&line)?;
    stage.opened_nothing(&listener)?;
    duet.client_says("NOOP\r\n")
}

/// Other bytes than those that were announced: they must not get out, and nothing
/// else may open.
fn other_bytes(stage: &Stage<'_>) -> Result<()> {
    let (lab, agent) = (stage.lab, stage.agent);
    let mut duet = stage.login()?;
    // Lines of the same length.
    let (first, second) = (duet.listen(lab, 45_678)?, duet.listen(lab, 45_679)?);
    let (line, other) = (command(&first)?, command(&second)?);
    let start = duet.client.next;
    duet.client.send(line.as_bytes())?;
    let received: Announcement = duet.server.line()?.trim_end().parse()?;
    let to = received.endpoint().context("no address")?;
    ensure!(to.ip() == lab.setup.known_as(), "received {received}");

    let mismatches = agent.count("overlap_mismatch")?;
    duet.client.send_at(start, other.as_bytes())?;
    // An honest one goes on as before.
    duet.client.send_at(start, line.as_bytes())?;
    duet.client_says("NOOP\r\n")?;
    let mismatches = agent.count("overlap_mismatch")? - mismatches;
    ensure!(mismatches == 1, "{mismatches} were seen");
    stage.has_created(1)?;
    let port = second.local_addr()?.port();
    is_closed(lab.outside(), SocketAddr::new(to.ip(), port), &second)
}

/// A packet that is too long for the network, so that a fragment of it starts with
/// an announcement: nothing of it gets out. Sent again in whole packets, it is
/// helped.
fn fragments_from_the_inside(stage: &Stage<'_>) -> Result<()> {
    let lab = stage.lab;
    let mut duet = stage.login()?;
    let listener = duet.listen(lab, 0)?;
    let line = command(&listener)?;
    // The first fragment has a TCP header of 20 bytes, and a length that is a
    // multiple of 8: 1480 bytes with IPv4, 1448 with IPv6.
    let before = match lab.setup.family() {
        Family::V4 => 1460,
        Family::V6 => 1428,
    };
    let filler = format!("SITE {}\r\n", "x".repeat(before - 7));
    let text = format!("{filler}{line}");
    fragments_are_dropped(stage, &mut duet, &text)?;
    stage.opened_nothing(&listener)?;
    in_two_segments(&mut duet, &text)?;
    duet.server.expect(&filler)?;
    let received: Announcement = duet.server.line()?.trim_end().parse()?;
    ensure!(received.address == Some(lab.setup.known_as()), "{received}");
    stage.has_created(1)
}

/// The same from the outside.
fn fragments_from_the_outside(stage: &Stage<'_>) -> Result<()> {
    let mut duet = stage.login()?;
    let text = format!("SITE {}\r\n{}", "x".repeat(1500), question(stage.lab));
    fragments_are_dropped(stage, &mut duet, &text)?;
    in_two_segments(&mut duet, &text)?;
    duet.server.expect(&text)
}

fn fragments_are_dropped(stage: &Stage<'_>, duet: &mut RawDuet, text: &str) -> Result<()> {
    let fragments = stage.agent.count("fragment")?;
    duet.client.send(text.as_bytes())?;
    let mut stream = duet.server.stream();
    stream.set_read_timeout(Some(BLOCKED))?;
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer);
    stream.set_read_timeout(Some(patient(PATIENCE)))?;
    if let Ok(count) = read {
        bail!(
            "the server received {:?}",
            buffer[..count].escape_ascii().to_string()
        );
    }
    let fragments = stage.agent.count("fragment")? - fragments;
    ensure!(fragments == 1, "{fragments} were counted");
    Ok(())
}

/// Sends the last `text` again.
fn in_two_segments(duet: &mut RawDuet, text: &str) -> Result<()> {
    let start = duet.client.next.wrapping_sub(u32::try_from(text.len())?);
    let (head, tail) = text.split_at(700);
    duet.client.send_at(start, head.as_bytes())?;
    duet.client
        .send_at(start.wrapping_add(700), tail.as_bytes())
}

/// NAT slipstreaming: a page has the browser send a form with announcements in it
/// to a server on the control port, which the gateway is to take for FTP. The
/// server may be the attacker's, and greet like one of FTP's.
fn form_to_the_control_port(stage: &Stage<'_>) -> Result<()> {
    for greeting in ["", "220 ready\r\n"] {
        let refused = stage.agent.count("not_ftp")?;
        let mut duet = Duet::connect(stage.lab, Manner::default())?;
        let listener = duet.client.listen()?;
        duet.server_says(greeting)?;
        form(&mut duet, &listener)?;
        duet.server_says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        stage.opened_nothing(&listener)?;
        let refused = stage.agent.count("not_ftp")? - refused;
        ensure!(refused == 1, "{refused} were counted");
    }
    Ok(())
}

/// The same to another port, where FTP is detected: also a server that greets like
/// one of FTP's does not make the browser a client of it.
#[test]
fn a_form_sent_to_a_port_where_ftp_is_detected() {
    let setup = Setup {
        control_port: ControlPort {
            served: 8080,
            dialled: 8080,
        },
        ..Setup::default()
    };
    agent_scenario(setup, |lab, agent| {
        know_the_inside(lab)?;
        let _running = agent.start_with(&["run", "-i", "wan0", "--detect"])?;
        for greeting in ["", "220 ready\r\n"] {
            let mut duet = Duet::connect(lab, Manner::default())?;
            let listener = duet.client.listen()?;
            duet.server_says(greeting)?;
            form(&mut duet, &listener)?;
            let stage = Stage {
                lab,
                agent,
                created: 0,
                port: 0,
            };
            stage.opened_nothing(&listener)?;
        }
        // One that speaks FTP is helped there.
        let mut duet = Duet::login(lab, Manner::default())?;
        let listener = duet.client.listen()?;
        duet.client.write(&command(&listener)?)?;
        let received: Announcement = duet.server.line()?.trim_end().parse()?;
        assert_eq!(received.address, Some(lab.setup.known_as()));
        Ok(())
    });
}

/// The request, with an announcement at the start of a line and of a segment, and
/// with a part in front of it that fills a packet.
fn form(duet: &mut Duet, listener: &TcpListener) -> Result<()> {
    let line = command(listener)?;
    duet.client_says("POST / HTTP/1.1\r\nHost: ftp.example.net\r\nContent-Length: 9999\r\n\r\n")?;
    duet.client_says(&line)?;
    duet.client_says(&format!("x={}\r\n{line}", "x".repeat(1500)))
}

/// The first segment of a connection that is older than the agent tells where its lines
/// are, and somebody may forge it. Numbers before and behind the real ones: what is real
/// goes on all the same.
#[test]
fn a_forged_segment_in_a_connection_that_is_older_than_the_agent() {
    agent_scenario(Setup::default(), |lab, agent| {
        let login = |sequence| anyhow::Ok((sequence, Duet::login(lab, Manner::default())?));
        let duets = [login(1000)?, login(1000 + (1 << 31))?];
        let _running = agent.start()?;
        for (sequence, mut duet) in duets {
            let known = agent.count("session_picked_up")?;
            let forged = Forged {
                source: duet.server.stream().local_addr()?,
                destination: duet.server.stream().peer_addr()?,
                sequence,
                what: What::Text("200 forged\r\n"),
            };
            forged.send(lab.outside())?;
            wait_for("the forged segment", PATIENCE, || {
                Ok((agent.count("session_picked_up")? > known).then_some(()))
            })?;
            duet.server_says("200 real\r\n")?;
            duet.client_says("NOOP\r\n")?;
            duet.server_says("200 real\r\n")?;
            let listener = duet.client.listen()?;
            duet.client.write(&command(&listener)?)?;
            let received: Announcement = duet.server.line()?.trim_end().parse()?;
            ensure!(received.address == Some(lab.setup.known_as()), "{received}");
            duet.server_says("200 yes\r\n")?;
            let announced = received.endpoint().context("no address")?;
            duet.active_data(announced, &listener)?;
            duet.client_says("QUIT\r\n")?;
        }
        Ok(())
    });
}

/// The first segment of such a connection is one that keeps it alive, with a byte that is
/// none of its stream (RFC 1122 section 4.2.3.6).
#[test]
fn an_old_connection_is_kept_alive_with_a_byte() {
    agent_scenario(Setup::default(), |lab, agent| {
        let mut duet = RawDuet::login(lab, 20_040, PATIENCE)?;
        let _running = agent.start()?;
        duet.client
            .send_at(duet.client.next.wrapping_sub(1), &[0])?;
        wait_for("that segment", PATIENCE, || {
            Ok((agent.count("session_picked_up")? == 1).then_some(()))
        })?;
        duet.client_says("NOOP\r\n")?;
        duet.server_says("200 yes\r\n")?;
        let listener = duet.listen(lab, 0)?;
        duet.client.send(command(&listener)?.as_bytes())?;
        let received: Announcement = duet.server.line()?.trim_end().parse()?;
        ensure!(received.address == Some(lab.setup.known_as()), "{received}");
        Ok(())
    });
}
