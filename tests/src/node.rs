//! A node of Kubernetes: the lab's gateway with pods on flannel's bridge, and the rules
//! of kube-proxy for a Service that publishes one port.

mod iptables;
mod nftables;

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail};

pub use crate::bridged::OUTSIDE;
use crate::{
    bridged::{Bridged, Network, write_setting},
    firewall::{Backend, Ruleset},
    host::Host,
    lab::Lab,
    setup::{ControlPort, Family, Inside, Setup, Source},
};

/// flannel's bridge.
pub const BRIDGE: &str = "cni0";

/// The node's end of the first pod's device. Not the bridge: with the node's settings
/// conntrack has judged a packet when it reaches that.
pub const INSIDE: &str = "veth0";

/// What FTP servers listen on in their pods.
const SERVED: u16 = 21;

/// The Service's port on every address of the node.
const NODE_PORT: u16 = 30021;

/// The port of the node that the CNI plugin `portmap` forwards to the first pod.
const HOST_PORT: u16 = 2121;

/// Most pods of a node.
const PODS: usize = 2;

/// How kube-proxy writes its rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proxy {
    /// `mode: iptables`.
    Iptables(Backend),
    /// `mode: nftables`; flannel and the CNI plugins with their nftables backends.
    Nftables,
}

impl Proxy {
    /// Every way.
    pub const ALL: [Self; 3] = [
        Self::Iptables(Backend::Legacy),
        Self::Iptables(Backend::Nft),
        Self::Nftables,
    ];

    /// Which iptables it uses, if it does.
    pub(crate) fn backend(self) -> Option<Backend> {
        match self {
            Self::Iptables(backend) => Some(backend),
            Self::Nftables => None,
        }
    }
}

/// How clients outside get to the pods.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// The Service's port on the node.
    NodePort,
    /// An address of the Service that is on no interface, and for which the node
    /// answers ARP: what a load balancer in layer 2 mode makes.
    External,
    /// A port of the node for the first pod alone.
    HostPort,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::NodePort, Self::External, Self::HostPort];

    /// The port that clients connect to.
    pub fn port(self) -> u16 {
        match self {
            Self::NodePort => NODE_PORT,
            Self::External => SERVED,
            Self::HostPort => HOST_PORT,
        }
    }
}

/// What rules are written for: the Service has `externalTrafficPolicy: Local`.
#[derive(Clone, Debug)]
struct Service {
    /// Addresses of the pods on this node.
    pods: Network,
    /// Addresses of all pods of the cluster.
    cluster: Network,
    node: IpAddr,
    address: IpAddr,
    external: IpAddr,
    endpoints: Vec<IpAddr>,
}

impl Service {
    /// `ip` or `ip6`, as nftables says.
    fn word(&self) -> &'static str {
        match self.pods.family() {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        }
    }

    /// Where a pod listens.
    fn served(endpoint: IpAddr) -> SocketAddr {
        SocketAddr::new(endpoint, SERVED)
    }
}

/// Pods of the node.
fn pods(family: Family) -> Network {
    match family {
        Family::V4 => Network::new([10, 244, 1, 0], 24),
        Family::V6 => Network::new([0xfd00, 0x244, 1, 0, 0, 0, 0, 0], 64),
    }
}

/// Pods of the cluster.
fn cluster(family: Family) -> Network {
    match family {
        Family::V4 => Network::new([10, 244, 0, 0], 16),
        Family::V6 => Network::new([0xfd00, 0x244, 0, 0, 0, 0, 0, 0], 32),
    }
}

/// The Service's own address.
fn service_address(family: Family) -> IpAddr {
    match family {
        Family::V4 => [10, 96, 0, 21].into(),
        Family::V6 => [0xfd00, 0x96, 0, 0, 0, 0, 0, 0x21].into(),
    }
}

