//! The steps of the demonstration.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    agent::{Agent, RunningAgent},
    check::exchange,
    client::{ClientKind, Mode, Step},
    control::Control,
    lab::Lab,
    payload,
    server::{DOWNLOADS, Server},
    transfers::Transfers,
};

use crate::report::{Report, command, note, quote, rewrites};

const MIB: usize = 1 << 20;

/// The client program of every step in which a program is the client.
const CLIENT: ClientKind = ClientKind::Curl;

/// Who takes part.
#[derive(Debug)]
pub(crate) struct Demonstration<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) server: &'a Server,
    pub(crate) agent: &'a Agent,
}

impl Demonstration<'_> {
    /// Does every step, the later ones only with an agent; that, if it runs.
    pub(crate) fn run(&self, report: &mut Report) -> Option<RunningAgent> {
        report.step("Active mode without a helper fails", || self.unhelped());
        report.step("Passive mode without a helper works", || self.passive());
        let running = report.step("ftp-helper starts on the gateway", || self.start())?;
        report.step("Active mode works: list, download, upload", || {
            self.active()
        });
        report.step("An awaited data connection is shown", || self.expectation());
        report.step("Passive mode still works", || self.passive());
        Some(running)
    }

    /// The server has to refuse the inside address.
    fn unhelped(&self) -> Result<()> {
        let local = self.lab.client_files().join("refused");
        let step = Step::List {
            remote: DOWNLOADS.to_owned(),
            local,
        };
        let transcript = CLIENT.run(
            &self.lab.client,
            self.server.endpoint(),
            Mode::Active,
            &[step],
        )?;
        let sent = transcript.announcements()?;
        let received = self.server.announcements()?;
        ensure!(
            !sent.is_empty() && sent == received,
            "sent {sent:?}, received {received:?}"
        );
        let refusal = transcript
            .received
            .iter()
            .find(|line| line.starts_with('5'))
            .context("the server did not refuse the announcement")?;
        quote("client sent", &sent[0].to_string());
        quote("server received", &received[0].to_string());
        quote("server answered", refusal);
        ensure!(
            !transcript.output.status.success(),
            "the transfer worked all the same"
        );
        Ok(())
    }

    fn start(&self) -> Result<RunningAgent> {
        let running = self.agent.start()?;
        command("ftp-helper run -i wan0", &running.log()?);
        Ok(running)
    }

    fn active(&self) -> Result<()> {
        let transfers = self.transfers()?;
        let done = exchange(self.lab, self.server, CLIENT, Mode::Active, &transfers)?;
        let names = [
            "LIST",
            "download, 1 MiB, SHA-256 equal",
            "upload, 1 MiB, SHA-256 equal",
        ];
        rewrites(&names, &done);
        Ok(())
    }

    fn passive(&self) -> Result<()> {
        exchange(
            self.lab,
            self.server,
            CLIENT,
            Mode::Passive,
            &self.transfers()?,
        )?;
        note("list, download and upload of 1 MiB, SHA-256 equal");
        Ok(())
    }

    fn transfers(&self) -> Result<Transfers> {
        let mut transfers = Transfers::new();
        transfers.list(self.lab, self.server, "listed")?;
        transfers.download(self.lab, self.server, MIB)?;
        transfers.upload(self.lab, self.server, MIB)?;
        Ok(transfers)
    }

    /// A client by hand, which announces and looks around before it asks.
    fn expectation(&self) -> Result<()> {
        let remote = format!("{DOWNLOADS}/awaited");
        let digest = payload::write(&self.server.file(&remote), MIB, 1)?;
        let mut control = Control::login(&self.lab.client, self.server.endpoint())?;
        let listener = control.listen()?;
        control
            .command(&listener.announcement.to_string())?
            .expect_code(200)?;

        let table = self.agent.table(&["expect", "list"])?;
        command("ftp-helper expect list", &table);
        let inside = listener.announcement.endpoint();
        let inside = inside.context("PORT names an address")?.to_string();
        ensure!(table.contains(&inside), "the list has no {inside}");

        let data = control.ask(&listener, &remote)?;
        let bytes = control.receive(data)?;
        ensure!(
            payload::digest_of(&bytes) == digest,
            "the file arrived changed"
        );
        let rest = self.agent.json(&["expect", "list"])?;
        ensure!(
            rest.as_array().is_some_and(Vec::is_empty),
            "still awaited: {rest}"
        );
        fs::remove_file(self.server.file(&remote))?;
        Ok(())
    }
}
