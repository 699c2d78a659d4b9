//! Attempts at a connection, several at once and from a chosen port.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockopt, setsockopt,
        socket, sockopt,
    },
};

use crate::{host::Host, wait::patient};

/// A way that an attempt takes.
#[derive(Clone, Debug)]
pub struct Way {
    /// Who tries.
    pub from: Host,
    /// Its own port, or 0 for any.
    pub port: u16,
    /// What it tries.
    pub to: SocketAddr,
}

impl Way {
    /// From any port.
    pub fn new(from: &Host, to: SocketAddr) -> Self {
        Self {
            from: from.clone(),
            port: 0,
            to,
        }
    }

    /// Connects; an error says that nobody answered in time, or that the other end
    /// does not want to.
    pub fn open(&self, limit: Duration) -> Result<TcpStream> {
        let attempt = Attempt::start(self)?;
        ensure!(
            attempt.is_decided(patient(limit))? && attempt.is_open()?,
            "no connection from the {} to {}",
            self.from.name(),
            self.to
        );
        let stream = TcpStream::from(attempt.0);
        stream.set_nonblocking(false)?;
        Ok(stream)
    }
}

/// A connection that is being made; given up when this value goes away.
#[derive(Debug)]
pub(super) struct Attempt(OwnedFd);

impl Attempt {
    pub(super) fn start(way: &Way) -> Result<Self> {
        way.from.enter(|| {
            let (family, any) = match way.to {
                SocketAddr::V4(_) => (AddressFamily::Inet, IpAddr::from([0_u8; 4])),
                SocketAddr::V6(_) => (AddressFamily::Inet6, IpAddr::from([0_u8; 16])),
            };
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let descriptor = socket(family, SockType::Stream, flags, None)?;
            if way.port != 0 {
                setsockopt(&descriptor, sockopt::ReuseAddr, &true)?;
                let own = SocketAddr::new(any, way.port);
                bind(std::os::fd::AsRawFd::as_raw_fd(&descriptor), &address(own))
                    .with_context(|| format!("port {}", way.port))?;
            }
            let raw = std::os::fd::AsRawFd::as_raw_fd(&descriptor);
            match connect(raw, &address(way.to)) {
                // What is refused at once is seen later, like everything else.
                Ok(()) | Err(Errno::EINPROGRESS | Errno::ECONNREFUSED) => Ok(Self(descriptor)),
                Err(error) => Err(error).with_context(|| {
                    format!("no attempt from the {} to {}", way.from.name(), way.to)
                }),
            }
        })
    }

    /// Whether there is an answer, after a wait of at most `limit`.
    pub(super) fn is_decided(&self, limit: Duration) -> Result<bool> {
        let mut polled = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        Ok(poll(&mut polled, limit)? > 0)
    }

    pub(super) fn is_open(&self) -> Result<bool> {
        Ok(getsockopt(&self.0, sockopt::SocketError)? == 0)
    }
}

fn address(address: SocketAddr) -> SockaddrStorage {
    SockaddrStorage::from(address)
}
