//! Announcements of what is not the client's to announce.

use std::net::SocketAddr;

use anyhow::Result;

use super::super::{
    Attack, Stage, Way,
    stage::{command, pause},
    trap::Trap,
};
use crate::{
    announcement::Announcement,
    duet::Duet,
    setup::{Egress, Inside},
};

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new(
        "third_party",
        "a client announces the port of another inside host, of the gateway, of a host outside",
        "FTP bounce (RFC 2577), CVE-2001-0405",
        Inside::Client,
        third_party,
    )
    .crowded(),
    Attack {
        egress: Egress::ControlOnly,
        arguments: &["--inside", "lan0"],
        ..Attack::new(
            "bounce",
            "a client outside has a server inside connect to a third host, to an inside host, to a low port",
            "FTP bounce (RFC 2577)",
            Inside::Server,
            bounce,
        )
        .crowded()
    },
    Attack::new(
        "low_port",
        "a client announces a port below 1024 of its host",
        "FTP bounce (RFC 2577)",
        Inside::Client,
        low_port,
    ),
    Attack {
        arguments: &["--deny-ports", "3306,6000-6063"],
        kernel: false,
        ..Attack::new(
            "denied_port",
            "a client announces a port that the administrator denies",
            "databases and X servers behind a helper",
            Inside::Client,
            denied_port,
        )
    },
    Attack::new(
        "wrapped_number",
        "numbers beyond 255 and ports beyond 65535, which mean another port to whoever cuts them",
        "overflow in ip_vs_ftp (2025)",
        Inside::Client,
        wrapped_number,
    ),
    Attack::new(
        "wrong_side",
        "the server says what only a client says",
        "Cisco's \"command spoofing\"",
        Inside::Client,
        wrong_side,
    ),
    Attack::new(
        "before_greeting",
        "an announcement to a server that has not greeted",
        "control connections to servers of other protocols",
        Inside::Client,
        before_greeting,
    ),
    Attack::new(
        "encrypted",
        "bytes like an announcement behind AUTH TLS",
        "CVE-2015-5361",
        Inside::Client,
        encrypted,
    ),
];

/// The client says it, and the server agrees.
fn agree(duet: &mut Duet, line: &str) -> Result<()> {
    duet.client.write(line)?;
    pause();
    duet.server.write("200 PORT command successful\r\n")?;
    pause();
    Ok(())
}

fn third_party(stage: &Stage<'_>) -> Result<()> {
    let (lab, others) = (stage.lab, stage.others()?);
    let bystander = stage.trap_on(&others.bystander, others.bystanders, 0)?;
    // Under another host's address also the client's own port must stay closed.
    let own = stage.trap(0)?;
    let mut duet = stage.login()?;
    let named = [
        (others.bystanders, &bystander),
        (lab.setup.addresses.lan, &bystander),
        (others.strangers, &bystander),
        (lab.setup.outside_address(), &own),
        (lab.setup.addresses.lan, &own),
    ];
    for (address, trap) in named {
        for extended in [false, true] {
            let line = Announcement::command(address, trap.at().port(), extended);
            agree(&mut duet, &format!("{line}\r\n"))?;
            stage.tempt(trap, &duet.server, &format!("after {line}"))?;
        }
    }
    Ok(())
}

/// Inside hosts may open control connections only. The server does what it is told.
fn bounce(stage: &Stage<'_>) -> Result<()> {
    let (lab, others) = (stage.lab, stage.others()?);
    let mut duet = stage.login()?;
    let client = lab.setup.addresses.client;
    let from_server = |host, address, port| {
        let at = SocketAddr::new(address, port);
        Trap::set(lab, host, at, vec![Way::new(lab.inside(), at)])
    };
    for trap in [
        from_server(&others.stranger, others.strangers, 0)?,
        from_server(&others.bystander, others.bystanders, 0)?,
        from_server(&lab.client, client, 25)?,
    ] {
        let line = command(trap.at());
        agree(&mut duet, &line)?;
        stage.tempt(&trap, &duet.server, &format!("after {line:?}"))?;
    }
    // The one that the server may open; it would not be seen otherwise.
    let own = from_server(&lab.client, client, 0)?;
    agree(&mut duet, &command(own.at()))?;
    let way = Way::new(lab.inside(), own.at());
    if let Err(error) = way.open(std::time::Duration::from_secs(3)) {
        stage.is_hurt("active mode", &error);
    }
    Ok(())
}

fn low_port(stage: &Stage<'_>) -> Result<()> {
    for port in [22, 139, 1023] {
        let trap = stage.trap(port)?;
        let mut duet = stage.login()?;
        agree(&mut duet, &command(trap.at()))?;
        stage.tempt(&trap, &duet.server, "after its announcement")?;
    }
    Ok(())
}

fn denied_port(stage: &Stage<'_>) -> Result<()> {
    for port in [3306, 6000] {
        let trap = stage.trap(port)?;
        let mut duet = stage.login()?;
        agree(&mut duet, &command(trap.at()))?;
        stage.tempt(&trap, &duet.server, "after its announcement")?;
    }
    Ok(())
}

fn wrapped_number(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let (address, port) = (trap.at().ip(), trap.at().port());
    let family = if address.is_ipv4() { 1 } else { 2 };
    let beyond = 65536 + u32::from(port);
    let mut lines = vec![format!("EPRT |{family}|{address}|{beyond}|\r\n")];
    if address.is_ipv4() {
        let octets = address.to_string().replace('.', ",");
        let [high, low] = port.to_be_bytes().map(u32::from);
        lines.push(format!("PORT {octets},{},{low}\r\n", high + 256));
        // 256 more in the lower one may be added to the higher one.
        if high > 0 {
            lines.push(format!("PORT {octets},{},{}\r\n", high - 1, low + 256));
        }
        lines.push(format!("PORT {octets},{},\r\n", u32::from(port)));
    }
    for line in lines {
        let mut duet = stage.login()?;
        agree(&mut duet, &line)?;
        stage.tempt(&trap, &duet.server, &format!("after {line:?}"))?;
    }
    Ok(())
}

fn wrong_side(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    let line = command(trap.at());
    for text in [line.clone(), format!("200 {line}"), format!("\r\n{line}")] {
        duet.server.write(&text)?;
        pause();
        stage.tempt(&trap, &duet.client, &format!("after the server's {text:?}"))?;
    }
    Ok(())
}

fn before_greeting(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let mut duet = stage.connect()?;
    // The very first line is never looked at by some: have one in front.
    duet.client.write("NOOP\r\n")?;
    pause();
    duet.client.write(&command(trap.at()))?;
    pause();
    stage.tempt(&trap, &duet.server, "without a greeting")
}

fn encrypted(stage: &Stage<'_>) -> Result<()> {
    let trap = stage.trap(0)?;
    let mut duet = stage.login()?;
    duet.client_says("AUTH TLS\r\n")?;
    duet.server_says("234 go ahead\r\n")?;
    for text in ["\r\n", &command(trap.at())] {
        duet.client.write(text)?;
        pause();
    }
    stage.tempt(&trap, &duet.server, "in an encrypted connection")
}
