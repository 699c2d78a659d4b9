//! One session of a client's.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd as _,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio_rustls::rustls::ClientConfig;

use super::{
    content,
    dialogue::{Dialogue, prepare},
    kind::Kind,
};
use crate::announcement::Announcement;

/// What all sessions of a client have in common.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Where the server is.
    pub server: SocketAddr,
    /// Longest wait for anything that the other end has to do.
    pub patience: Duration,
    /// Directory of the files, with a slash behind it.
    pub directory: String,
    /// Whether files are stored, too; a server with real files would keep them.
    pub stores: bool,
    /// Pause between an announcement and the command that uses it.
    pub pause: Duration,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// A control connection, logged in.
pub struct Session<'a> {
    control: Dialogue,
    kind: Kind,
    manner: &'a Manner,
}

impl<'a> Session<'a> {
    /// Connects and logs in.
    pub fn open(manner: &'a Manner, kind: Kind) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&manner.server, manner.patience)
            .with_context(|| format!("no control connection to {}", manner.server))?;
        let mut control = Dialogue::new(stream, manner.patience)?;
        control.expect("220")?;
        if kind == Kind::Tls {
            let config = manner.tls.as_ref().context("no certificate is named")?;
            control.ask("AUTH TLS", "234")?;
            control.encrypt(config)?;
        }
        control.ask("USER anonymous", "331")?;
        control.ask("PASS lab@example.net", "230")?;
        control.ask("TYPE I", "200")?;
        Ok(Self {
            control,
            kind,
            manner,
        })
    }

    /// Fetches a file of this size.
    pub fn retrieve(&mut self, size: u64) -> Result<()> {
        let command = format!("RETR {}{size}", self.manner.directory);
        let mut data = self.data(&command)?;
        content::receive(&mut data, size)?;
        drop(data);
        self.control.expect("226").map(drop)
    }

    /// Stores one.
    pub fn store(&mut self, size: u64) -> Result<()> {
        let command = format!("STOR {}{size}", self.manner.directory);
        let mut data = self.data(&command)?;
        content::send(&mut data, size)?;
        drop(data);
        self.control.expect("226").map(drop)
    }

    /// Says goodbye.
    pub fn leave(mut self) -> Result<()> {
        self.control.ask("QUIT", "221").map(drop)
    }

    /// Has the command's data connection made.
    fn data(&mut self, command: &str) -> Result<TcpStream> {
        let data = if self.kind.is_active() {
            let local = self.control.local;
            let listener = TcpListener::bind((local.ip(), 0)).context("no data port")?;
            let port = listener.local_addr()?.port();
            let announcement = Announcement::command(local.ip(), port, self.kind == Kind::Eprt);
            self.control.ask(&announcement.to_string(), "200")?;
            sleep(self.manner.pause);
            self.control.say(command)?;
            self.accept(&listener)?
        } else {
            let (question, code) = match self.kind {
                Kind::Pasv => ("PASV", "227"),
                _ => ("EPSV", "229"),
            };
            let reply = self.control.ask(question, code)?;
            let announcement: Announcement = reply.parse()?;
            let address = announcement.address.unwrap_or(self.manner.server.ip());
            let to = SocketAddr::new(address, announcement.port);
            sleep(self.manner.pause);
            self.control.say(command)?;
            let data = TcpStream::connect_timeout(&to, self.manner.patience)
                .with_context(|| format!("no data connection to {to}"))?;
            self.control.expect("150")?;
            data
        };
        prepare(&data, self.manner.patience)?;
        Ok(data)
    }

    /// The data connection, and the server's word that it is there, in any order; or its
    /// word that there is none.
    fn accept(&mut self, listener: &TcpListener) -> Result<TcpStream> {
        let begin = Instant::now();
        listener.set_nonblocking(true)?;
        let (mut stream, mut is_said) = (None, false);
        loop {
            let left = self.manner.patience.saturating_sub(begin.elapsed());
            ensure!(!left.is_zero(), "no data connection came");
            let mut wanted = Vec::new();
            if stream.is_none() {
                wanted.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
            }
            if !is_said {
                // Behind its word, more may have come with it.
                wanted.push(PollFd::new(self.control.descriptor()?, PollFlags::POLLIN));
            }
            let turn = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            poll(&mut wanted, turn).context("poll")?;
            let has_word = !is_said && has_come(wanted.last());
            let is_there = stream.is_none() && has_come(wanted.first());
            if is_there {
                let (new, _) = listener.accept().context("no data connection")?;
                new.set_nonblocking(false)?;
                stream = Some(new);
            }
            if has_word {
                self.control.expect("150")?;
                is_said = true;
            }
            if is_said && let Some(stream) = stream.take() {
                return Ok(stream);
            }
        }
    }
}

fn has_come(wanted: Option<&PollFd<'_>>) -> bool {
    wanted.and_then(PollFd::any) == Some(true)
}
