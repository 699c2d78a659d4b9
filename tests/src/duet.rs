//! A control connection whose two ends are both spoken by hand.
//!
//! A program as one end decides for itself what it says in which segment, and
//! what it takes for a line. Here the scenario says every byte and sees every
//! byte that arrives at the other end.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    host::Host,
    lab::Lab,
    payload,
    wait::{patient, wait_for},
};

/// Bytes of a data connection, each way: fewer than a socket's buffers take, as
/// one thread writes and then reads.
const DATA: usize = 20_000;

/// Longest wait for an address that was in use.
pub(crate) const FREED: Duration = Duration::from_secs(2);

/// Longest wait for a connection that must not come.
const BLOCKED: Duration = Duration::from_millis(300);

/// How a connection is made.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Largest segment, if not what the path allows.
    pub segment: Option<u16>,
    /// Whether small writes wait for the acknowledgment of earlier ones.
    pub nagle: bool,
    /// Longest wait for what the other end has sent.
    pub patience: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            segment: None,
            nagle: false,
            patience: Duration::from_secs(20),
        }
    }
}

/// One end of the control connection.
#[derive(Debug)]
pub struct End {
    host: Host,
    stream: BufReader<TcpStream>,
}

/// The connection.
#[derive(Debug)]
pub struct Duet {
    /// The client's end.
    pub client: End,
    /// The server's end.
    pub server: End,
    patience: Duration,
}

impl Duet {
    /// Connects the lab's client with its server; nothing is said yet.
    pub fn connect(lab: &Lab, manner: Manner) -> Result<Self> {
        let setup = &lab.setup;
        let at = SocketAddr::new(setup.addresses.server, setup.control_port.served);
        let listener = listen(&lab.server, at)?;
        if let Some(size) = manner.segment {
            limit_segments(&listener, size)?;
        }
        let client = open(&lab.client, setup.dialled(), manner.patience)?;
        let server = accept(&listener, manner.patience)?;
        for stream in [&client, &server] {
            stream.set_nodelay(!manner.nagle)?;
            stream.set_read_timeout(Some(patient(manner.patience)))?;
        }
        let end = |host: &Host, stream| End {
            host: host.clone(),
            stream: BufReader::new(stream),
        };
        Ok(Self {
            client: end(&lab.client, client),
            server: end(&lab.server, server),
            patience: manner.patience,
        })
    }

    /// [`connect`](Self::connect), greeting and login.
    pub fn login(lab: &Lab, manner: Manner) -> Result<Self> {
        let mut duet = Self::connect(lab, manner)?;
        duet.server_says("220 ready\r\n")?;
        duet.client_says("USER anonymous\r\n")?;
        duet.server_says("331 password\r\n")?;
        duet.client_says("PASS lab@example.net\r\n")?;
        duet.server_says("230 welcome\r\n")?;
        Ok(duet)
    }

    /// The client sends `text`, and exactly that has to arrive.
    pub fn client_says(&mut self, text: &str) -> Result<()> {
        self.client.write(text)?;
        self.server.expect(text)
    }

    /// The server sends `text`, and exactly that has to arrive.
    pub fn server_says(&mut self, text: &str) -> Result<()> {
        self.server.write(text)?;
        self.client.expect(text)
    }

    /// A data connection from the server to where a received announcement says,
    /// which has to end at the client's `listener`; bytes go both ways.
    pub fn active_data(&self, announced: SocketAddr, listener: &TcpListener) -> Result<()> {
        let stream = open(&self.server.host, announced, self.patience)?;
        exchange(&stream, &accept(listener, self.patience)?, self.patience)
    }

    /// The same from the client to the server's `listener`.
    pub fn passive_data(&self, announced: SocketAddr, listener: &TcpListener) -> Result<()> {
        let stream = open(&self.client.host, announced, self.patience)?;
        exchange(&stream, &accept(listener, self.patience)?, self.patience)
    }

    /// Ends the connection from both sides; each has met the other's end, so whoever is in
    /// between has seen both. A program that another test starts has copies of the sockets
    /// until it runs: to close them would not be enough.
    pub fn end(mut self) -> Result<()> {
        for end in [&self.client, &self.server] {
            end.stream().shutdown(Shutdown::Write)?;
        }
        for end in [&mut self.client, &mut self.server] {
            end.stream.read_to_end(&mut Vec::new())?;
        }
        Ok(())
    }
}

