//! A host's TCP spoken packet by packet, for what no honest one does: to
//! acknowledge half of a segment, to say something else at a place that was sent
//! already, to cut a segment into fragments.

mod duet;
mod socket;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use etherparse::{TcpHeader, TcpSlice};

pub use self::duet::RawDuet;
use self::socket::Socket;
use crate::{host::Host, lab::FILES, wait::patient};

/// Where its numbers start.
const INITIAL: u32 = 0x7fff_f000;

/// The kernel does not know of these connections and would reset them.
const SILENCE: &str = "
table inet raw_tcp {
    chain output {
        type filter hook output priority raw
        tcp flags & rst == rst drop
    }
}
";

/// A received segment.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its header.
    pub header: TcpHeader,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// One end of a connection.
#[derive(Debug)]
pub struct RawTcp {
    socket: Socket,
    local: SocketAddr,
    peer: SocketAddr,
    /// Position of the next byte to send.
    pub next: u32,
    /// Position behind the last byte that was received in order.
    pub expected: u32,
    patience: Duration,
}

impl RawTcp {
    /// Connects from `local` on `host` to `peer`; `meddle` comes between the answer to
    /// the SYN and its acknowledgment.
    pub fn connect(
        host: &Host,
        local: SocketAddr,
        peer: SocketAddr,
        patience: Duration,
        meddle: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<Self> {
        let rules = Path::new(FILES).join("raw.nft");
        fs::write(&rules, SILENCE)?;
        host.must(&format!("nft -f {}", rules.display()))?;
        let socket = host.enter(|| Socket::open(local.ip(), peer.ip()))?;
        let mut this = Self {
            socket,
            local,
            peer,
            next: INITIAL,
            expected: 0,
            patience: patient(patience),
        };
        this.begin(this.next)?;
        this.next = this.next.wrapping_add(1);
        let answer = this.receive()?.context("no answer to the SYN")?;
        ensure!(
            answer.header.syn && answer.header.ack,
            "the answer to the SYN is {answer:?}"
        );
        this.expected = answer.header.sequence_number.wrapping_add(1);
        meddle(&this)?;
        this.acknowledge(this.expected)?;
        Ok(this)
    }

    /// Sends a SYN with this number.
    pub fn begin(&self, sequence: u32) -> Result<()> {
        self.put(sequence, 0, &[], |header| header.syn = true)
    }

    /// Sends `bytes` behind everything that was sent, in one segment. A packet that
    /// is too long for the network goes in fragments.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.send_at(self.next, bytes)?;
        let len = u32::try_from(bytes.len())?;
        self.next = self.next.wrapping_add(len);
        Ok(())
    }

    /// Sends `bytes` at the position `sequence`, whatever was sent there before.
    pub fn send_at(&self, sequence: u32, bytes: &[u8]) -> Result<()> {
        self.put(sequence, self.expected, bytes, |header| {
            header.ack = true;
            header.psh = true;
        })
    }

    /// Acknowledges everything before `position`.
    pub fn acknowledge(&self, position: u32) -> Result<()> {
        self.put(self.next, position, &[], |header| header.ack = true)
    }

    /// The next segment with data or flags, if one comes in time; nothing is
    /// acknowledged.
    pub fn receive(&self) -> Result<Option<Segment>> {
        let start = Instant::now();
        while start.elapsed() < self.patience {
            let Some(packet) = self.socket.receive(self.patience)? else {
                continue;
            };
            let tcp = TcpSlice::from_slice(&packet).context("a received packet")?;
            if (tcp.source_port(), tcp.destination_port()) != (self.peer.port(), self.local.port())
            {
                continue;
            }
            let (header, payload) = (tcp.to_header(), tcp.payload().to_owned());
            if payload.is_empty() && !header.syn && !header.fin && !header.rst {
                continue;
            }
            return Ok(Some(Segment { header, payload }));
        }
        Ok(None)
    }

    /// The next segment with data or flags at `position`, whatever else is repeated
    /// before it comes.
    pub fn receive_at(&self, position: u32) -> Result<Segment> {
        loop {
            let segment = self.receive()?;
            let segment = segment.with_context(|| format!("nothing came at {position}"))?;
            if segment.header.sequence_number == position {
                return Ok(segment);
            }
        }
    }

    /// Reads `text`, acknowledging each segment.
    pub fn expect(&mut self, text: &str) -> Result<()> {
        let mut bytes = Vec::new();
        while bytes.len() < text.len() {
            let Some(segment) = self.receive()? else {
                bail!("{text:?} awaited, only {:?} came", lossy(&bytes));
            };
            ensure!(!segment.header.rst, "{text:?} awaited, reset instead");
            if segment.header.sequence_number == self.expected {
                bytes.extend_from_slice(&segment.payload);
                let len = u32::try_from(segment.payload.len())?;
                self.expected = self.expected.wrapping_add(len);
            }
            self.acknowledge(self.expected)?;
        }
        ensure!(
            bytes == text.as_bytes(),
            "received {:?}, not {text:?}",
            lossy(&bytes)
        );
        Ok(())
    }

    fn put(
        &self,
        sequence: u32,
        acknowledgment: u32,
        payload: &[u8],
        flags: impl FnOnce(&mut TcpHeader),
    ) -> Result<()> {
        let mut header = TcpHeader::new(self.local.port(), self.peer.port(), sequence, u16::MAX);
        header.acknowledgment_number = acknowledgment;
        flags(&mut header);
        header.checksum = match (self.local.ip(), self.peer.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                header.calc_checksum_ipv4_raw(from.octets(), to.octets(), payload)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                header.calc_checksum_ipv6_raw(from.octets(), to.octets(), payload)
            }
            _ => bail!("{} and {} differ in family", self.local, self.peer),
        }?;
        let packet = [&header.to_bytes()[..], payload].concat();
        self.socket.send(&packet)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
