//! A Docker host: the lab's gateway with a bridge, containers on it, and the rules
//! that Docker writes for a published port when its userland proxy is off.

mod iptables;
mod nftables;

use std::{fs, net::IpAddr, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    firewall::{Backend, Ruleset},
    host::Host,
    lab::{Lab, Spare, pair},
    setup::{ControlPort, Family, Inside, Setup, Translation},
};

/// The host's outside interface.
pub const OUTSIDE: &str = "eth0";

/// The bridge.
pub const BRIDGE: &str = "docker0";

/// What FTP servers listen on in their containers.
const SERVED: u16 = 21;

/// Whose rules the host has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Engine {
    /// Docker up to 27.
    Classic(Backend),
    /// Docker from 28 on.
    Current(Backend),
    /// Docker from 29 on with `"firewall-backend": "nftables"`.
    Nftables,
}

impl Engine {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Classic(Backend::Legacy),
        Self::Classic(Backend::Nft),
        Self::Current(Backend::Legacy),
        Self::Current(Backend::Nft),
        Self::Nftables,
    ];

    /// Which iptables it uses, if it does.
    pub(crate) fn backend(self) -> Option<Backend> {
        match self {
            Self::Classic(backend) | Self::Current(backend) => Some(backend),
            Self::Nftables => None,
        }
    }

    fn rules(self, network: Network, published: &[Published]) -> String {
        match self {
            Self::Classic(_) => iptables::classic(network, published),
            Self::Current(_) => iptables::current(network, published),
            Self::Nftables => nftables::rules(network, published),
        }
    }
}

/// Why bridges of this machine do not show their packets to iptables, if that is so.
/// To be called before a lab is made.
pub fn bridges_without_iptables() -> Option<String> {
    const SETTING: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    // It may be built in, or there already: whether that is so shows below.
    let _ = Command::new("modprobe")
        .args(["-q", "br_netfilter"])
        .status();
    (!Path::new(SETTING).exists()).then(|| format!("no {SETTING} (module br_netfilter)"))
}

/// A container's port that the host forwards.
#[derive(Clone, Copy, Debug)]
struct Published {
    container: IpAddr,
    port: u16,
}

/// A line for each of `published`.
fn lines(published: &[Published], line: impl Fn(&Published) -> String) -> String {
    let lines: Vec<_> = published.iter().map(|one| line(one) + "\n").collect();
    lines.concat()
}

/// The addresses of Docker's network.
#[derive(Clone, Copy, Debug)]
struct Network {
    family: Family,
}

impl Network {
    fn prefix(self) -> &'static str {
        match self.family {
            Family::V4 => "172.17.0.0/16",
            Family::V6 => "fd00:172:17::/64",
        }
    }

    fn length(self) -> u8 {
        match self.family {
            Family::V4 => 16,
            Family::V6 => 64,
        }
    }

    /// 1 is the host, 2 the first container.
    fn address(self, number: u8) -> IpAddr {
        match self.family {
            Family::V4 => [172, 17, 0, number].into(),
            Family::V6 => [0xfd00, 0x172, 0x17, 0, 0, 0, 0, u16::from(number)].into(),
        }
    }
}

/// For a lab that becomes a Docker host, with the first container as client or as
/// server, and at most one more.
pub fn setup(engine: Engine, inside: Inside, family: Family) -> Setup {
    let mut setup = Setup {
        ruleset: Ruleset::Docker(engine),
        spares: 1,
        ..Setup::new(inside, family, Translation::Nat)
    };
    let network = Network { family };
    setup.addresses.lan = network.address(1);
    match inside {
        Inside::Client => setup.addresses.client = network.address(2),
        Inside::Server => setup.addresses.server = network.address(2),
    }
    setup
}

/// The host with its containers.
#[derive(Debug)]
pub struct Docker<'a> {
    lab: &'a Lab,
    network: Network,
    containers: Vec<Container>,
}

#[derive(Debug)]
struct Container {
    host: Host,
    address: IpAddr,
    /// The host's port that leads to [`SERVED`] in there.
    port: Option<u16>,
}

impl<'a> Docker<'a> {
    /// Makes a Docker host of the gateway of `lab`, which was made with [`setup`].
    /// Each of `ports` is published for a container of its own; there is one
    /// container at least.
    pub fn start(lab: &'a Lab, ports: &[u16]) -> Result<Self> {
        let Ruleset::Docker(engine) = lab.setup.ruleset else {
            bail!("the lab was not made to become a Docker host");
        };
        let network = Network {
            family: lab.setup.family(),
        };
        let mut docker = Self {
            lab,
            network,
            containers: Vec::new(),
        };
        docker.make_bridge()?;
        docker.take_inside_host(ports.first().copied())?;
        let mut spares = lab.spares.iter();
        for port in ports.iter().skip(1) {
            let spare = spares.next().context("too few hosts for the containers")?;
            docker.add_container(spare, *port)?;
        }
        let rules = engine.rules(network, &docker.published());
        lab.setup.ruleset.load(lab, &rules)?;
        Ok(docker)
    }

