//! The server: a few connections at a time, each with an end.

use std::{
    convert::Infallible,
    io,
    net::{self, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Error, Result};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{observer::Observed, service::Service};
use crate::pins::PinDirectory;

/// Connections at a time; more wait until one of them ends.
const CONNECTIONS: usize = 32;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a connection may last: one request, and the way of its answer.
const LONGEST: Duration = Duration::from_secs(10);

/// Requests have no body, and headers of a few lines.
const BUFFER: usize = 8192;

/// A socket that listens, and nobody who answers yet.
#[derive(Debug)]
pub struct Listener {
    socket: net::TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes the address, or says why that is impossible.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let socket = net::TcpListener::bind(address).map_err(|error| refusal(address, error))?;
        socket
            .set_nonblocking(true)
            .context("can not set up the socket for metrics")?;
        Ok(Self { socket, address })
    }

    /// Answers requests from now on; needs an event loop around it, and the maps
    /// pinned.
    pub fn serve(self, pins: &PinDirectory, observed: Arc<Observed>) -> Result<()> {
        let Self { socket, address } = self;
        let service = Service::new(pins, observed).context("can not serve metrics")?;
        let socket = TcpListener::from_std(socket).context("can not wait for connections")?;
        tokio::spawn(accept(socket, Arc::new(service)));
        info!("metrics on http://{address}/metrics");
        if !address.ip().is_loopback() {
            warn!(
                "who reaches {address} can read the metrics: let the firewall admit only those \
                 who shall"
            );
        }
        Ok(())
    }
}

fn refusal(address: SocketAddr, error: io::Error) -> Error {
    let next = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has this port (`ss -ltnp` shows which); choose another one with \
             --metrics"
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface has this address; choose another one with --metrics"
        }
        _ => "choose another address with --metrics",
    };
    Error::new(error).context(format!("can not serve metrics on {address}: {next}"))
}

async fn accept(socket: TcpListener, service: Arc<Service>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Only fails when it is closed, which nobody does.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match socket.accept().await {
            Ok((stream, _)) => {
                let service = Arc::clone(&service);
                tokio::spawn(async move {
                    let _slot = slot;
                    converse(stream, &service).await;
                });
            }
            Err(error) => {
                // Of those that there are (no memory, no descriptors) none is over
                // at once.
                warn!("can not take a connection for metrics: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// One request and its answer.
async fn converse(stream: TcpStream, service: &Service) {
    let answer = service_fn(|request: Request<Incoming>| async move {
        let path = request.uri().path();
        let answer = service.answer(request.method(), path, request.headers());
        Ok::<_, Infallible>(answer.await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(BUFFER)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    match timeout(LONGEST, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("a connection for metrics failed: {error}"),
        Err(_) => debug!("a connection for metrics took too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_refused_with_the_way_out() {
        let taken = net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = taken.local_addr().unwrap();
        let error = Listener::bind(address).unwrap_err();
        let text = format!("{error:#}");
        for part in [&address.to_string(), "another program", "--metrics"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_address_of_nobody_is_refused() {
        let error = Listener::bind("192.0.2.1:21021".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("no interface has"), "{error:#}");
    }
}
