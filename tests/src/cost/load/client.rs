//! FTP clients, many and fast.

use std::{
    io::Read as _,
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use super::{
    PATIENCE, Tally, Until,
    dialogue::{Dialogue, endpoint, numbers, v4},
    limit_waits, repeat,
};

/// Size of a small file.
pub const SMALL: u64 = 1024;

/// Who opens the data connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Mode {
    /// The server (`PORT`).
    Active,
    /// The client (`PASV`).
    Passive,
}

/// Whole sessions: connect, log in, announce, fetch a small file, leave.
pub fn sessions(server: SocketAddr, mode: Mode, clients: usize, until: Until) -> Tally {
    repeat(
        clients,
        until,
        || Ok(()),
        |()| {
            let mut control = login(server)?;
            fetch(&mut control, mode, SMALL, None)?;
            control.ask("QUIT", "221")?;
            Ok(())
        },
    )
}

/// Small files on one control connection for each client.
pub fn files(server: SocketAddr, mode: Mode, clients: usize, until: Until) -> Tally {
    repeat(
        clients,
        until,
        || login(server),
        |control| fetch(control, mode, SMALL, None).map(|_| ()),
    )
}

/// One large file, or what comes of it in time: bytes, in so many seconds.
pub fn transfer(server: SocketAddr, mode: Mode, bytes: u64, limit: Duration) -> Result<Tally> {
    let mut control = login(server)?;
    let begin = Instant::now();
    let done = fetch(&mut control, mode, bytes, Some(limit))?;
    Ok(Tally {
        done,
        seconds: begin.elapsed().as_secs_f64(),
        failed: 0,
        why: None,
    })
}

fn login(server: SocketAddr) -> Result<Dialogue> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE)
        .with_context(|| format!("no control connection to {server}"))?;
    let mut control = Dialogue::new(stream)?;
    control.expect("220")?;
    control.ask("USER anonymous", "331")?;
    control.ask("PASS lab@example.net", "230")?;
    Ok(control)
}

/// Fetches a file of this size. Returns how much came; less only behind the limit.
fn fetch(control: &mut Dialogue, mode: Mode, bytes: u64, limit: Option<Duration>) -> Result<u64> {
    let retrieve = format!("RETR {bytes}");
    let data = match mode {
        Mode::Active => {
            let local = control.stream().local_addr()?;
            let listener = TcpListener::bind((local.ip(), 0)).context("no data port")?;
            limit_waits(&listener)?;
            let port = listener.local_addr()?.port();
            control.ask(&format!("PORT {}", numbers(v4(local)?, port)), "200")?;
            control.say(&retrieve)?;
            let (data, _) = listener.accept().context("no data connection came")?;
            data
        }
        Mode::Passive => {
            let reply = control.ask("PASV", "227")?;
            let at = endpoint(reply.trim_start_matches("227"))?;
            control.say(&retrieve)?;
            TcpStream::connect_timeout(&at, PATIENCE)
                .with_context(|| format!("no data connection to {at}"))?
        }
    };
    limit_waits(&data)?;
    let came = read(data, bytes, limit)?;
    control.expect("150")?;
    if came < bytes {
        // The server sees the end of it as an error.
        return Ok(came);
    }
    control.expect("226")?;
    Ok(came)
}

fn read(mut data: TcpStream, bytes: u64, limit: Option<Duration>) -> Result<u64> {
    let begin = Instant::now();
    let mut buffer = vec![0_u8; if bytes > SMALL { 1 << 18 } else { 2048 }];
    let mut came = 0;
    loop {
        let count = data.read(&mut buffer).context("data connection")?;
        if count == 0 {
            break;
        }
        came += u64::try_from(count)?;
        if limit.is_some_and(|limit| begin.elapsed() > limit) {
            return Ok(came);
        }
    }
    ensure!(came == bytes, "{came} bytes came of {bytes}");
    Ok(came)
}
