//! What a lab shall look like.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub use crate::{
    docker::Engine,
    firewall::{Backend, Egress, Ruleset, Source},
    link::Link,
    node::Proxy,
};

/// Everything that can be chosen about a lab.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// Addresses of the three hosts.
    pub addresses: Addresses,
    /// Which of the two ends lives behind the gateway.
    pub inside: Inside,
    /// Whether the gateway hides the inside network.
    pub translation: Translation,
    /// Port that the FTP server listens on, and that clients connect to.
    pub control_port: ControlPort,
    /// What happens to packets between the inside host and the gateway.
    pub inside_wire: Option<Impairment>,
    /// What happens to packets between the gateway and the outside host.
    pub outside_wire: Option<Impairment>,
    /// What the gateway and the outside host are connected by. Only a plain one
    /// can have an impaired wire.
    pub link: Link,
    /// Offloads of every network device, but for those of a link of its own kind.
    pub offloads: Offloads,
    /// How many further hosts there are, for the scenario to connect.
    pub spares: usize,
    /// What the gateway's rules are written with.
    pub ruleset: Ruleset,
    /// What hosts inside may open by themselves.
    pub egress: Egress,
    /// What connections to the outside seem to come from.
    pub source: Source,
    /// Ports that masquerade gives to connections, where it may not leave them.
    pub ports: Option<(u16, u16)>,
    /// Who helps FTP through the gateway, apart from an agent started later.
    pub helper: Helper,
    /// Whether the lab may outlive the process that made it.
    pub lifetime: Lifetime,
}

impl Setup {
    /// A lab with `inside` behind the gateway.
    pub fn new(inside: Inside, family: Family, translation: Translation) -> Self {
        let addresses = match family {
            Family::V4 => Addresses::default(),
            Family::V6 => Addresses::v6(),
        };
        Self {
            addresses: match inside {
                Inside::Client => addresses,
                Inside::Server => addresses.swapped(),
            },
            inside,
            translation,
            ..Self::default()
        }
    }

    /// The address of the host behind the gateway.
    pub fn inside_address(&self) -> IpAddr {
        match self.inside {
            Inside::Client => self.addresses.client,
            Inside::Server => self.addresses.server,
        }
    }

    /// The address of the host in front of the gateway.
    pub fn outside_address(&self) -> IpAddr {
        match self.inside {
            Inside::Client => self.addresses.server,
            Inside::Server => self.addresses.client,
        }
    }

    /// The address by which the outside knows the inside host.
    pub fn known_as(&self) -> IpAddr {
        match (self.translation, self.source) {
            (Translation::None, _) => self.inside_address(),
            (Translation::Nat, Source::SecondAddress) => self.second_wan(),
            (Translation::Nat, _) => self.addresses.wan,
        }
    }

    /// Another outside address of the gateway's, in use with
    /// [`Source::SecondAddress`].
    pub fn second_wan(&self) -> IpAddr {
        neighbour(self.addresses.wan, 9)
    }

    /// Where the server listens.
    pub fn served_at(&self) -> SocketAddr {
        SocketAddr::new(self.addresses.server, self.control_port.served)
    }

    /// Where clients connect to.
    pub fn dialled(&self) -> SocketAddr {
        let address = match self.inside {
            Inside::Client => self.addresses.server,
            Inside::Server => self.known_as(),
        };
        SocketAddr::new(address, self.control_port.dialled)
    }

    /// Which IP version the lab speaks.
    pub fn family(&self) -> Family {
        match self.addresses.wan {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Whether a wire loses some.
    pub fn loses_packets(&self) -> bool {
        let wires = [self.inside_wire, self.outside_wire];
        wires.into_iter().flatten().any(|wire| wire.loss > 0)
    }

    /// A short name for messages: `server inside, V6, Nat`.
    pub fn name(&self) -> String {
        let inside = match self.inside {
            Inside::Client => "client",
            Inside::Server => "server",
        };
        format!(
            "{inside} inside, {:?}, {:?}",
            self.family(),
            self.translation
        )
    }
}

/// The address in the network of `address` that ends in `number`.
pub fn neighbour(address: IpAddr, number: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mut octets = address.octets();
            octets[3] = number;
            octets.into()
        }
        IpAddr::V6(address) => {
            let mut segments = address.segments();
            segments[7] = number.into();
            segments.into()
        }
    }
}

/// IP version of a lab.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];
}

/// Who lives behind the gateway.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Inside {
    /// The client: the usual router of a household or an office.
    #[default]
    Client,
    /// The server: a published service.
    Server,
}

impl Inside {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Client, Self::Server];
}

