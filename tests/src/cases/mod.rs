//! Dialogues that a helper has to get right, in the words of both ends.
//!
//! The same list is run with ftp-helper and with the kernel's own helper, so
//! nothing here knows who helps.

mod commands;
mod hostile;
mod replies;

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    announcement::Announcement,
    counters::TcpCounters,
    duet::{Duet, Manner, is_closed},
    host::Host,
    lab::Lab,
    setup::{Family, Inside, Setup, Translation},
};

/// A dialogue.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it tries, as a table of results says it.
    pub name: &'static str,
    /// Who is inside.
    pub inside: Inside,
    /// The families that it makes sense with.
    pub families: &'static [Family],
    /// Whether segments have to be sent again for it, even if none gets lost:
    /// SYNs that are not let in, or more than a helper can follow at once.
    pub repeats: bool,
    /// An error that says what went wrong.
    run: fn(&Stage<'_>) -> Result<()>,
}

const V4: &[Family] = &[Family::V4];
const BOTH: &[Family] = &Family::ALL;

impl Case {
    const fn client(
        name: &'static str,
        families: &'static [Family],
        run: fn(&Stage<'_>) -> Result<()>,
    ) -> Self {
        Self {
            name,
            inside: Inside::Client,
            families,
            repeats: false,
            run,
        }
    }

    const fn server(
        name: &'static str,
        families: &'static [Family],
        run: fn(&Stage<'_>) -> Result<()>,
    ) -> Self {
        Self {
            name,
            inside: Inside::Server,
            families,
            repeats: false,
            run,
        }
    }

    const fn repeating(self) -> Self {
        Self {
            repeats: true,
            ..self
        }
    }

    /// Whether it tries what has to be refused.
    pub fn is_hostile(&self) -> bool {
        hostile::CASES.iter().any(|case| case.name == self.name)
    }

    /// Runs it in a lab of the right kind; nobody waits longer than `patience`.
    pub fn run(&self, lab: &Lab, patience: Duration) -> Result<()> {
        let stage = Stage { lab, patience };
        (self.run)(&stage).with_context(|| self.name)
    }

    /// Runs it where somebody helps; what is wrong, if anything: it does not end as it
    /// should, or a host waits for a time-out each time. A machine that stands still for a
    /// moment is enough for one.
    pub fn run_in_time(&self, lab: &Lab) -> Result<Option<String>> {
        const TRIES: usize = 3;
        let mut late = None;
        for _ in 0..TRIES {
            let before = (TcpCounters::of(&lab.client)?, TcpCounters::of(&lab.server)?);
            if let Err(error) = self.run(lab, Duration::from_secs(3)) {
                return Ok(Some(format!("{error:#}")));
            }
            let client = TcpCounters::of(&lab.client)?.since(before.0);
            let server = TcpCounters::of(&lab.server)?.since(before.1);
            if self.repeats || client.timeouts + server.timeouts == 0 {
                return Ok(None);
            }
            late = Some(format!(
                "{}: client {client:?}, server {server:?}",
                self.name
            ));
        }
        Ok(late)
    }
}

/// Every case.
pub fn all() -> impl Iterator<Item = &'static Case> {
    commands::CASES
        .iter()
        .chain(replies::CASES)
        .chain(hostile::CASES)
}

/// The cases of a kind of lab.
pub fn of(inside: Inside, family: Family) -> impl Iterator<Item = &'static Case> {
    all().filter(move |case| case.inside == inside && case.families.contains(&family))
}

/// The lab that the cases of a kind run in.
pub fn setup(inside: Inside, family: Family) -> Setup {
    Setup::new(inside, family, Translation::Nat)
}

/// Where a case runs.
struct Stage<'a> {
    lab: &'a Lab,
    patience: Duration,
}

impl Stage<'_> {
    fn family(&self) -> Family {
        self.lab.setup.family()
    }

    fn manner(&self) -> Manner {
        Manner {
            patience: self.patience,
            ..Manner::default()
        }
    }

    fn login(&self) -> Result<Duet> {
        Duet::login(self.lab, self.manner())
    }

    /// The address by which the outside knows the inside host.
    fn outside(&self) -> IpAddr {
        self.lab.setup.known_as()
    }

    fn outside_host(&self) -> &Host {
        self.lab.outside()
    }

    /// Nothing is admitted to the outside port of that number, nor to the inside
    /// host itself.
    fn closed(&self, listener: &TcpListener) -> Result<()> {
        let to = SocketAddr::new(self.outside(), listener.local_addr()?.port());
        is_closed(self.outside_host(), to, listener)
    }

    /// Reads a command at the server: it has to name the gateway.
    fn received(&self, duet: &mut Duet) -> Result<SocketAddr> {
        let line = duet.server.line()?;
        self.named(&line)
    }

    /// The endpoint in a line of the inside host's, as it arrived outside.
    fn named(&self, line: &str) -> Result<SocketAddr> {
        let text = canonical(line.trim_end_matches(['\r', '\n']));
        let announcement: Announcement = text.parse()?;
        let address = announcement.address.unwrap_or(self.outside());
        ensure!(address == self.outside(), "the other end received {text:?}");
        Ok(SocketAddr::new(address, announcement.port))
    }
}

/// The server approves an announcement, and its data connection comes.
fn transfer(duet: &mut Duet, announced: SocketAddr, listener: &TcpListener) -> Result<()> {
    duet.server_says("200 PORT command successful\r\n")?;
    duet.client_says("RETR file\r\n")?;
    duet.active_data(announced, listener)?;
    duet.server_says("150 here it comes\r\n")?;
    duet.server_says("226 done\r\n")
}

/// The line with an IPv6 address of an `EPRT` in its shortest form: any form
/// means the same.
fn canonical(line: &str) -> String {
    let behind_verb = line.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    let Some(delimiter) = behind_verb.trim_start().chars().next() else {
        return line.to_owned();
    };
    let mut parts: Vec<String> = line.split(delimiter).map(str::to_owned).collect();
    if let Some(part) = parts.get_mut(2)
        && let Ok(address) = part.parse::<IpAddr>()
    {
        *part = address.to_string();
    }
    parts.join(&delimiter.to_string())
}

/// The client's announcement of `listener`, without a line end.
fn command(listener: &TcpListener, extended: bool) -> Result<String> {
    let at = listener.local_addr()?;
    Ok(Announcement::command(at.ip(), at.port(), extended).to_string())
}

/// The six numbers of a listener.
fn numbers(listener: &TcpListener) -> Result<String> {
    let at = listener.local_addr()?;
    let [high, low] = at.port().to_be_bytes();
    Ok(format!(
        "{},{high},{low}",
        at.ip().to_string().replace('.', ",")
    ))
}
