//! A client outside has a server inside, which is honest, say what looks like the answer
//! to a PASV that there never was.

use std::net::SocketAddr;

use anyhow::Result;

use super::super::{
    Attack, Stage, Way,
    stage::{command, pause, question, reply},
};
use crate::setup::Inside;

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new(
        "unsolicited",
        "a reply that names a port, without a question",
        "Kadlecsik, paranoid FTP (2001)",
        Inside::Server,
        unsolicited,
    ),
    Attack::new(
        "second_reply",
        "two replies to one question",
        "Kadlecsik, paranoid FTP (2001)",
        Inside::Server,
        second_reply,
    ),
    Attack::new(
        "failed_question",
        "a reply behind a question that the server refused",
        "Kadlecsik, paranoid FTP (2001)",
        Inside::Server,
        failed_question,
    ),
    Attack::new(
        "echo",
        "an error that repeats what the client said, which looks like a reply",
        "CVE-2000-0813, CVE-2000-0150, CVE-2002-1979",
        Inside::Server,
        echo,
    ),
    Attack::new(
        "partial_ack",
        "the same, cut by the client's acknowledgment so that it starts a segment",
        "CERT VU#328867 (2002)",
        Inside::Server,
        partial_ack,
    ),
    Attack::new(
        "continuation",
        "a line inside a longer reply that looks like a reply",
        "CERT VU#288905",
        Inside::Server,
        continuation,
    ),
    Attack::new(
        "grown_old",
        "a second SYN, to have a connection that nobody greeted taken for an old one",
        "connections that are picked up in the middle",
        Inside::Server,
        grown_old,
    ),
    Attack::new(
        "pipelined",
        "a question sent in advance, for the echo of the command before it",
        "CVE-2005-3057",
        Inside::Server,
        pipelined,
    ),
    Attack::new(
        "client_replies",
        "the client itself says what only a server says",
        "Cisco's \"reply spoofing\"",
        Inside::Server,
        client_replies,
    ),
    Attack::new(
        "foreign_reply",
        "a reply that names another inside host",
        "CVE-2020-8284, CVE-2001-0405",
        Inside::Server,
        foreign_reply,
    )
    .crowded()
    .only_v4(),
    Attack::new(
        "low_reply",
        "a reply that names a port below 1024",
        "FTP bounce (RFC 2577)",
        Inside::Server,
        low_reply,
    ),
    Attack::new(
        "stolen",
        "another host connects to a server's passive port before the client does",
        "theft of data connections (RFC 2577)",
        Inside::Server,
        stolen,
    )
    .crowded(),
    Attack::new(
        "other_service",
        "a client announces a server's port, as if it were its own",
        "fake control connections (2012)",
        Inside::Server,
        other_service,
    ),
];

fn unsolicited(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    duet.server.write("200 nothing\r\n")?;
    pause();
    duet.server.write(&reply(trap.at()))?;
    pause();
    stage.tempt(&trap, &duet.client, "without a question")?;
    duet.client.write("NOOP\r\n")?;
    pause();
    duet.server.write(&reply(trap.at()))?;
    pause();
    stage.tempt(&trap, &duet.client, "after another question")
}

fn second_reply(stage: &Stage<'_>) -> Result<()> {
    let (first, second) = (stage.trap(0)?, stage.trap(0)?);
    let mut duet = stage.login()?;
    Stage::passive(stage.lab, &mut duet, first.listener())?;
    duet.server.write(&reply(second.at()))?;
    pause();
    stage.tempt(&second, &duet.client, "after a second reply")
}

fn failed_question(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    duet.client_says(question(stage.lab))?;
    duet.server_says("425 no port left\r\n")?;
    duet.client_says("NOOP\r\n")?;
    duet.server.write(&reply(trap.at()))?;
    pause();
    stage.tempt(&trap, &duet.client, "after a question that was refused")
}

fn echo(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    let text = reply(trap.at());
    duet.client_says(&format!("RETR {text}"))?;
    duet.server.write(&format!("550 No such file: {text}"))?;
    pause();
    stage.tempt(&trap, &duet.client, "in an error")?;
    // And with the question asked, so that only the place tells.
    for apart in [false, true] {
        duet.client_says(question(stage.lab))?;
        if apart {
            duet.server.write("550 No such file: ")?;
            pause();
            duet.server.write(&text)?;
        } else {
            duet.server.write(&format!("550 No such file: {text}"))?;
        }
        pause();
        stage.tempt(
            &trap,
            &duet.client,
            "in the error that answers the question",
        )?;
    }
    Ok(())
}

