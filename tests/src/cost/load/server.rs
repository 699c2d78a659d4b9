//! An FTP server that does next to nothing for a session: it is the gateway that is
//! measured. A file's name is its size.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context as _, Result, bail};

use super::{
    PATIENCE,
    dialogue::{Dialogue, endpoint, numbers, v4},
    limit_waits,
};

/// Stack of a thread, of which every client has one.
const STACK: usize = 256 << 10;

/// Where the data connection of a session is opened.
enum Data {
    To(SocketAddr),
    At(TcpListener),
}

/// Serves for ever.
pub fn serve(listener: &TcpListener) -> Result<()> {
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Of one client; the others go on.
            continue;
        };
        thread::Builder::new()
            .stack_size(STACK)
            // A client that goes away in the middle is nobody's fault here: it tells
            // itself what it misses.
            .spawn(move || drop(session(stream)))
            .context("no thread for a session")?;
    }
    bail!("the listening socket came to an end")
}

fn session(stream: TcpStream) -> Result<()> {
    let mut control = Dialogue::new(stream)?;
    let mut data = None;
    control.say("220 ready")?;
    while let Some(line) = control.hear()? {
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let argument = argument.to_owned();
        match verb {
            "USER" => control.say("331 password")?,
            "PASS" => control.say("230 welcome")?,
            "PORT" => {
                data = Some(Data::To(endpoint(&argument)?));
                control.say("200 noted")?;
            }
            "PASV" => {
                let local = control.stream().local_addr()?;
                let listener = TcpListener::bind((local.ip(), 0)).context("no data port")?;
                limit_waits(&listener)?;
                let port = listener.local_addr()?.port();
                let numbers = numbers(v4(local)?, port);
                data = Some(Data::At(listener));
                control.say(&format!("227 Entering Passive Mode ({numbers})."))?;
            }
            "RETR" => {
                let size = argument.parse().context("the name of a file is its size")?;
                send(&mut control, data.take(), size)?;
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

fn send(control: &mut Dialogue, data: Option<Data>, size: u64) -> Result<()> {
    /// What is written at a time.
    static CONTENT: [u8; 1 << 18] = [b'x'; 1 << 18];

    let stream = match data {
        None => return control.say("503 no PORT or PASV before"),
        Some(Data::To(address)) => TcpStream::connect_timeout(&address, PATIENCE),
        Some(Data::At(listener)) => listener.accept().map(|(stream, _)| stream),
    };
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(error) => return control.say(&format!("425 no data connection: {error}")),
    };
    control.say("150 here it comes")?;
    limit_waits(&stream)?;
    let mut left = size;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(CONTENT.len());
        let part = part.min(CONTENT.len());
        if stream.write_all(&CONTENT[..part]).is_err() {
            return control.say("426 the data connection broke");
        }
        left -= u64::try_from(part)?;
    }
    drop(stream);
    control.say("226 that was it")
}
