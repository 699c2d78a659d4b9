//! A data connection by hand, from one state of the kernel's connection table to
//! the next.
//!
//! Both ends are sockets of the test. A host that drops what it receives keeps the
//! gateway in the state that the dropped packet led to, for as long as it takes to
//! look at it: the packet has passed the gateway, and its answer does not come.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket},
};

use crate::{
    announcement::{Announcement, Form},
    duet::Duet,
    host::Host,
    lab::{FILES, Lab},
    setup::{Family, Inside},
    wait::{self, wait_for},
};

/// Longest wait for a state. What was dropped is repeated after 1, 2 and 4 seconds.
const LIMIT: Duration = Duration::from_secs(15);

/// Seconds that may pass between a packet and the look at its entry.
const LATE: u64 = 10;

/// Bytes of each end.
const DATA: &[u8] = b"some data";

/// States by what starts each of them, in order.
const SYN: &str = "SYN_SENT";
const SYN_ACK: &str = "SYN_RECV";
const ACK: &str = "ESTABLISHED";
const FIN: &str = "FIN_WAIT";
const ACK_OF_FIN: &str = "CLOSE_WAIT";
const SECOND_FIN: &str = "LAST_ACK";
const LAST_ACK: &str = "TIME_WAIT";
const RST: &str = "CLOSE";

/// A data connection that the inside host waits for.
#[derive(Debug)]
pub struct Awaited {
    /// Where it waits.
    pub listener: TcpListener,
    /// What the outside host was told.
    pub outside: SocketAddr,
}

impl Awaited {
    /// The inside host announces an endpoint of its own, in pieces of so many
    /// bytes.
    pub fn announce(lab: &Lab, duet: &mut Duet, piece: usize) -> Result<Self> {
        let inside = match lab.setup.inside {
            Inside::Client => &duet.client,
            Inside::Server => &duet.server,
        };
        let listener = inside.listen()?;
        let at = listener.local_addr()?;
        let form = match (lab.setup.inside, lab.setup.family()) {
            (Inside::Client, Family::V4) => Form::Port,
            (Inside::Client, Family::V6) => Form::Eprt,
            (Inside::Server, Family::V4) => Form::Reply227,
            (Inside::Server, Family::V6) => Form::Reply229,
        };
        let line = Announcement {
            form,
            address: Some(at.ip()),
            port: at.port(),
        };
        let line = format!("{line}\r\n");
        let pause = Duration::from_millis(if piece < line.len() { 3 } else { 0 });
        let pieces = line.as_bytes().chunks(piece);
        let received = match lab.setup.inside {
            Inside::Client => {
                duet.client.write_pieces(pieces, pause)?;
                duet.server.line()?
            }
            Inside::Server => {
                let asked = if form == Form::Reply227 {
                    "PASV"
                } else {
                    "EPSV"
                };
                duet.client_says(&format!("{asked}\r\n"))?;
                duet.server.write_pieces(pieces, pause)?;
                duet.client.line()?
            }
        };
        let received: Announcement = received.trim_end().parse()?;
        let known_as = lab.setup.known_as();
        ensure!(
            received.address.is_none_or(|address| address == known_as),
            "{line:?} was received as {received}"
        );
        if lab.setup.inside == Inside::Client {
            duet.server_says("200 go ahead\r\n")?;
        }
        Ok(Self {
            listener,
            outside: SocketAddr::new(known_as, received.port),
        })
    }

    /// A connection from the outside host, its bytes, and an orderly end: at every
    /// step the gateway knows the connection with both its translations, in the
    /// right state and for the right time.
    pub fn walk(&self, lab: &Lab) -> Result<()> {
        let gateway = Table::new(lab, self)?;
        let (inside, outside) = (lab.inside(), lab.outside());
        let (to, from) = (self.inside()?.port(), self.outside.port());

        drop_on(
            inside,
            &format!("tcp dport {to} tcp flags & (syn|ack) == syn"),
        )?;
        let near = begin(outside, self.outside)?;
        gateway.reaches(SYN)?;
        drop_on(
            outside,
            &format!("tcp sport {from} tcp flags & (syn|ack) == (syn|ack)"),
        )?;
        drop_nothing_on(inside)?;
        gateway.reaches(SYN_ACK)?;
        drop_nothing_on(outside)?;
        let (mut near, mut far) = (connected(near)?, self.accept()?);
        gateway.reaches(ACK)?;

        pass(&mut near, &mut far)?;
        pass(&mut far, &mut near)?;
        ensure!(
            gateway.reaches(ACK)?.contains("[ASSURED]"),
            "a connection with data on it may be evicted"
        );

        // The answer follows at once.
        near.shutdown(Shutdown::Write)?;
        gateway.reaches(ACK_OF_FIN)?;
        // The other way is still open.
        pass(&mut far, &mut near)?;
        drop_on(outside, &format!("tcp sport {from} tcp flags & fin == fin"))?;
        far.shutdown(Shutdown::Write)?;
        gateway.reaches(SECOND_FIN)?;
        drop_nothing_on(outside)?;
        gateway.reaches(LAST_ACK)?;
        ensure!(near.read(&mut [0])? == 0 && far.read(&mut [0])? == 0);
        Ok(())
    }

