//! A control connection between a client that is spoken packet by packet and a
//! server that the scenario speaks through a socket.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use anyhow::Result;

use super::RawTcp;
use crate::{
    duet::{End, accept, listen},
    lab::Lab,
};

/// The connection.
#[derive(Debug)]
pub struct RawDuet {
    /// The client's end.
    pub client: RawTcp,
    /// The server's end.
    pub server: End,
}

impl RawDuet {
    /// Connects from `port`; nobody waits longer than `patience` for anything. See
    /// [`RawTcp::connect`] for `meddle`.
    pub fn connect(
        lab: &Lab,
        port: u16,
        patience: Duration,
        meddle: impl FnOnce(&RawTcp) -> Result<()>,
    ) -> Result<Self> {
        let setup = &lab.setup;
        let at = SocketAddr::new(setup.addresses.server, setup.control_port.served);
        let listener = listen(&lab.server, at)?;
        let local = SocketAddr::new(setup.addresses.client, port);
        let client = RawTcp::connect(&lab.client, local, setup.dialled(), patience, meddle)?;
        let server = End::new(&lab.server, accept(&listener, patience)?, patience)?;
        Ok(Self { client, server })
    }

    /// The same, and logs in.
    pub fn login(lab: &Lab, port: u16, patience: Duration) -> Result<Self> {
        let mut duet = Self::connect(lab, port, patience, |_| Ok(()))?;
        duet.server_says("220 ready\r\n")?;
        duet.client_says("USER anonymous\r\n")?;
        duet.server_says("331 password\r\n")?;
        duet.client_says("PASS lab@example.net\r\n")?;
        duet.server_says("230 welcome\r\n")?;
        Ok(duet)
    }

    /// Listens for a data connection on `port` of the client's host, on any with 0.
    pub fn listen(&self, lab: &Lab, port: u16) -> Result<TcpListener> {
        listen(
            &lab.client,
            SocketAddr::new(lab.setup.addresses.client, port),
        )
    }

    /// The client sends `text` in one segment, and exactly that has to arrive.
    pub fn client_says(&mut self, text: &str) -> Result<()> {
        self.client.send(text.as_bytes())?;
        self.server.expect(text)
    }

    /// The server sends `text`, and exactly that has to arrive.
    pub fn server_says(&mut self, text: &str) -> Result<()> {
        self.server.write(text)?;
        self.client.expect(text)
    }
}
