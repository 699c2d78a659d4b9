//! Where an attack is made, and what came of it.

use std::{
    cell::RefCell,
    io::{ErrorKind, Read as _},
    net::{IpAddr, SocketAddr, TcpListener},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    dial::Way,
    others::Others,
    trap::{Caught, Trap},
};
use crate::{
    announcement::{Announcement, Form},
    duet::{Duet, End, Manner},
    host::Host,
    lab::Lab,
    raw::{RawDuet, RawTcp},
    setup::{Family, Inside},
};

/// Longest wait for what should come.
const PATIENCE: Duration = Duration::from_secs(3);

/// After so long, a segment that was sent has been dealt with.
const PAUSE: Duration = Duration::from_millis(50);

/// A lab with an attack going on.
pub struct Stage<'a> {
    /// The network.
    pub lab: &'a Lab,
    others: Option<Others>,
    found: RefCell<Found>,
}

/// What an attack has achieved.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What arrived where it must not.
    pub holes: Vec<String>,
    /// What an honest user got no more.
    pub hurt: Vec<String>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(lab: &'a Lab, others: Option<Others>) -> Self {
        Self {
            lab,
            others,
            found: RefCell::default(),
        }
    }

    pub(super) fn found(self) -> Found {
        self.found.into_inner()
    }

    /// The hosts that take no part.
    pub(super) fn others(&self) -> Result<&Others> {
        self.others.as_ref().context("this attack has no others")
    }

    fn manner() -> Manner {
        Manner {
            patience: PATIENCE,
            ..Manner::default()
        }
    }

    /// A control connection, logged in.
    pub(super) fn login(&self) -> Result<Duet> {
        Duet::login(self.lab, Self::manner())
    }

    /// A control connection of this client's.
    pub(super) fn login_of(lab: &Lab) -> Result<Duet> {
        Duet::login(lab, Self::manner())
    }

    /// A control connection on which nothing was said yet.
    pub(super) fn connect(&self) -> Result<Duet> {
        Duet::connect(self.lab, Self::manner())
    }

    /// The same with small segments.
    pub(super) fn connect_small(&self, segment: u16) -> Result<Duet> {
        let manner = Manner {
            segment: Some(segment),
            ..Self::manner()
        };
        Duet::connect(self.lab, manner)
    }

    /// A control connection whose client is spoken packet by packet, from `port`.
    pub(super) fn login_raw(&self, port: u16) -> Result<RawDuet> {
        RawDuet::login(self.lab, port, PATIENCE)
    }

    /// The same before anything was said; `meddle` comes between the server's answer and
    /// the client's acknowledgment of it.
    pub(super) fn connect_raw(
        &self,
        port: u16,
        meddle: impl FnOnce(&RawTcp) -> Result<()>,
    ) -> Result<RawDuet> {
        RawDuet::connect(self.lab, port, PATIENCE, meddle)
    }

    /// A trap on a port of the inside host, 0 for any, which hosts outside try to
    /// reach under each address that leads inside.
    pub(super) fn trap(&self, port: u16) -> Result<Trap> {
        let setup = &self.lab.setup;
        self.trap_on(self.lab.inside(), setup.inside_address(), port)
    }

    /// The same on another inside host.
    pub(super) fn trap_on(&self, victim: &Host, address: IpAddr, port: u16) -> Result<Trap> {
        let outside = [
            Some(self.lab.outside()),
            self.others.as_ref().map(|it| &it.stranger),
        ];
        let ways = outside.into_iter().flatten().flat_map(|host| {
            [self.lab.setup.known_as(), address].map(|to| Way::new(host, SocketAddr::new(to, port)))
        });
        Trap::set(
            self.lab,
            victim,
            SocketAddr::new(address, port),
            ways.collect(),
        )
    }

    /// Tries whether the trap can be reached now: by its ways, and where this end of the
    /// control connection was told that it is.
    pub(super) fn tempt(&self, trap: &Trap, told: &End, when: &str) -> Result<()> {
        let lab = self.lab;
        let hosts = [
            Some(lab.outside()),
            self.others.as_ref().map(|it| &it.stranger),
        ];
        let mut ways = trap.ways().to_vec();
        for text in heard(told)?.split_inclusive('\n') {
            let Some(to) = announced(text).filter(|it| it.ip() == lab.setup.known_as()) else {
                continue;
            };
            ways.extend(hosts.into_iter().flatten().map(|host| Way::new(host, to)));
        }
        self.tempt_by(trap, &ways, when)
    }

    /// The same by its own ways only.
    pub(super) fn tempt_only(&self, trap: &Trap, when: &str) -> Result<()> {
        self.tempt_by(trap, trap.ways(), when)
    }

    /// The same by other ways.
    pub(super) fn tempt_by(&self, trap: &Trap, ways: &[Way], when: &str) -> Result<()> {
        let caught = trap.spring_by(ways)?;
        self.judge(trap, caught, when);
        Ok(())
    }

    fn judge(&self, trap: &Trap, caught: Caught, when: &str) {
        if caught != Caught::NOTHING {
            self.is_hole(&format!("{}: {caught:?} {when}", trap.at()));
        }
    }

    /// Notes what arrived where it must not.
    pub(super) fn is_hole(&self, what: &str) {
        self.found.borrow_mut().holes.push(what.to_owned());
    }

    /// Notes what an honest user gets no more.
    pub(super) fn is_hurt(&self, what: &str, error: &anyhow::Error) {
        let text = format!("{what}: {error:#}");
        self.found.borrow_mut().hurt.push(text);
    }

    /// A transfer as it should be: the inside host announces a listener, and bytes go
    /// both ways over the data connection.
    pub(super) fn transfer(lab: &Lab) -> Result<()> {
        let mut duet = Self::login_of(lab)?;
        match lab.setup.inside {
            Inside::Client => {
                let listener = duet.client.listen()?;
                let announced = Self::announce(lab, &mut duet, &listener)?;
                duet.server_says("200 PORT command successful\r\n")?;
                duet.active_data(announced, &listener)
            }
            Inside::Server => {
                let listener = duet.server.listen()?;
                let announced = Self::passive(lab, &mut duet, &listener)?;
                duet.passive_data(announced, &listener)
            }
        }
    }

    /// The client inside announces `listener`; returns what the server is told.
    pub(super) fn announce(
        lab: &Lab,
        duet: &mut Duet,
        listener: &TcpListener,
    ) -> Result<SocketAddr> {
        duet.client.write(&command(listener.local_addr()?))?;
        Self::named(lab, &duet.server.line()?)
    }

    /// The client outside asks, and the server inside answers with `listener`;
    /// returns what the client is told.
    pub(super) fn passive(
        lab: &Lab,
        duet: &mut Duet,
        listener: &TcpListener,
    ) -> Result<SocketAddr> {
        duet.client_says(question(lab))?;
        duet.server.write(&reply(listener.local_addr()?))?;
        Self::named(lab, &duet.client.line()?)
    }

    /// The endpoint in a line as it arrived outside: one of the gateway's.
    pub(super) fn named(lab: &Lab, line: &str) -> Result<SocketAddr> {
        let known_as = lab.setup.known_as();
        let (address, port) = endpoint(line)?;
        let address = address.unwrap_or(known_as);
        ensure!(address == known_as, "the other end was told {line:?}");
        Ok(SocketAddr::new(address, port))
    }
}

