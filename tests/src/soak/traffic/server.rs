//! An FTP server that keeps nothing: what a file is called is its size.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::{
    socket::{setsockopt, sockopt},
    time::TimeVal,
};
use tokio_rustls::rustls::ServerConfig;

use super::{
    content,
    dialogue::{Dialogue, prepare},
    tls,
};
use crate::announcement::{Announcement, Form};

/// Stack of a session's thread; a handshake of TLS takes most of it.
const STACK: usize = 1 << 20;

/// Counts the ports that were given to encrypted sessions.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// How it serves.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Port, of all addresses
    port: u16,
    /// Speak TLS where a client asks for it, with the certificate put into this file
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Ports that encrypted sessions listen on: those that the firewall lets in
    #[arg(long, value_name = "FIRST-LAST", value_parser = range)]
    passive_ports: Option<(u16, u16)>,
    /// Longest wait for a client, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    patience: u64,
}

fn range(text: &str) -> Result<(u16, u16)> {
    let (first, last) = text.split_once('-').context("no `-` between two ports")?;
    Ok((first.parse()?, last.parse()?))
}

struct Server {
    tls: Option<Arc<ServerConfig>>,
    passive_ports: Option<(u16, u16)>,
    patience: Duration,
}

/// Serves for ever.
pub(super) fn serve(arguments: &Arguments) -> Result<()> {
    let tls = arguments.certificate.as_deref().map(tls::server);
    let server = Arc::new(Server {
        tls: tls.transpose()?,
        passive_ports: arguments.passive_ports,
        patience: Duration::from_secs(arguments.patience),
    });
    let port = arguments.port;
    // Of both families.
    let listener = TcpListener::bind(("::", port))
        .with_context(|| format!("can not listen on port {port}"))?;
    println!("ready");
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Of one client; the others go on.
            continue;
        };
        let server = Arc::clone(&server);
        thread::Builder::new()
            .stack_size(STACK)
            // A client tells itself what it misses.
            .spawn(move || drop(server.session(stream)))
            .context("no thread for a session")?;
    }
    bail!("the listening socket came to an end")
}

/// Where the data connection of a command is opened.
enum Data {
    To(SocketAddr),
    At(TcpListener),
}

impl Server {
    fn session(&self, stream: TcpStream) -> Result<()> {
        let mut control = Dialogue::new(stream, self.patience)?;
        let mut data = None;
        let mut is_encrypted = false;
        control.say("220 ready")?;
        while let Some(line) = control.hear()? {
            let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
            match verb {
                "AUTH" => {
                    let Some(config) = &self.tls else {
                        control.say("502 no TLS here")?;
                        continue;
                    };
                    control.say("234 go on")?;
                    control.encrypt_as_server(config)?;
                    is_encrypted = true;
                }
                "USER" => control.say("331 password")?,
                "PASS" => control.say("230 welcome")?,
                "TYPE" => control.say("200 as you like")?,
                "PORT" | "EPRT" => {
                    let announcement: Announcement = line.parse()?;
                    let to = announcement.endpoint().context("no address")?;
                    data = Some(Data::To(to));
                    control.say("200 noted")?;
                }
                "PASV" | "EPSV" => {
                    let listener = self.listen(control.local, is_encrypted)?;
                    control.say(&told(verb, listener.local_addr()?))?;
                    data = Some(Data::At(listener));
                }
                "RETR" | "STOR" => {
                    let size = argument.rsplit('/').next().unwrap_or_default();
                    let size = size.parse().context("the name of a file is its size")?;
                    self.transfer(&mut control, data.take(), verb == "RETR", size)?;
                }
                "QUIT" => {
                    control.say("221 bye")?;
                    break;
                }
                _ => control.say("502 not here")?,
            }
        }
        Ok(())
    }

    fn listen(&self, local: SocketAddr, is_encrypted: bool) -> Result<TcpListener> {
        let listener = self.open(local, is_encrypted)?;
        // `accept` heeds it: a client that does not come ends its session.
        let limit = TimeVal::new(i64::try_from(self.patience.as_secs())?, 0);
        setsockopt(&listener, sockopt::ReceiveTimeout, &limit).context("no limit for a wait")?;
        Ok(listener)
    }

    fn open(&self, local: SocketAddr, is_encrypted: bool) -> Result<TcpListener> {
        let Some((first, last)) = self.passive_ports.filter(|_| is_encrypted) else {
            return TcpListener::bind((local.ip(), 0)).context("no data port");
        };
        // From another one each time: the one before is in TIME_WAIT.
        let start = first + NEXT.fetch_add(1, Ordering::Relaxed) % (last - first + 1);
        (start..=last)
            .chain(first..start)
            .find_map(|port| TcpListener::bind((local.ip(), port)).ok())
            .context("all ports for data are in use")
    }

    fn transfer(
        &self,
        control: &mut Dialogue,
        data: Option<Data>,
        is_sent: bool,
        size: u64,
    ) -> Result<()> {
        let stream = match data {
            None => return control.say("503 no PORT or PASV before"),
            Some(Data::To(address)) => TcpStream::connect_timeout(&address, self.patience),
            Some(Data::At(listener)) => listener.accept().map(|(stream, _)| stream),
        };
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(error) => return control.say(&format!("425 no data connection: {error}")),
        };
        control.say("150 here it comes")?;
        prepare(&stream, self.patience)?;
        let done = if is_sent {
            content::send(&mut stream, size)
        } else {
            content::receive(&mut stream, size)
        };
        drop(stream);
        match done {
            Ok(()) => control.say("226 that was it"),
            Err(error) => control.say(&format!("426 {error:#}")),
        }
    }
}

/// The answer to `PASV` or `EPSV`.
fn told(verb: &str, at: SocketAddr) -> String {
    let announcement = Announcement {
        form: if verb == "PASV" {
            Form::Reply227
        } else {
            Form::Reply229
        },
        address: Some(at.ip().to_canonical()),
        port: at.port(),
    };
    announcement.to_string()
}
