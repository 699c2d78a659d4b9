//! A Docker host: the lab's gateway with a bridge, containers on it, and the rules
//! that Docker writes for a published port when its userland proxy is off.

mod iptables;
mod nftables;

use std::{net::IpAddr, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

pub use crate::bridged::OUTSIDE;
use crate::{
    bridged::{Bridged, Network, write_setting},
    firewall::{Backend, Ruleset},
    host::Host,
    lab::Lab,
    setup::{ControlPort, Family, Inside, Setup},
};

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

/// Docker's network: 1 is the host, 2 the first container.
fn network(family: Family) -> Network {
    match family {
        Family::V4 => Network::new([172, 17, 0, 0], 16),
        Family::V6 => Network::new([0xfd00, 0x172, 0x17, 0, 0, 0, 0, 0], 64),
    }
}

/// For a lab that becomes a Docker host, with the first container as client or as
/// server, and at most one more.
pub fn setup(engine: Engine, inside: Inside, family: Family) -> Setup {
    Setup {
        ruleset: Ruleset::Docker(engine),
        ..network(family).setup(inside, 1)
    }
}

/// The host with its containers.
#[derive(Debug)]
pub struct Docker<'a> {
    bridged: Bridged<'a>,
    /// For each container the host's port that leads to [`SERVED`] in there.
    ports: Vec<Option<u16>>,
}

impl<'a> Docker<'a> {
    /// Makes a Docker host of the gateway of `lab`, which was made with [`setup`].
    /// Each of `ports` is published for a container of its own; there is one
    /// container at least.
    pub fn start(lab: &'a Lab, ports: &[u16]) -> Result<Self> {
        let Ruleset::Docker(engine) = lab.setup.ruleset else {
            bail!("the lab was not made to become a Docker host");
        };
        let network = network(lab.setup.family());
        let mut bridged = Bridged::new(lab, BRIDGE, network)?;
        lab.gateway.enter(|| {
            // As Docker does with the userland proxy off.
            write_setting(&format!("ipv4/conf/{BRIDGE}/route_localnet"), "1")?;
            for name in ["iptables", "ip6tables"] {
                write_setting(&format!("bridge/bridge-nf-call-{name}"), "1")?;
            }
            Ok(())
        })?;
        for _ in ports.iter().skip(1) {
            bridged.add()?;
        }
        let mut ports: Vec<_> = ports.iter().copied().map(Some).collect();
        ports.resize(bridged.len(), None);
        let docker = Self { bridged, ports };
        let rules = engine.rules(network, &docker.published()?);
        lab.setup.ruleset.load(lab, &rules)?;
        Ok(docker)
    }

    /// The lab as it looks with container `index` as the server.
    pub fn serving(&self, index: usize) -> Result<Lab> {
        let port = self.ports.get(index).copied().flatten();
        let port = ControlPort {
            served: SERVED,
            dialled: port.context("the container publishes nothing")?,
        };
        self.bridged.serving(index, port)
    }

    /// Container `index`.
    pub fn container(&self, index: usize) -> Result<&Host> {
        Ok(self.bridged.at(index)?.0)
    }

    fn published(&self) -> Result<Vec<Published>> {
        let ports = self.ports.iter().enumerate();
        let published = ports.filter_map(|(index, port)| port.map(|port| (index, port)));
        published
            .map(|(index, port)| {
                Ok(Published {
                    container: self.bridged.at(index)?.1,
                    port,
                })
            })
            .collect()
    }
}
