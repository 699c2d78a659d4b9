//! Connections that have nothing to do with FTP: a request, an answer, the end.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{PATIENCE, Tally, Until, prepare, repeat};

/// Bytes of a request.
const REQUEST: usize = 64;
/// Bytes of an answer.
const ANSWER: usize = 1024;

/// Answers for ever, with so many threads.
pub fn serve(listener: &TcpListener, threads: usize) -> Result<()> {
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for stream in listener.incoming().flatten() {
                    // A client that goes away tells itself what it misses.
                    drop(answer(stream));
                }
            });
        }
    });
    bail!("the listening socket came to an end")
}

fn answer(mut stream: TcpStream) -> Result<()> {
    prepare(&stream)?;
    let mut request = [0; REQUEST];
    stream.read_exact(&mut request).context("no request")?;
    stream.write_all(&[b'y'; ANSWER]).context("no answer")
}

/// Connects, asks, reads the answer to its end, and closes.
pub fn requests(server: SocketAddr, clients: usize, until: Until) -> Tally {
    repeat(
        clients,
        until,
        || Ok(()),
        |()| {
            let mut stream = TcpStream::connect_timeout(&server, PATIENCE)
                .with_context(|| format!("no connection to {server}"))?;
            prepare(&stream)?;
            stream.write_all(&[b'x'; REQUEST]).context("no request")?;
            let mut text = Vec::with_capacity(ANSWER);
            stream.read_to_end(&mut text).context("no answer")?;
            ensure!(text.len() == ANSWER, "{} bytes of an answer", text.len());
            Ok(())
        },
    )
}
