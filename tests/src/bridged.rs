//! Hosts on a bridge of the gateway's, as a container engine or a node of Kubernetes
//! connects them.

use std::{fs, net::IpAddr, path::Path};

use anyhow::{Context as _, Result};

use crate::{
    host::Host,
    lab::{Lab, pair},
    setup::{ControlPort, Family, Inside, Setup, Translation},
};

/// The outside interface.
pub const OUTSIDE: &str = "eth0";

/// The network of a bridge: 1 is the gateway, the others start at 2.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    base: IpAddr,
    length: u8,
}

impl Network {
    /// The network of this length that starts at `base`.
    pub(crate) fn new(base: impl Into<IpAddr>, length: u8) -> Self {
        Self {
            base: base.into(),
            length,
        }
    }

    /// In the way of rules: `172.17.0.0/16`.
    pub(crate) fn prefix(self) -> String {
        format!("{}/{}", self.base, self.length)
    }

    /// Which IP version it is of.
    pub(crate) fn family(self) -> Family {
        match self.base {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// An address of it.
    pub(crate) fn address(self, number: u8) -> IpAddr {
        crate::setup::neighbour(self.base, number)
    }

    /// For a lab whose inside host becomes the first one on the bridge, with so many
    /// hosts to spare.
    pub(crate) fn setup(self, inside: Inside, spares: usize) -> Setup {
        let mut setup = Setup {
            spares,
            ..Setup::new(inside, self.family(), Translation::Nat)
        };
        setup.addresses.lan = self.address(1);
        match inside {
            Inside::Client => setup.addresses.client = self.address(2),
            Inside::Server => setup.addresses.server = self.address(2),
        }
        setup
    }
}

/// The gateway's bridge with the hosts on it.
#[derive(Debug)]
pub(crate) struct Bridged<'a> {
    lab: &'a Lab,
    bridge: &'static str,
    network: Network,
    hosts: Vec<(Host, IpAddr)>,
    /// Addresses that were given out.
    given: u8,
}

impl<'a> Bridged<'a> {
    /// Makes the bridge, with the lab's inside host on it. The lab was made with
    /// [`Network::setup`].
    pub(crate) fn new(lab: &'a Lab, bridge: &'static str, network: Network) -> Result<Self> {
        let mut bridged = Self {
            lab,
            bridge,
            network,
            hosts: Vec::new(),
            given: 1,
        };
        bridged.make_bridge()?;
        let host = lab.inside();
        lab.gateway.must("ip link set lan0 down")?;
        lab.gateway.must("ip link set lan0 name veth0")?;
        host.must("ip address flush dev eth0")?;
        bridged.connect("veth0", host)?;
        Ok(bridged)
    }

    /// Connects the next of the lab's spare hosts.
    pub(crate) fn add(&mut self) -> Result<()> {
        let number = self.hosts.len();
        let spare = number
            .checked_sub(1)
            .and_then(|spare| self.lab.spare(spare));
        let (host, pid) = spare.context("too few hosts for the bridge")?;
        let veth = format!("veth{number}");
        pair(&self.lab.gateway, &veth, "eth0", pid)?;
        host.must("ip link set lo up")?;
        self.connect(&veth, host)
    }

    /// Gives host `index` an address that nobody had, in the place of its own: as if
    /// it were a new one.
    pub(crate) fn renew(&mut self, index: usize) -> Result<()> {
        let (host, _) = self.at(index)?;
        host.must("ip address flush dev eth0")?;
        let host = host.clone();
        let address = self.next_address();
        self.settle(&host, address)?;
        if let Some(entry) = self.hosts.get_mut(index) {
            entry.1 = address;
        }
        Ok(())
    }

    /// Number of hosts on the bridge.
    pub(crate) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Host `index` and its address.
    pub(crate) fn at(&self, index: usize) -> Result<(&Host, IpAddr)> {
        let (host, address) = self.hosts.get(index).context("no such host")?;
        Ok((host, *address))
    }

    /// The lab as it looks with host `index` as the server.
    pub(crate) fn serving(&self, index: usize, port: ControlPort) -> Result<Lab> {
        let (host, address) = self.at(index)?;
        let mut setup = self.lab.setup;
        setup.addresses.server = address;
        setup.control_port = port;
        Ok(self.lab.with_server(setup, host))
    }

    fn make_bridge(&self) -> Result<()> {
        let (gateway, bridge) = (&self.lab.gateway, self.bridge);
        // A device can not be renamed while it is up.
        gateway.must("ip link set wan0 down")?;
        gateway.must(&format!("ip link set wan0 name {OUTSIDE}"))?;
        if self.network.family() == Family::V6 {
            // Unlike one of IPv4, an address goes when the device goes down.
            let wan = self.lab.setup.addresses.wan;
            gateway.must(&format!("ip address add {wan}/64 dev {OUTSIDE} nodad"))?;
        }
        gateway.must(&format!("ip link set {OUTSIDE} up"))?;
        gateway.must(&format!("ip link add {bridge} type bridge"))?;
        gateway.must("ip address flush dev lan0")?;
        self.assign(gateway, bridge, self.network.address(1))
    }

    /// Puts `veth` on the bridge, and `host` behind it into the network.
    fn connect(&mut self, veth: &str, host: &Host) -> Result<()> {
        let gateway = &self.lab.gateway;
        gateway.must(&format!("ip link set {veth} master {}", self.bridge))?;
        // A host may reach itself by an address of the gateway's.
        gateway.must(&format!("bridge link set dev {veth} hairpin on"))?;
        gateway.must(&format!("ip link set {veth} up"))?;
        let address = self.next_address();
        self.settle(host, address)?;
        self.hosts.push((host.clone(), address));
        Ok(())
    }

    fn next_address(&mut self) -> IpAddr {
        self.given = self.given.saturating_add(1);
        self.network.address(self.given)
    }

    fn settle(&self, host: &Host, address: IpAddr) -> Result<()> {
        self.assign(host, "eth0", address)?;
        let router = self.network.address(1);
        host.must(&format!("ip route replace default via {router}"))?;
        Ok(())
    }

    fn assign(&self, host: &Host, device: &str, address: IpAddr) -> Result<()> {
        let length = self.network.length;
        let extra = match self.network.family() {
            Family::V4 => "",
            Family::V6 => "nodad",
        };
        host.must(&format!(
            "ip address add {address}/{length} dev {device} {extra}"
        ))?;
        host.must(&format!("ip link set {device} up"))?;
        Ok(())
    }
}

/// For the network namespace of the calling thread.
pub(crate) fn write_setting(name: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys/net").join(name);
    fs::write(&path, value).with_context(|| format!("{} not set", path.display()))
}