/// For a lab that becomes a node, with the first pod as client or as server.
pub fn setup(proxy: Proxy, inside: Inside, family: Family) -> Setup {
    Setup {
        ruleset: Ruleset::Node(proxy),
        ..pods(family).setup(inside, PODS - 1)
    }
}

/// The node with its pods.
#[derive(Debug)]
pub struct Node<'a> {
    lab: &'a Lab,
    proxy: Proxy,
    bridged: Bridged<'a>,
}

impl<'a> Node<'a> {
    /// Makes a node with so many pods of the gateway of `lab`, which was made with
    /// [`setup`].
    pub fn start(lab: &'a Lab, pods_wanted: usize) -> Result<Self> {
        let Ruleset::Node(proxy) = lab.setup.ruleset else {
            bail!("the lab was not made to become a node");
        };
        let bridged = Bridged::new(lab, BRIDGE, pods(lab.setup.family()))?;
        let mut node = Self {
            lab,
            proxy,
            bridged,
        };
        lab.gateway.enter(|| {
            for name in ["iptables", "ip6tables"] {
                write_setting(&format!("bridge/bridge-nf-call-{name}"), "1")?;
            }
            Ok(())
        })?;
        for _ in 1..pods_wanted {
            node.bridged.add()?;
        }
        node.announce_external_address()?;
        node.write_rules()?;
        Ok(node)
    }

    /// The lab as it looks with pod `index` as the server, behind this door.
    pub fn serving(&self, index: usize, door: Door) -> Result<Lab> {
        let port = ControlPort {
            served: SERVED,
            dialled: door.port(),
        };
        let mut lab = self.bridged.serving(index, port)?;
        if door == Door::External {
            // The second address of the outside network.
            lab.setup.source = Source::SecondAddress;
        }
        Ok(lab)
    }

    /// Pod `index` and its address.
    pub fn pod(&self, index: usize) -> Result<(&Host, IpAddr)> {
        self.bridged.at(index)
    }

    /// The Service's own address and port, to which the outside host gets a route: as
    /// network plug-ins do that announce these addresses.
    pub fn announce_service(&self) -> Result<SocketAddr> {
        let address = service_address(self.lab.setup.family());
        let wan = self.lab.setup.addresses.wan;
        let outside = self.lab.outside();
        outside.must(&format!("ip route replace {address} via {wan}"))?;
        Ok(Service::served(address))
    }

    /// Puts a new pod in the place of one, with another address.
    pub fn replace_pod(&mut self, index: usize) -> Result<()> {
        self.bridged.renew(index)?;
        self.write_rules()
    }

    /// Lets the outside host know whose the Service's external address is, as a
    /// speaker on the node does that answers ARP.
    fn announce_external_address(&self) -> Result<()> {
        let external = self.lab.setup.second_wan();
        let link = format!("ip -o link show {OUTSIDE}");
        let link = self.lab.gateway.must(&link)?;
        let mut words = link.split_whitespace();
        words.find(|word| *word == "link/ether");
        let address = words.next().context("no link address")?;
        let outside = self.lab.outside();
        outside.must(&format!(
            "ip neigh replace {external} lladdr {address} dev eth0 nud permanent"
        ))?;
        Ok(())
    }

    fn write_rules(&self) -> Result<()> {
        let family = self.lab.setup.family();
        let endpoints = (0..self.bridged.len())
            .map(|index| Ok(self.bridged.at(index)?.1))
            .collect::<Result<Vec<_>>>()?;
        let service = Service {
            pods: pods(family),
            cluster: cluster(family),
            node: self.lab.setup.addresses.wan,
            address: service_address(family),
            external: self.lab.setup.second_wan(),
            // A client's pod serves nothing.
            endpoints: match self.lab.setup.inside {
                Inside::Server => endpoints,
                Inside::Client => Vec::new(),
            },
        };
        let rules = match self.proxy {
            Proxy::Iptables(_) => iptables::rules(&service),
            Proxy::Nftables => nftables::rules(&service),
        };
        self.lab.setup.ruleset.load(self.lab, &rules)
    }
}