/// What the gateway does to addresses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Translation {
    /// Masquerade on the way out, and a forwarded control port to a server inside.
    #[default]
    Nat,
    /// Nothing: it only filters.
    None,
}

impl Translation {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Nat, Self::None];
}

/// The port of the control connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ControlPort {
    /// What the server listens on.
    pub served: u16,
    /// What clients connect to; only a translating gateway with the server
    /// inside can make that another one.
    pub dialled: u16,
}

impl Default for ControlPort {
    fn default() -> Self {
        Self {
            served: 21,
            dialled: 21,
        }
    }
}

/// Addresses of a lab; both networks are /24, or /64 with IPv6. The client is
/// inside and the server outside, unless [`Setup::inside`] says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The client.
    pub client: IpAddr,
    /// The gateway's inside address.
    pub lan: IpAddr,
    /// The gateway's outside address: what masquerade puts into packets.
    pub wan: IpAddr,
    /// The server.
    pub server: IpAddr,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            client: Ipv4Addr::new(10, 0, 0, 2).into(),
            lan: Ipv4Addr::new(10, 0, 0, 1).into(),
            wan: Ipv4Addr::new(203, 0, 113, 1).into(),
            server: Ipv4Addr::new(203, 0, 113, 2).into(),
        }
    }
}

impl Addresses {
    /// The same with IPv6.
    pub fn v6() -> Self {
        let inside = |host| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host).into();
        let outside = |host| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host).into();
        Self {
            client: inside(2),
            lan: inside(1),
            wan: outside(1),
            server: outside(2),
        }
    }

    /// With client and server in each other's place.
    #[must_use]
    pub fn swapped(self) -> Self {
        Self {
            client: self.server,
            server: self.client,
            ..self
        }
    }
}

/// What a relay on the way does to TCP packets. The same seed does the same to
/// the same packets; chances are in thousandths.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Impairment {
    /// Where the choices start from.
    pub seed: u64,
    /// Chance of a packet to get lost; three in a row never are, which would
    /// test the patience of TCP.
    pub loss: u32,
    /// Chance of a packet to be sent twice.
    pub duplication: u32,
    /// Chance of a packet to be overtaken.
    pub reordering: u32,
    /// By how many packets of its direction an overtaken one is.
    pub distance: usize,
    /// Control segments are cut into pieces of this many bytes.
    pub pieces: Option<usize>,
}

/// Offloads of the veth devices; with all of them on, segments reach the
/// gateway large and with checksums left to be completed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four switches that are set one by one"
)]
pub struct Offloads {
    /// Transmit checksums may be left to the device.
    pub tx_checksum: bool,
    /// TCP segments larger than the MTU may be given to the device.
    pub tso: bool,
    /// Segments are cut as late as possible in software.
    pub gso: bool,
    /// Segments that follow each other are merged on arrival.
    pub gro: bool,
}

impl Default for Offloads {
    fn default() -> Self {
        Self {
            tx_checksum: true,
            tso: true,
            gso: true,
            gro: false,
        }
    }
}

impl Offloads {
    /// None: every packet is on the wire as it is sent.
    pub const NONE: Self = Self {
        tx_checksum: false,
        tso: false,
        gso: false,
        gro: false,
    };

    /// Every combination that a device can have: TSO needs checksums.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..16_u8)
            .map(|bits| Self {
                tx_checksum: bits & 1 != 0,
                tso: bits & 2 != 0,
                gso: bits & 4 != 0,
                gro: bits & 8 != 0,
            })
            .filter(|offloads| offloads.tx_checksum || !offloads.tso)
    }

    /// For `ethtool -K`, as `ethtool -k` says it, and whether it is on.
    pub(crate) fn settings(self) -> [(&'static str, &'static str, bool); 4] {
        [
            ("tx", "tx-checksumming", self.tx_checksum),
            ("tso", "tcp-segmentation-offload", self.tso),
            ("gso", "generic-segmentation-offload", self.gso),
            ("gro", "generic-receive-offload", self.gro),
        ]
    }

    /// ethtool's word.
    pub(crate) fn word(on: bool) -> &'static str {
        if on { "on" } else { "off" }
    }
}

/// Who helps FTP through the gateway.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Helper {
    /// Nobody, unless the scenario starts an agent.
    #[default]
    Nobody,
    /// The kernel's `nf_conntrack_ftp` and `nf_nat_ftp`, for comparison.
    Kernel,
}

/// What a lab's life is bound to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Lifetime {
    /// The thread that made it; not even SIGKILL leaves a part of it behind.
    #[default]
    Bound,
    /// The [`Lab`](crate::lab::Lab) value, which may be told to leave it up.
    Detachable,
}
