//! A control connection.

use std::net::{IpAddr, SocketAddr};

use etherparse::TcpOptionElement::{Noop, Timestamp};
use ftp_helper_common::{
    address::{Address, Endpoint},
    session::{Direction, Session, SessionKey, flags as session_flags},
    stream::{Stream, flags as stream_flags},
};
use zerocopy::FromZeros as _;

use crate::segment::{Segment, flags};

/// First sequence numbers that are worth a try: nothing special, the sign
/// changes, the number wraps around inside the first line or close behind it.
pub const STARTS: [u32; 4] = [1000, 0x7fff_fff5, u32::MAX - 4, u32::MAX - 60];

/// Index of the interface: the loopback device, which is where the kernel pretends
/// that test packets are.
pub const IFINDEX: u32 = 1;

/// What each end's clock says, for the timestamps option.
const INSIDE_CLOCK: u32 = 0x0102_0304;
const PEER_CLOCK: u32 = 0xa0b0_c0d0;
/// What each end has room for.
const INSIDE_WINDOW: u16 = 501;
const PEER_WINDOW: u16 = 64_240;

/// A control connection: both its ends, each as it sees itself and as it is
/// seen, and the first sequence number of each.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// The inside host as it knows itself.
    pub inside: SocketAddr,
    /// The inside host as the peer knows it.
    pub outside: SocketAddr,
    /// The peer as it knows itself.
    pub peer: SocketAddr,
    /// The peer as the inside host knows it.
    pub seen_peer: SocketAddr,
    /// The client is the inside host.
    pub client_inside: bool,
    /// Sequence number of the inside host's first byte.
    pub egress_start: u32,
    /// Sequence number of the peer's first byte.
    pub ingress_start: u32,
}

impl Flow {
    /// A client behind masquerade. `start` is where its sequence numbers start.
    pub fn client_inside(start: u32) -> Self {
        let peer = address("198.51.100.7:21");
        Self {
            inside: address("10.0.0.2:40000"),
            outside: address("203.0.113.1:40000"),
            peer,
            seen_peer: peer,
            client_inside: true,
            egress_start: start,
            ingress_start: start.wrapping_mul(7),
        }
    }

    /// A server behind a port forwarding.
    pub fn server_inside(start: u32) -> Self {
        let peer = address("198.51.100.7:50000");
        Self {
            inside: address("10.0.0.3:21"),
            outside: address("203.0.113.1:21"),
            peer,
            seen_peer: peer,
            client_inside: false,
            egress_start: start,
            ingress_start: start.wrapping_mul(7),
        }
    }

    /// [`Self::client_inside`] with IPv6.
    pub fn client_inside_v6(start: u32) -> Self {
        let peer = address("[2001:db8:7::21]:21");
        Self {
            inside: address("[fd00::2]:40000"),
            outside: address("[2001:db8:1::1]:40000"),
            peer,
            seen_peer: peer,
            ..Self::client_inside(start)
        }
    }

    /// [`Self::server_inside`] with IPv6.
    pub fn server_inside_v6(start: u32) -> Self {
        let peer = address("[2001:db8:7::99]:50000");
        Self {
            inside: address("[fd00::3]:21"),
            outside: address("[2001:db8:1::1]:21"),
            peer,
            seen_peer: peer,
            ..Self::server_inside(start)
        }
    }

    /// With other addresses of the inside host and of its outside form.
    #[must_use]
    pub fn addresses(mut self, inside: &str, outside: &str) -> Self {
        let parse = |text: &str| -> IpAddr { text.parse().expect("an address") };
        self.inside.set_ip(parse(inside));
        self.outside.set_ip(parse(outside));
        self
    }

    /// The same with another port of the peer.
    #[must_use]
    pub fn peer_port(mut self, port: u16) -> Self {
        for endpoint in [&mut self.peer, &mut self.seen_peer] {
            endpoint.set_port(port);
        }
        self
    }

    /// The key of its session.
    pub fn key(&self) -> SessionKey {
        SessionKey {
            outside: endpoint(self.outside),
            peer: endpoint(self.peer),
        }
    }

    /// The session as it is behind handshake and greeting, before anything else
    /// was said.
    pub fn session(&self) -> Session {
        let mut session = Session::new_zeroed();
        session.inside = endpoint(self.inside);
        session.seen_peer = endpoint(self.seen_peer);
        session.ifindex = IFINDEX;
        session.flags = session_flags::LEARNED | session_flags::GREETED;
        if self.client_inside {
            session.flags |= session_flags::CLIENT_INSIDE;
        }
        session.streams = [self.egress_start, self.ingress_start].map(|next| Stream {
            next,
            flags: stream_flags::POSITIONED,
            ..Stream::default()
        });
        session
    }

    /// A segment from the inside host, `offset` bytes behind its first one.
    pub fn egress(&self, offset: u32, payload: impl AsRef<[u8]>) -> Segment {
        Segment {
            direction: Direction::Egress,
            source: self.outside,
            destination: self.peer,
            sequence: self.egress_start.wrapping_add(offset),
            acknowledgment: self.ingress_start,
            flags: flags::PSH | flags::ACK,
            window: INSIDE_WINDOW,
            urgent: 0,
            options: Vec::new(),
            ip_options: Vec::new(),
            tags: 0,
            extensions: Vec::new(),
            payload: payload.as_ref().to_vec(),
        }
        .options(&[Noop, Noop, Timestamp(INSIDE_CLOCK, PEER_CLOCK)])
    }

    /// A segment from the peer, `offset` bytes behind its first one.
    pub fn ingress(&self, offset: u32, payload: impl AsRef<[u8]>) -> Segment {
        Segment {
            direction: Direction::Ingress,
            source: self.peer,
            destination: self.outside,
            sequence: self.ingress_start.wrapping_add(offset),
            acknowledgment: self.egress_start,
            flags: flags::PSH | flags::ACK,
            window: PEER_WINDOW,
            urgent: 0,
            options: Vec::new(),
            ip_options: Vec::new(),
            tags: 0,
            extensions: Vec::new(),
            payload: payload.as_ref().to_vec(),
        }
        .options(&[Noop, Noop, Timestamp(PEER_CLOCK, INSIDE_CLOCK)])
    }

    /// The peer's pure acknowledgment of the inside host's first `offset` bytes.
    pub fn peer_acknowledges(&self, offset: u32) -> Segment {
        self.ingress(0, "")
            .flags(flags::ACK)
            .acknowledgment(self.egress_start.wrapping_add(offset))
    }

    /// The inside host's pure acknowledgment of the peer's first `offset` bytes,
    /// after it sent `sent` bytes itself.
    pub fn inside_acknowledges(&self, sent: u32, offset: u32) -> Segment {
        self.egress(sent, "")
            .flags(flags::ACK)
            .acknowledgment(self.ingress_start.wrapping_add(offset))
    }
}

/// An endpoint as it lies in the maps.
pub fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::new(Address::from(address.ip()), address.port())
}

/// An address in the code of a test.
pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}
