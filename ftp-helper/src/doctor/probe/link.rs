//! Network devices and their addresses.

use std::net::IpAddr;

use anyhow::Result;
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::netlink::dump;

/// A network device.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The device that a VLAN is on top of.
    pub lower: Option<u32>,
    /// The bridge or bond that it is part of.
    pub master: Option<u32>,
    /// It is a bridge.
    pub is_bridge: bool,
    /// Its lower device is a matter of its protocol's daemon (PPP).
    pub point_to_point: bool,
}

/// An address of a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Address {
    /// Index of the device.
    pub index: u32,
    /// The device's own end, where there are two.
    pub address: IpAddr,
}

/// All devices of this network namespace.
pub fn links() -> Result<Vec<Link>> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answers = dump(NETLINK_ROUTE, request, None)?;
    Ok(answers.iter().filter_map(link).collect())
}

fn link(answer: &RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = answer else {
        return None;
    };
    let mut link = Link {
        index: message.header.index,
        point_to_point: message.header.link_layer_type == LinkLayerType::Ppp,
        ..Link::default()
    };
    let mut is_vlan = false;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Link(index) => link.lower = Some(*index),
            LinkAttribute::Controller(index) if *index != 0 => link.master = Some(*index),
            LinkAttribute::LinkInfo(parts) => {
                is_vlan = parts.contains(&LinkInfo::Kind(InfoKind::Vlan));
                link.is_bridge = parts.contains(&LinkInfo::Kind(InfoKind::Bridge));
            }
            _ => {}
        }
    }
    // The link of a veth device is its other end, which may even be elsewhere.
    if !is_vlan {
        link.lower = None;
    }
    Some(link)
}

/// Names of the devices that a flow table knows to send through in place of a
/// device: itself, what a VLAN is on top of, and the ports of a bridge.
pub fn beneath<'a>(links: &'a [Link], name: &str) -> Vec<&'a str> {
    let mut found: Vec<&Link> = links.iter().filter(|link| link.name == name).collect();
    let mut next = 0;
    while let Some(upper) = found.get(next).copied() {
        next += 1;
        for link in links {
            let is_port = upper.is_bridge && link.master == Some(upper.index);
            let is_beneath = is_port || upper.lower == Some(link.index);
            if is_beneath && !found.contains(&link) {
                found.push(link);
            }
        }
    }
    found.iter().map(|link| link.name.as_str()).collect()
}

/// All addresses of this network namespace.
pub fn addresses() -> Result<Vec<Address>> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let answers = dump(NETLINK_ROUTE, request, None)?;
    Ok(answers.iter().filter_map(address).collect())
}

fn address(answer: &RouteNetlinkMessage) -> Option<Address> {
    let RouteNetlinkMessage::NewAddress(message) = answer else {
        return None;
    };
    let mut other = None;
    let mut local = None;
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point device this one is the far end.
            AddressAttribute::Address(address) => other = Some(*address),
            AddressAttribute::Local(address) => local = Some(*address),
            _ => {}
        }
    }
    Some(Address {
        index: message.header.index,
        address: local.or(other)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, lower: Option<u32>, master: Option<u32>) -> Link {
        Link {
            index,
            name: name.to_owned(),
            lower,
            master,
            is_bridge: name.starts_with("br"),
            point_to_point: false,
        }
    }

    #[test]
    fn what_is_beneath_a_device() {
        let links = [
            link(1, "eth0", None, Some(3)),
            link(2, "eth1.7", Some(5), Some(3)),
            link(3, "br0", None, None),
            link(4, "br0.5", Some(3), None),
            link(5, "eth1", None, None),
            link(6, "eth2", None, Some(7)),
            link(7, "bond0", None, None),
        ];
        assert_eq!(
            beneath(&links, "br0.5"),
            ["br0.5", "br0", "eth0", "eth1.7", "eth1"]
        );
        assert_eq!(beneath(&links, "eth1"), ["eth1"]);
        assert_eq!(beneath(&links, "bond0"), ["bond0"]);
        assert!(beneath(&links, "none").is_empty());
    }

    #[test]
    fn the_loopback_device_and_its_address() {
        let links = links().unwrap();
        let lo = links.iter().find(|link| link.name == "lo").unwrap();
        assert_eq!(lo.lower, None);
        let addresses = addresses().unwrap();
        assert!(addresses.contains(&Address {
            index: lo.index,
            address: "127.0.0.1".parse().unwrap(),
        }));
    }
}
