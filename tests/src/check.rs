//! What a scenario judges a client's work by.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};

use crate::{
    announcement::{Announcement, Form, announcements},
    client::{ClientKind, Mode, Transcript},
    lab::Lab,
    server::Server,
    setup::{Family, Inside},
    transfers::Transfers,
};

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
    let transcript = client.run(&lab.client, server.endpoint(), mode, &transfers.steps)?;
    let transcript = transcript.success(&what)?;
    transfers.arrived().context(what.clone())?;
    let rewrites = rewrites(lab, server, &transcript, mode, &known).context(what.clone())?;
    ensure!(
        rewrites.len() == transfers.len(),
        "{what}: {} expected, not {rewrites:?}",
        transfers.len()
    );
    Ok(rewrites)
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