fn partial_ack(stage: &Stage<'_>) -> Result<()> {
    const ERROR: &str = "550 No such file: ";
    let trap = stage.trap(0)?;
    let mut duet = stage.login_raw(20_025)?;
    let text = reply(trap.at());
    duet.client_says(&format!("RETR {text}"))?;
    duet.server.write(&format!("{ERROR}{text}"))?;
    // What came before may be repeated meanwhile.
    let start = duet.client.expected;
    duet.client.receive_at(start)?;
    let middle = start.wrapping_add(u32::try_from(ERROR.len())?);
    duet.client.expected = middle;
    duet.client.acknowledge(middle)?;
    duet.client_says(question(stage.lab))?;
    // The server repeats the rest.
    duet.client.receive_at(middle)?;
    pause();
    stage.tempt_only(&trap, "after the rest was repeated")
}

fn grown_old(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let mut duet = stage.connect_raw(20_026, |client| {
        // The server takes no notice of it.
        client.begin(client.next.wrapping_add(100_000))?;
        pause();
        Ok(())
    })?;
    duet.client_says("a line\r\n")?;
    duet.server_says("a line\r\n")?;
    duet.client_says(question(stage.lab))?;
    duet.server.write(&reply(trap.at()))?;
    pause();
    stage.tempt_only(&trap, "on a connection that nobody greeted")
}

fn continuation(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    let text = reply(trap.at());
    for opening in [
        "211-Status:\r\n",
        "550-Something else:\r\n",
        "227-Well:\r\n",
    ] {
        duet.client_says(question(stage.lab))?;
        duet.server.write(opening)?;
        pause();
        duet.server.write(&text)?;
        pause();
        // The last one ends with the very line.
        if !opening.starts_with("227") || !text.starts_with("227") {
            stage.tempt(&trap, &duet.client, &format!("inside {opening:?}"))?;
        }
        let code = opening.get(..3).unwrap_or_default();
        duet.server.write(&format!("{code} End\r\n"))?;
        pause();
    }
    Ok(())
}

fn pipelined(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    let text = reply(trap.at());
    duet.client_says(&format!("RETR {text}{}", question(stage.lab)))?;
    duet.server.write(&format!("550 {text}"))?;
    pause();
    duet.server.write(&format!("550-\r\n{text}550 End\r\n"))?;
    pause();
    stage.tempt(&trap, &duet.client, "in the error in front of the answer")
}

fn client_replies(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    let text = reply(trap.at());
    for line in [
        question(stage.lab).to_owned(),
        text.clone(),
        format!("200 {text}"),
        text,
    ] {
        duet.client.write(&line)?;
        pause();
    }
    stage.tempt(&trap, &duet.client, "after the client's own reply")
}

fn foreign_reply(stage: &Stage<'_>) -> Result<()> {
    let others = stage.others()?;
    let trap = stage.trap_on(&others.bystander, others.bystanders, 0)?;
    let mut duet = stage.login()?;
    for address in [others.bystanders, stage.lab.setup.addresses.lan] {
        let named = SocketAddr::new(address, trap.at().port());
        duet.client.write(question(stage.lab))?;
        pause();
        duet.server.write(&reply(named))?;
        pause();
        stage.tempt(
            &trap,
            &duet.client,
            &format!("after a reply that names {address}"),
        )?;
    }
    // Under another host's address also the server's own port must stay closed.
    let own = stage.trap(0)?;
    let mut duet = stage.login()?;
    duet.client.write(question(stage.lab))?;
    pause();
    let named = SocketAddr::new(others.bystanders, own.at().port());
    duet.server.write(&reply(named))?;
    pause();
    stage.tempt(&own, &duet.client, "after a reply that names it elsewhere")
}

fn low_reply(stage: &Stage<'_>) -> Result<()> {
    for port in [22, 139, 1023] {
        let trap = stage.trap(port)?;
        let mut duet = stage.login()?;
        duet.client_says(question(stage.lab))?;
        duet.server.write(&reply(trap.at()))?;
        pause();
        stage.tempt(&trap, &duet.client, "after its announcement")?;
    }
    Ok(())
}

fn stolen(stage: &Stage<'_>) -> Result<()> {
    let (lab, others) = (stage.lab, stage.others()?);
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    let to = Stage::passive(lab, &mut duet, trap.listener())?;
    let ways = [to, trap.at()].map(|to| Way::new(&others.stranger, to));
    stage.tempt_by(&trap, &ways, "from another host, in front of the client")?;
    if let Err(error) = duet.passive_data(to, trap.listener()) {
        stage.is_hurt("the client's own connection", &error);
    }
    Ok(())
}

/// The server's host has another service, on a port that is not published.
fn other_service(stage: &Stage<'_>) -> Result<()> {
    let lab = stage.lab;
    let trap = stage.trap(0)?;
    let port = trap.at().port();
    for address in [lab.setup.inside_address(), lab.setup.known_as()] {
        let mut duet = stage.login()?;
        duet.client
            .write(&command(SocketAddr::new(address, port)))?;
        pause();
        duet.server.write("200 PORT command successful\r\n")?;
        pause();
        stage.tempt(
            &trap,
            &duet.server,
            &format!("after an announcement of {address}"),
        )?;
    }
    Ok(())
}
