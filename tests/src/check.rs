//! What a scenario judges a client's work by.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{
    agent::Agent,
    announcement::{Announcement, Form, announcements},
    client::{ClientKind, Mode, Transcript},
    conntrack,
    firewall::Counts,
    lab::Lab,
    server::{Server, ServerKind},
    setup::{Family, Inside},
    transfers::Transfers,
};

/// How long a client waits for what can not come.
const HOPELESS: Duration = Duration::from_secs(2);

/// How long a client waits on a wire that loses packets. The time that a handshake
/// took is TCP's first estimate of a round trip (RFC 6298 section 2.2): after a few
/// losses there, a reply that is lost three times comes after a minute.
const UNHURRIED: Duration = Duration::from_secs(180);

/// An announcement and what became of it on the way to the other end.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite {
    /// As its sender wrote it.
    pub sent: Announcement,
    /// As the other end received it.
    pub received: Announcement,
}

/// Does `transfers` with a client and a server over one control connection. An
/// error unless the client succeeded, everything has arrived, and every transfer
/// was announced in the line that the mode stands for and reached the other end
/// with the address that is right there.
pub fn exchange(
    lab: &Lab,
    server: &Server,
    client: ClientKind,
    mode: Mode,
    transfers: &Transfers,
) -> Result<Vec<Rewrite>> {
    let what = format!("{} with {}, {mode:?}", client.name(), server.kind.name());
    let known = Known {
        commands: server.announcements()?.len(),
        replies: announcements(&server.replies()?)?.len(),
    };
    let (host, endpoint, steps) = (&lab.client, server.endpoint(), &transfers.steps);
    let transcript = if lab.setup.loses_packets() {
        client.run_for(host, endpoint, mode, steps, UNHURRIED)
    } else {
        client.run(host, endpoint, mode, steps)
    };
    let transcript = transcript?.success(&what)?;
    transfers.arrived().context(what.clone())?;
    let rewrites = rewrites(lab, server, &transcript, mode, &known).context(what.clone())?;
    ensure!(
        rewrites.len() == transfers.len(),
        "{what}: {} expected, not {rewrites:?}",
        transfers.len()
    );
    Ok(rewrites)
}

/// Both servers, each with another client.
pub const PAIRS: [(ServerKind, ClientKind); 2] = [
    (ServerKind::Vsftpd, ClientKind::Curl),
    (ServerKind::Pyftpdlib, ClientKind::Lftp),
];

/// The modes of `client`, each once: with IPv6 there is no other form than the
/// extended one.
pub fn modes(family: Family, client: ClientKind) -> impl Iterator<Item = Mode> {
    Mode::ALL
        .into_iter()
        .filter(move |mode| client.knows(*mode))
        .filter(move |mode| !mode.is_extended() || family == Family::V4)
}

/// The mode in which the inside end announces: the gateway's rules drop the data connection
/// of that one unless it is helped.
pub fn helped_mode(inside: Inside) -> Mode {
    match inside {
        Inside::Client => Mode::Active,
        Inside::Server => Mode::Passive,
    }
}

/// A listing, a download and an upload; the data connections have gone through the
/// host with the addresses that belong to them.
pub fn transfer(
    lab: &Lab,
    server: &Server,
    client: ClientKind,
    mode: Mode,
) -> Result<Vec<Rewrite>> {
    let mut transfers = Transfers::new();
    transfers.list(lab, server, "listed")?;
    transfers.download(lab, server, 200_000)?;
    transfers.upload(lab, server, 200_000)?;
    let rewrites = exchange(lab, server, client, mode, &transfers)?;
    conntrack::finished(lab, mode, &rewrites)?;
    Ok(rewrites)
}