    /// The lab as it looks with container `index` as the server.
    pub fn serving(&self, index: usize) -> Result<Lab> {
        let container = self.containers.get(index).context("no such container")?;
        let mut setup = self.lab.setup;
        setup.addresses.server = container.address;
        setup.control_port = ControlPort {
            served: SERVED,
            dialled: container.port.context("the container publishes nothing")?,
        };
        Ok(self.lab.with_server(setup, &container.host))
    }

    /// Container `index`.
    pub fn container(&self, index: usize) -> Result<&Host> {
        let container = self.containers.get(index);
        Ok(&container.context("no such container")?.host)
    }

    fn make_bridge(&self) -> Result<()> {
        let gateway = &self.lab.gateway;
        let Network { family, .. } = self.network;
        // A device can not be renamed while it is up.
        gateway.must("ip link set wan0 down")?;
        gateway.must(&format!("ip link set wan0 name {OUTSIDE}"))?;
        if family == Family::V6 {
            // Unlike one of IPv4, an address goes when the device goes down.
            let wan = self.lab.setup.addresses.wan;
            gateway.must(&format!("ip address add {wan}/64 dev {OUTSIDE} nodad"))?;
        }
        gateway.must(&format!("ip link set {OUTSIDE} up"))?;
        gateway.must(&format!("ip link add {BRIDGE} type bridge"))?;
        gateway.must("ip address flush dev lan0")?;
        self.assign(gateway, BRIDGE, self.network.address(1))?;
        gateway.enter(|| {
            // As Docker does with the userland proxy off.
            write_setting(&format!("ipv4/conf/{BRIDGE}/route_localnet"), "1")?;
            for name in ["iptables", "ip6tables"] {
                write_setting(&format!("bridge/bridge-nf-call-{name}"), "1")?;
            }
            Ok(())
        })
    }

    /// Makes the first container of the lab's inside host.
    fn take_inside_host(&mut self, port: Option<u16>) -> Result<()> {
        let host = self.lab.inside();
        self.lab.gateway.must("ip link set lan0 down")?;
        self.lab.gateway.must("ip link set lan0 name veth0")?;
        host.must("ip address flush dev eth0")?;
        self.connect("veth0", host, port)
    }

    fn add_container(&mut self, spare: &Spare, port: u16) -> Result<()> {
        let veth = format!("veth{}", self.containers.len());
        pair(&self.lab.gateway, &veth, "eth0", spare.pid)?;
        spare.host.must("ip link set lo up")?;
        self.connect(&veth, &spare.host, Some(port))
    }

    /// Puts `veth` on the bridge, and `host` behind it into the network.
    fn connect(&mut self, veth: &str, host: &Host, port: Option<u16>) -> Result<()> {
        let number = u8::try_from(self.containers.len())?.saturating_add(2);
        let address = self.network.address(number);
        let gateway = &self.lab.gateway;
        gateway.must(&format!("ip link set {veth} master {BRIDGE}"))?;
        // As Docker does with the userland proxy off.
        gateway.must(&format!("bridge link set dev {veth} hairpin on"))?;
        gateway.must(&format!("ip link set {veth} up"))?;
        self.assign(host, "eth0", address)?;
        let router = self.network.address(1);
        host.must(&format!("ip route replace default via {router}"))?;
        self.containers.push(Container {
            host: host.clone(),
            address,
            port,
        });
        Ok(())
    }

    fn assign(&self, host: &Host, device: &str, address: IpAddr) -> Result<()> {
        let length = self.network.length();
        let extra = match self.network.family {
            Family::V4 => "",
            Family::V6 => "nodad",
        };
        host.must(&format!(
            "ip address add {address}/{length} dev {device} {extra}"
        ))?;
        host.must(&format!("ip link set {device} up"))?;
        Ok(())
    }

    fn published(&self) -> Vec<Published> {
        let published = self.containers.iter().filter_map(|container| {
            Some(Published {
                container: container.address,
                port: container.port?,
            })
        });
        published.collect()
    }
}

/// For the network namespace of the calling thread.
fn write_setting(name: &str, value: &str) -> Result<()> {
    let path = Path::new("/proc/sys/net").join(name);
    fs::write(&path, value).with_context(|| format!("{} not set", path.display()))
}
