//! What the agent was asked to do, and how that gets into the maps.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context as _, Result};
use ftp_helper_common::{
    address::Address,
    interface::{ControlPort, Interface},
};

use crate::{
    datapath::Maps,
    device::Device,
    pins::Technique,
    ports::{PortRange, PortSet},
};

/// An interface that is helped.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The device.
    pub device: Device,
    /// Address that is announced in place of the packet's own.
    pub advertise: Option<IpAddr>,
}

/// What the agent was asked to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The outside interfaces.
    pub outsides: Vec<Outside>,
    /// Ports of FTP servers, on every interface.
    pub control_ports: BTreeSet<u16>,
    /// Outside ports for data connections whose announced one is taken.
    pub ports: PortRange,
    /// Seconds that an announced connection may take to come.
    pub expectation_timeout: u32,
    /// How programs are attached, where the choice is not left to the agent.
    pub technique: Option<Technique>,
}

impl Settings {
    /// Names of the interfaces, for the log.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self
            .outsides
            .iter()
            .map(|outside| outside.device.name.as_str())
            .collect();
        names.join(", ")
    }

    /// Writes everything that is wanted. What programs of an earlier start still
    /// work with is left in place: [`withdraw`](Self::withdraw) comes later.
    pub fn apply(&self, maps: &mut Maps) -> Result<()> {
        maps.reserved_ports.store(&PortSet::reserved()?)?;
        for outside in &self.outsides {
            let ifindex = outside.device.index;
            let interface = self.interface(outside)?;
            maps.interfaces.insert(&ifindex, &interface)?;
            for key in self.control_ports_of(ifindex) {
                maps.control_ports.insert(&key, &1)?;
            }
        }
        // Last: a packet takes the long way only once the rest is there.
        let kept = maps.control_ports.entries()?;
        let ports: PortSet = kept.iter().map(|(key, _)| key.port).collect();
        maps.control_bitmap.store(&ports)
    }

    /// Removes what is no longer wanted; for when all programs are in place.
    pub fn withdraw(&self, maps: &mut Maps) -> Result<()> {
        let wanted = self.control_ports.iter().copied().collect();
        maps.control_bitmap.store(&wanted)?;
        for (key, _) in maps.control_ports.entries()? {
            if !(self.selects(key.ifindex) && self.control_ports.contains(&key.port)) {
                maps.control_ports.remove(&key)?;
            }
        }
        for (ifindex, _) in maps.interfaces.entries()? {
            if !self.selects(ifindex) {
                maps.interfaces.remove(&ifindex)?;
            }
        }
        Ok(())
    }

    /// True for an interface that is helped.
    pub fn selects(&self, ifindex: u32) -> bool {
        let mut outsides = self.outsides.iter();
        outsides.any(|outside| outside.device.index == ifindex)
    }

    fn interface(&self, outside: &Outside) -> Result<Interface> {
        let link_header = outside
            .device
            .link_header()
            .context("can not help this interface")?;
        Ok(Interface {
            advertise: outside
                .advertise
                .map_or(Address::UNSPECIFIED, Address::from),
            first_port: self.ports.first(),
            last_port: self.ports.last(),
            link_header,
            flags: 0,
            expectation_timeout: self.expectation_timeout,
            reserved: 0,
        })
    }

    fn control_ports_of(&self, ifindex: u32) -> impl Iterator<Item = ControlPort> {
        self.control_ports.iter().map(move |port| ControlPort {
            ifindex,
            port: *port,
            reserved: 0,
        })
    }
}