/// The endpoint in a line. Any spelling of an IPv6 address means the same.
fn endpoint(line: &str) -> Result<(Option<IpAddr>, u16)> {
    let line = line.trim_end();
    if let Some(text) = line.strip_prefix("EPRT |2|") {
        let mut parts = text.split('|');
        let address = parts.next().context("no address")?.parse()?;
        let port = parts.next().context("no port")?.parse()?;
        return Ok((Some(address), port));
    }
    let announcement: Announcement = line.parse()?;
    Ok((announcement.address, announcement.port))
}

/// What has arrived at this end, and was not read yet.
fn heard(end: &End) -> Result<String> {
    let mut stream = end.stream();
    let mut text = Vec::new();
    stream.set_nonblocking(true)?;
    // It ends with an error: nothing more is there.
    let end = stream.read_to_end(&mut text);
    stream.set_nonblocking(false)?;
    match end {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error).context("what arrived"),
        _ => Ok(String::from_utf8_lossy(&text).into_owned()),
    }
}

/// The endpoint that a line announces, whatever stands in front of it. Without an
/// address in it, there is none to go to but those that are tried anyway.
fn announced(line: &str) -> Option<SocketAddr> {
    ["PORT ", "EPRT ", "227 "]
        .iter()
        .filter_map(|word| endpoint(line.get(line.find(word)?..)?).ok())
        .find_map(|(address, port)| Some(SocketAddr::new(address?, port)))
}

/// Lets what was sent take effect.
pub(super) fn pause() {
    sleep(PAUSE);
}

/// The client's announcement of an endpoint, as a line.
pub(super) fn command(at: SocketAddr) -> String {
    format!("{}\r\n", Announcement::command(at.ip(), at.port(), false))
}

/// What a server says of its listener, as a line.
pub(super) fn reply(at: SocketAddr) -> String {
    let (form, address) = match at {
        SocketAddr::V4(_) => (Form::Reply227, Some(at.ip())),
        SocketAddr::V6(_) => (Form::Reply229, None),
    };
    let reply = Announcement {
        form,
        address,
        port: at.port(),
    };
    format!("{reply}\r\n")
}

/// What a client asks for that.
pub(super) fn question(lab: &Lab) -> &'static str {
    match lab.setup.family() {
        Family::V4 => "PASV\r\n",
        Family::V6 => "EPSV\r\n",
    }
}