    /// A connection from the outside host that starts to end, and then is reset.
    pub fn reset(&self, lab: &Lab) -> Result<()> {
        let gateway = Table::new(lab, self)?;
        let (inside, outside) = (lab.inside(), lab.outside());
        let (near, mut far) = (begin(outside, self.outside)?, self.accept()?);
        let near = connected(near)?;
        far.write_all(DATA)?;
        wait_for("the data", LIMIT, || {
            Ok((near.peek(&mut [0])? == 1).then_some(()))
        })?;

        // Only once: the table takes a repeated FIN for the other end's.
        let (to, from) = (self.inside()?.port(), self.outside.port());
        let once = format!("tcp dport {from} tcp flags & fin == fin numgen inc mod 1000000 > 0");
        stop(outside, "output", &once)?;
        drop_on(inside, &format!("tcp dport {to} tcp flags & fin == fin"))?;
        near.shutdown(Shutdown::Write)?;
        gateway.reaches(FIN)?;
        drop_nothing_on(inside)?;
        drop_nothing_on(outside)?;
        // Closed with something unread.
        drop(near);
        gateway.reaches(RST)?;
        Ok(())
    }

    /// A connection from the outside host with bytes both ways.
    pub fn exchange(&self, lab: &Lab) -> Result<()> {
        let (near, mut far) = (begin(lab.outside(), self.outside)?, self.accept()?);
        let mut near = connected(near)?;
        pass(&mut near, &mut far)?;
        pass(&mut far, &mut near)
    }

    fn inside(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    fn accept(&self) -> Result<TcpStream> {
        wait_for("the data connection", LIMIT, || {
            match self.listener.accept() {
                Ok((stream, _)) => Ok(Some(stream)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error).context("accepting the data connection"),
            }
        })
        .and_then(patient)
    }
}

/// The gateway's entry of a data connection.
struct Table<'a> {
    gateway: &'a Host,
    /// What finds the entry.
    query: String,
    /// What it has to say, whatever its state.
    tuples: Vec<String>,
}

impl<'a> Table<'a> {
    fn new(lab: &'a Lab, awaited: &Awaited) -> Result<Self> {
        let family = match lab.setup.family() {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        };
        let (outside, inside) = (awaited.outside, awaited.inside()?);
        let peer = lab.setup.outside_address();
        Ok(Self {
            gateway: &lab.gateway,
            query: format!(
                "conntrack -L -f {family} -p tcp --orig-dst {} --orig-port-dst {}",
                outside.ip(),
                outside.port()
            ),
            tuples: vec![
                format!("src={peer} dst={} ", outside.ip()),
                format!("dport={} src={} dst={peer} ", outside.port(), inside.ip()),
                format!("sport={} ", inside.port()),
            ],
        })
    }

    /// Waits until the connection is in this state, for as long as the kernel says
    /// that it may be. Returns the entry.
    fn reaches(&self, state: &str) -> Result<String> {
        let limit = self.limit(state)?;
        let mut last = String::new();
        wait_for("the next state", LIMIT, || {
            last = self.gateway.must(&self.query)?;
            let line = last.trim();
            ensure!(line.lines().count() == 1, "not one entry:\n{line}");
            let mut words = line.split_whitespace().skip(2);
            let seconds: u64 = words.next().unwrap_or_default().parse()?;
            let is_state = words.next() == Some(state);
            let is_fresh = (limit.saturating_sub(LATE)..=limit).contains(&seconds);
            Ok((is_state && is_fresh).then_some(()))
        })
        .with_context(|| format!("not {state} for {limit} s: {last}"))?;
        // The kernel's helper leaves it to the packets to say so.
        let entry = last.replace("[UNREPLIED] ", "");
        for tuple in &self.tuples {
            ensure!(entry.contains(tuple), "no {tuple:?} in {last}");
        }
        Ok(entry)
    }

    /// Seconds that a connection may be in this state without a packet.
    fn limit(&self, state: &str) -> Result<u64> {
        let path = format!(
            "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_{}",
            state.to_lowercase()
        );
        let text = self
            .gateway
            .enter(|| fs::read_to_string(&path).with_context(|| format!("no {path}")))?;
        text.trim()
            .parse()
            .with_context(|| format!("{path}: {text}"))
    }
}

/// From now on `host` drops what matches of what it receives.
fn drop_on(host: &Host, matches: &str) -> Result<()> {
    stop(host, "prerouting", matches)
}

/// From now on `host` drops what matches at this hook.
fn stop(host: &Host, hook: &str, matches: &str) -> Result<()> {
    let rules = format!(
        "table inet hold {{
    chain {hook} {{
        type filter hook {hook} priority raw
        {matches} drop
    }}
}}
"
    );
    let file = Path::new(FILES).join("hold.nft");
    fs::write(&file, rules)?;
    host.must(&format!("nft -f {}", file.display()))?;
    Ok(())
}

fn drop_nothing_on(host: &Host) -> Result<()> {
    host.must("nft delete table inet hold")?;
    Ok(())
}

/// Starts to connect, and does not wait for an answer.
fn begin(host: &Host, to: SocketAddr) -> Result<TcpStream> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let stream = host.enter(|| Ok(socket(family, SockType::Stream, flags, None)?))?;
    match connect(stream.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(stream.into()),
        Err(error) => bail!("no connection from the {} to {to}: {error}", host.name()),
    }
}

/// Waits until the connection stands.
fn connected(stream: TcpStream) -> Result<TcpStream> {
    wait_for("the connection", LIMIT, || {
        if let Some(error) = stream.take_error()? {
            return Err(error).context("no data connection");
        }
        Ok(stream.peer_addr().is_ok().then_some(()))
    })?;
    patient(stream)
}

fn patient(stream: TcpStream) -> Result<TcpStream> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(wait::patient(LIMIT)))?;
    Ok(stream)
}

/// Bytes from one end to the other.
fn pass(from: &mut TcpStream, to: &mut TcpStream) -> Result<()> {
    from.write_all(DATA)?;
    let mut bytes = [0; DATA.len()];
    to.read_exact(&mut bytes).context("data connection")?;
    ensure!(bytes == DATA, "the data arrived changed");
    Ok(())
}
