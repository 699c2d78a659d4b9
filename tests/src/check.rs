//! What a scenario judges a client's work by.

use anyhow::{Context as _, Result, ensure};

use crate::{
    announcement::Announcement,
    client::{ClientKind, Mode, Transcript},
    lab::Lab,
    server::Server,
    transfers::Transfers,
};

/// A client's announcement and what became of it on the way to the server.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite {
    /// As the client sent it.
    pub sent: Announcement,
    /// As the server received it.
    pub received: Announcement,
}

/// Does `transfers` with a client and a server over one control connection. An
/// error unless the client succeeded, everything has arrived, and in active
/// mode every transfer was announced and reached the server rewritten.
pub fn exchange(
    lab: &Lab,
    server: &Server,
    client: ClientKind,
    mode: Mode,
    transfers: &Transfers,
) -> Result<Vec<Rewrite>> {
    let known = server.announcements()?.len();
    let what = format!("{} with {}", client.name(), server.kind.name());
    let transcript = client.run(&lab.client, server.address, mode, &transfers.steps)?;
    let transcript = transcript.success(&what)?;
    transfers.arrived().context(what.clone())?;
    let rewrites = rewrites(lab, server, &transcript, known).context(what.clone())?;
    let expected = match mode {
        Mode::Active => transfers.len(),
        Mode::Passive => 0,
    };
    ensure!(
        rewrites.len() == expected,
        "{what}: {expected} expected, not {rewrites:?}"
    );
    Ok(rewrites)
}

/// Pairs what the client announced with what the server received after the
/// first `known` announcements. An error unless there are as many, the
/// client's name the client, and the server's name the gateway.
fn rewrites(
    lab: &Lab,
    server: &Server,
    transcript: &Transcript,
    known: usize,
) -> Result<Vec<Rewrite>> {
    let addresses = lab.setup.addresses;
    let sent = transcript.announcements()?;
    let received = server.announcements()?.split_off(known);
    ensure!(
        sent.len() == received.len(),
        "the client announced {sent:?}, the server received {received:?}"
    );
    let pairs = sent.into_iter().zip(received);
    pairs
        .map(|(sent, received)| {
            ensure!(sent.address == addresses.client, "the client sent {sent}");
            ensure!(
                received.address == addresses.wan,
                "{sent} reached the server as {received}"
            );
            ensure!(
                received.port >= 1024,
                "{sent} reached the server as {received}"
            );
            Ok(Rewrite { sent, received })
        })
        .collect()
}