/// Transfers in each of these modes, with everything that tells how they went: the
/// lines that arrived, the bytes, the connection table, the agent's count, and the
/// counters of a firewall that must have refused nothing.
pub fn passes_firewall(
    lab: &Lab,
    agent: &Agent,
    modes: impl Fn(Family, ClientKind) -> Vec<Mode>,
) -> Result<()> {
    let family = lab.setup.family();
    let (kind, client) = match family {
        Family::V4 => (ServerKind::Vsftpd, ClientKind::Curl),
        Family::V6 => (ServerKind::Pyftpdlib, ClientKind::Lftp),
    };
    let server = Server::start(lab, kind)?;
    let mut done = 0;
    for mode in modes(family, client) {
        done += transfer(lab, &server, client, mode)?.len() as u64;
    }
    ensure!(done > 0, "no mode was tried");
    let matched = agent.count("expectation_matched")?;
    ensure!(matched == done, "{matched} of {done} were matched");
    let counts = Counts::of(lab)?;
    ensure!(counts == Counts::NONE, "the firewall met {counts:?}");
    Ok(())
}

/// An error unless a download in this mode comes to nothing.
pub fn nothing_arrives(lab: &Lab, server: &Server, mode: Mode) -> Result<()> {
    let mut transfers = Transfers::new();
    transfers.download(lab, server, 1024)?;
    let transcript = ClientKind::Curl.run_for(
        &lab.client,
        server.endpoint(),
        mode,
        &transfers.steps,
        HOPELESS,
    )?;
    let failed = !transcript.output.status.success() && transfers.arrived().is_err();
    ensure!(failed, "{mode:?} was not to work: {transcript:?}");
    Ok(())
}

/// Whether a client in active mode, which needs help, can download a file.
pub fn is_helped(lab: &Lab, server: &Server) -> Result<bool> {
    let mut transfers = Transfers::new();
    transfers.download(lab, server, 10_000)?;
    Ok(exchange(lab, server, ClientKind::Curl, Mode::Active, &transfers).is_ok())
}

/// What the server had in its log before.
struct Known {
    commands: usize,
    replies: usize,
}

/// Pairs what the announcing end sent with what the other one received. An
/// error unless there are as many, in the expected form, and with the expected
/// addresses.
fn rewrites(
    lab: &Lab,
    server: &Server,
    transcript: &Transcript,
    mode: Mode,
    known: &Known,
) -> Result<Vec<Rewrite>> {
    let (sent, received) = if mode.is_active() {
        let received = server.announcements()?.split_off(known.commands);
        (announcements(&transcript.sent)?, received)
    } else {
        let sent = announcements(&server.replies()?)?.split_off(known.replies);
        (sent, announcements(&transcript.received)?)
    };
    ensure!(
        sent.len() == received.len(),
        "sent {sent:?}, received {received:?}"
    );
    let form = form(lab.setup.family(), mode);
    let (own, seen) = addresses(lab, mode);
    let pairs = sent.into_iter().zip(received);
    pairs
        .map(|(sent, received)| {
            ensure!(
                sent.form == form && received.form == form,
                "{sent}, received as {received}, is not {form:?}"
            );
            ensure!(sent.address.is_none_or(|it| it == own), "sent was {sent}");
            ensure!(
                received.address.is_none_or(|it| it == seen),
                "{sent} was received as {received}"
            );
            ensure!(received.port >= 1024, "{sent} was received as {received}");
            Ok(Rewrite { sent, received })
        })
        .collect()
}

/// What announces in `mode`.
fn form(family: Family, mode: Mode) -> Form {
    match (mode, family) {
        (Mode::Active, Family::V4) => Form::Port,
        (Mode::Passive, Family::V4) => Form::Reply227,
        (Mode::Active | Mode::ExtendedActive, _) => Form::Eprt,
        (Mode::Passive | Mode::ExtendedPassive, _) => Form::Reply229,
    }
}

/// The address of the end that announces in `mode`: its own, and what the other
/// end has to know it by.
fn addresses(lab: &Lab, mode: Mode) -> (IpAddr, IpAddr) {
    let setup = &lab.setup;
    let announcer_inside = mode.is_active() == (setup.inside == Inside::Client);
    if announcer_inside {
        (setup.inside_address(), setup.known_as())
    } else {
        (setup.outside_address(), setup.outside_address())
    }
}