impl End {
    /// The end on `host` of a connection that is there.
    pub(crate) fn new(host: &Host, stream: TcpStream, patience: Duration) -> Result<Self> {
        stream.set_read_timeout(Some(patient(patience)))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            host: host.clone(),
            stream: BufReader::new(stream),
        })
    }

    /// Listens for a data connection.
    pub fn listen(&self) -> Result<TcpListener> {
        listen(&self.host, SocketAddr::new(self.address()?, 0))
    }

    /// This end's own address.
    pub fn address(&self) -> Result<IpAddr> {
        Ok(self.stream.get_ref().local_addr()?.ip())
    }

    /// Its socket. What a line was read from may have been read ahead.
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends `text` in one write.
    pub fn write(&mut self, text: &str) -> Result<()> {
        self.write_bytes(text.as_bytes())
    }

    /// Sends bytes in one write.
    pub fn write_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let mut stream = self.stream.get_ref();
        stream.write_all(bytes).context("control connection")
    }

    /// Sends `text` in pieces, with a `pause` behind each.
    pub fn write_pieces<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        pause: Duration,
    ) -> Result<()> {
        for piece in pieces {
            self.write_bytes(piece)?;
            if !pause.is_zero() {
                sleep(pause);
            }
        }
        Ok(())
    }

    /// The next line as it arrives, with its end.
    pub fn line(&mut self) -> Result<String> {
        let mut bytes = Vec::new();
        let result = self.stream.read_until(b'\n', &mut bytes);
        let line = String::from_utf8_lossy(&bytes).into_owned();
        if let Err(error) = result {
            bail!(
                "no whole line at the {}, only {line:?}: {error}",
                self.host.name()
            );
        }
        ensure!(!line.is_empty(), "the {} met the end", self.host.name());
        Ok(line)
    }

    /// Reads as many bytes as `text` has, which have to be these.
    pub fn expect(&mut self, text: &str) -> Result<()> {
        self.expect_bytes(text.as_bytes())
    }

    /// Reads as many bytes as these, which have to be these.
    pub fn expect_bytes(&mut self, expected: &[u8]) -> Result<()> {
        let mut arrived = Vec::new();
        while arrived.len() < expected.len() {
            let mut buffer = vec![0; expected.len() - arrived.len()];
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => arrived.extend_from_slice(&buffer[..count]),
                Err(error) => bail!(
                    "the {} waits for {:?}, has only {:?}: {error}",
                    self.host.name(),
                    String::from_utf8_lossy(expected),
                    String::from_utf8_lossy(&arrived)
                ),
            }
        }
        ensure!(
            arrived == expected,
            "the {} received {:?}, not {:?}",
            self.host.name(),
            String::from_utf8_lossy(&arrived),
            String::from_utf8_lossy(expected)
        );
        Ok(())
    }
}

/// Nobody on `host` gets a connection to `to`, where `listener` waits for one.
pub fn is_closed(host: &Host, to: SocketAddr, listener: &TcpListener) -> Result<()> {
    let connected = host.enter(|| Ok(TcpStream::connect_timeout(&to, BLOCKED).is_ok()))?;
    let arrived = listener.accept().is_ok();
    ensure!(
        !connected && !arrived,
        "a connection from the {} to {to} was let in",
        host.name()
    );
    Ok(())
}

/// Listens, also where an earlier listener has just been closed.
pub(crate) fn listen(host: &Host, at: SocketAddr) -> Result<TcpListener> {
    // A program that another test starts has a copy of each of our sockets until
    // it runs: an earlier listener may be open for a moment after it was closed.
    let listener = wait_for(&format!("a listener on {at}"), FREED, || {
        host.enter(|| match TcpListener::bind(at) {
            Ok(listener) => Ok(Some(listener)),
            Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error).with_context(|| format!("no listener on {at}")),
        })
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn open(host: &Host, to: SocketAddr, patience: Duration) -> Result<TcpStream> {
    host.enter(|| {
        TcpStream::connect_timeout(&to, patient(patience))
            .with_context(|| format!("no connection from the {} to {to}", host.name()))
    })
}

pub(crate) fn accept(listener: &TcpListener, patience: Duration) -> Result<TcpStream> {
    wait_for(
        "the connection at its listener",
        patience,
        || match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                Ok(Some(stream))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("accepting a connection"),
        },
    )
}

/// Different bytes each way, compared byte for byte.
fn exchange(one: &TcpStream, two: &TcpStream, patience: Duration) -> Result<()> {
    for (mut from, mut to, seed) in [(one, two, 1), (two, one, 2)] {
        let sent = payload::bytes(DATA, seed);
        to.set_read_timeout(Some(patient(patience)))?;
        let begin = Instant::now();
        from.write_all(&sent).context("data connection")?;
        let mut received = vec![0; DATA];
        to.read_exact(&mut received)
            .with_context(|| format!("data connection, after {:?}", begin.elapsed()))?;
        ensure!(received == sent, "the data arrived changed");
    }
    Ok(())
}

/// Limits the segments of the connections that `listener` accepts, both ways.
fn limit_segments(listener: &TcpListener, size: u16) -> Result<()> {
    let size = libc::c_int::from(size);
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>())?;
    // SAFETY: the option's value is the integer.
    let set = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MAXSEG,
            (&raw const size).cast(),
            length,
        )
    };
    ensure!(
        set == 0,
        "TCP_MAXSEG {size}: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}
