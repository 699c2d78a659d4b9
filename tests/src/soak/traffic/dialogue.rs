//! Lines of a control connection.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

use super::tls::{self, ClientStream, ServerStream};

/// What a line goes over.
enum Wire {
    Plain(TcpStream),
    Client(Box<ClientStream>),
    Server(Box<ServerStream>),
    /// For the moment in which one becomes another.
    None,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Client(stream) => stream.read(buffer),
            Self::Server(stream) => stream.read(buffer),
            Self::None => Ok(0),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Client(stream) => stream.write(bytes),
            Self::Server(stream) => stream.write(bytes),
            Self::None => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Client(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
            Self::None => Ok(()),
        }
    }
}

/// One end of a control connection.
pub(super) struct Dialogue {
    wire: BufReader<Wire>,
    /// This end.
    pub(super) local: SocketAddr,
}

/// No call on the socket takes longer than `patience`.
pub(super) fn prepare(stream: &TcpStream, patience: Duration) -> Result<()> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(())
}

impl Dialogue {
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Result<Self> {
        prepare(&stream, patience)?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        Ok(Self {
            wire: BufReader::new(Wire::Plain(stream)),
            local,
        })
    }

    /// Encrypts from here on, as the client.
    pub(super) fn encrypt(&mut self, config: &Arc<ClientConfig>) -> Result<()> {
        let stream = self.plain()?;
        *self.wire.get_mut() = Wire::Client(Box::new(tls::connect(stream, config)?));
        Ok(())
    }

    /// The same as the server.
    pub(super) fn encrypt_as_server(&mut self, config: &Arc<ServerConfig>) -> Result<()> {
        let stream = self.plain()?;
        *self.wire.get_mut() = Wire::Server(Box::new(tls::accept(stream, config)?));
        Ok(())
    }

    fn plain(&mut self) -> Result<TcpStream> {
        ensure!(
            self.wire.buffer().is_empty(),
            "bytes in the clear behind the answer to AUTH"
        );
        match std::mem::replace(self.wire.get_mut(), Wire::None) {
            Wire::Plain(stream) => Ok(stream),
            _ => bail!("encrypted already"),
        }
    }

    /// The socket, to wait for; it is readable when a reply has come.
    pub(super) fn descriptor(&self) -> Result<BorrowedFd<'_>> {
        ensure!(
            self.wire.buffer().is_empty(),
            "a reply that nobody asked for"
        );
        match self.wire.get_ref() {
            Wire::Plain(stream) => Ok(stream.as_fd()),
            _ => bail!("what comes over TLS can not be waited for"),
        }
    }

    /// Sends a line in one segment.
    pub(super) fn say(&mut self, line: &str) -> Result<()> {
        let wire = self.wire.get_mut();
        wire.write_all(format!("{line}\r\n").as_bytes())
            .and_then(|()| wire.flush())
            .with_context(|| format!("{line:?} not sent"))
    }

    /// The next line, without its end; `None` at the end of the connection.
    pub(super) fn hear(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        let count = self.wire.read_line(&mut line).context("no line")?;
        Ok((count > 0).then(|| line.trim_end().to_owned()))
    }

    /// A reply with this code, of as many lines as it has; returns the last one.
    pub(super) fn expect(&mut self, code: &str) -> Result<String> {
        loop {
            let line = self
                .hear()
                .with_context(|| format!("{code} awaited"))?
                .with_context(|| format!("{code} awaited, the connection ended"))?;
            let is_last =
                line.get(3..4) == Some(" ") && line.bytes().take(3).all(|it| it.is_ascii_digit());
            if is_last {
                // A server may open the data connection before it says so.
                let is_same = line.starts_with(code) || (code == "150" && line.starts_with("125"));
                ensure!(is_same, "{code} awaited, received {line:?}");
                return Ok(line);
            }
        }
    }

    /// Sends a command and reads the reply.
    pub(super) fn ask(&mut self, command: &str, code: &str) -> Result<String> {
        self.say(command)?;
        self.expect(code)
            .with_context(|| format!("in answer to {command:?}"))
    }
}
