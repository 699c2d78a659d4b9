//! A control connection spoken by hand, for what no client program does: stop
//! between an announcement and its transfer, or read data slowly.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    announcement::Announcement,
    duet::listen,
    host::Host,
    wait::{patient, wait_for},
};

/// Longest wait for anything that the other end has to do.
const LIMIT: Duration = Duration::from_secs(20);

/// A server's reply.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// The last line, whole.
    pub text: String,
}

/// A control connection, logged in.
#[derive(Debug)]
pub struct Control {
    host: Host,
    stream: BufReader<TcpStream>,
}

impl Control {
    /// Connects from `host` and logs in as `anonymous`.
    pub fn login(host: &Host, server: SocketAddr) -> Result<Self> {
        let stream = host.enter(|| {
            TcpStream::connect_timeout(&server, patient(LIMIT))
                .with_context(|| format!("no control connection to {server}"))
        })?;
        stream.set_read_timeout(Some(patient(LIMIT)))?;
        stream.set_nodelay(true)?;
        let mut control = Self {
            host: host.clone(),
            stream: BufReader::new(stream),
        };
        control.reply()?.expect_code(220)?;
        control.command("USER anonymous")?.expect_code(331)?;
        control.command("PASS lab@example.net")?.expect_code(230)?;
        control.command("TYPE I")?.expect_code(200)?;
        Ok(control)
    }

    /// This end of the connection.
    pub fn local(&self) -> Result<SocketAddr> {
        Ok(self.stream.get_ref().local_addr()?)
    }

    /// Its socket.
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends a line.
    pub fn send(&mut self, line: &str) -> Result<()> {
        let line = format!("{line}\r\n");
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .context("control connection")
    }

    /// Reads the next reply, however many lines it has.
    pub fn reply(&mut self) -> Result<Reply> {
        loop {
            let mut line = String::new();
            self.stream
                .read_line(&mut line)
                .context("no reply on the control connection")?;
            ensure!(!line.is_empty(), "the server closed the control connection");
            // Lines before the last have a hyphen here, or no code at all.
            if line.as_bytes().get(3) == Some(&b' ')
                && let Ok(code) = line[..3].parse()
            {
                return Ok(Reply {
                    code,
                    text: line.trim_end().to_owned(),
                });
            }
        }
    }

    /// Sends a line and reads the reply to it.
    pub fn command(&mut self, line: &str) -> Result<Reply> {
        self.send(line)?;
        self.reply()
    }

    /// Sends bytes as they are, in one segment as far as TCP allows.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .get_mut()
            .write_all(bytes)
            .context("control connection")
    }

    /// Listens on a free port, to be announced.
    pub fn listen(&self) -> Result<DataListener> {
        self.listen_on(0)
    }

    /// Listens on `port`, to be announced.
    pub fn listen_on(&self, port: u16) -> Result<DataListener> {
        DataListener::open(&self.host, SocketAddr::new(self.local()?.ip(), port))
    }

    /// Asks for a file, up to the data connection; `listener` is announced
    /// already.
    pub fn ask(&mut self, listener: &DataListener, remote: &str) -> Result<TcpStream> {
        self.send(&format!("RETR {remote}"))?;
        let data = listener.accept()?;
        self.reply()?.expect_code(150)?;
        Ok(data)
    }

    /// Announces `listener` and asks for a file, up to the data connection.
    pub fn begin(&mut self, listener: &DataListener, remote: &str) -> Result<TcpStream> {
        self.command(&listener.announcement.to_string())?
            .expect_code(200)?;
        self.ask(listener, remote)
    }

    /// Reads a data connection to its end, and the reply to it.
    pub fn receive(&mut self, mut data: TcpStream) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).context("data connection")?;
        self.reply()?.expect_code(226)?;
        Ok(bytes)
    }

    /// Fetches a file in active mode.
    pub fn retrieve(&mut self, remote: &str) -> Result<Vec<u8>> {
        let listener = self.listen()?;
        let data = self.begin(&listener, remote)?;
        self.receive(data)
    }
}

impl Reply {
    /// An error that quotes the reply unless it has this code. `150` stands
    /// for `125` too.
    pub fn expect_code(self, code: u16) -> Result<Self> {
        let same = self.code == code || (code == 150 && self.code == 125);
        ensure!(same, "the server did not answer {code} but: {}", self.text);
        Ok(self)
    }
}

/// A client's end of an awaited data connection.
#[derive(Debug)]
pub struct DataListener {
    listener: TcpListener,
    /// What names it in a `PORT` command.
    pub announcement: Announcement,
}

impl DataListener {
    /// Listens on an endpoint of `host`.
    fn open(host: &Host, endpoint: SocketAddr) -> Result<Self> {
        let listener = listen(host, endpoint)?;
        let port = listener.local_addr()?.port();
        Ok(Self {
            listener,
            announcement: Announcement::command(endpoint.ip(), port, false),
        })
    }

    /// The data connection.
    pub fn accept(&self) -> Result<TcpStream> {
        wait_for("the data connection", LIMIT, || {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    stream.set_read_timeout(Some(patient(LIMIT)))?;
                    Ok(Some(stream))
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error).context("accepting the data connection"),
            }
        })
    }

    /// Whether nobody has connected so far.
    pub fn is_untouched(&self) -> Result<bool> {
        match self.listener.accept() {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error).context("accepting a data connection"),
        }
    }
}
