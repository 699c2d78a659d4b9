//! What the agent was asked to do, and how that gets into the maps.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context as _, Result};
use ftp_helper_common::{
    address::Address,
    interface::{ControlPort, DETECT_MARK, Interface, control_port, flags},
    session::Direction,
};

use crate::{
    control_ports,
    datapath::{Maps, Orders},
    device::Device,
    mark::Mark,
    metrics::Listen,
    network::Network,
    pins::Technique,
    ports::{PortRange, PortSet},
};

/// An interface that is helped.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The device.
    pub device: Device,
    /// Ports of FTP servers.
    pub control_ports: BTreeSet<u16>,
    /// Address that is announced in place of the packet's own.
    pub advertise: Option<IpAddr>,
}

impl Outside {
    /// Keys of the map of control ports.
    fn keys(&self) -> impl Iterator<Item = ControlPort> {
        self.control_ports.iter().map(|port| ControlPort {
            ifindex: self.device.index,
            port: *port,
            reserved: 0,
        })
    }
}

/// What the agent was asked to do.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that are set one by one"
)]
pub struct Settings {
    /// The outside interfaces.
    pub outsides: Vec<Outside>,
    /// Interfaces with inside hosts behind them, whose own data connections are
    /// admitted.
    pub insides: Vec<Device>,
    /// Outside ports for data connections whose announced one is taken.
    pub ports: PortRange,
    /// Seconds that an announced connection may take to come.
    pub expectation_timeout: u32,
    /// Ports that nobody may announce.
    pub denied_ports: PortSet,
    /// Most sessions at once.
    pub session_limit: u32,
    /// Most sessions of one client, 0 for no limit.
    pub client_limit: u32,
    /// Third parties that may take part in transfers.
    pub fxp: Vec<Network>,
    /// Sessions are also looked for on other ports.
    pub detect: bool,
    /// Clients may leave encryption again with `CCC`.
    pub ccc: bool,
    /// No announcement is helped before the server's 230.
    pub require_login: bool,
    /// An announced connection is admitted only after the server's 2xx.
    pub strict: bool,
    /// Mark of the conntrack entries of data connections.
    pub ct_mark: Mark,
    /// Mark of the packets that open data connections.
    pub skb_mark: Mark,
    /// How programs are attached, where the choice is not left to the agent.
    pub technique: Option<Technique>,
    /// Where the programs run among others.
    pub orders: Orders,
    /// Where metrics are served.
    pub metrics: Listen,
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
        maps.denied_ports.store(&self.denied_ports)?;
        maps.fxp_networks.store(&self.fxp)?;
        for outside in &self.outsides {
            let ifindex = outside.device.index;
            let interface = self.interface(outside)?;
            maps.interfaces.insert(&ifindex, &interface)?;
            for key in outside.keys() {
                maps.control_ports.insert(&key, &control_port::OPEN)?;
            }
        }
        for inside in &self.insides {
            maps.interfaces
                .insert(&inside.index, &self.inside_interface())?;
        }
        // Last: a packet takes the long way only once the rest is there.
        let detect = self.detect || maps.control_bitmap.contains(DETECT_MARK)?;
        control_ports::summarise(&maps.control_ports, &mut maps.control_bitmap, detect)
    }

    /// Removes what is no longer wanted; for when all programs are in place.
    pub fn withdraw(&self, maps: &mut Maps) -> Result<()> {
        for (key, _) in maps.control_ports.entries()? {
            let mut outsides = self.outsides.iter();
            let outside = outsides.find(|outside| outside.device.index == key.ifindex);
            match outside {
                None => {
                    maps.control_ports.remove(&key)?;
                }
                Some(outside) if !outside.control_ports.contains(&key.port) => {
                    maps.control_ports.insert(&key, &control_port::DRAINING)?;
                }
                Some(_) => {}
            }
        }
        for (ifindex, _) in maps.interfaces.entries()? {
            if !self.selects(ifindex, Direction::Ingress) {
                maps.interfaces.remove(&ifindex)?;
            }
        }
        control_ports::release(maps)?;
        control_ports::summarise(&maps.control_ports, &mut maps.control_bitmap, self.detect)
    }

    /// The devices and directions that a program works on. What inside hosts open
    /// is seen on its way in.
    pub fn attachments(&self) -> impl Iterator<Item = (&Device, Direction)> {
        let outsides = self.outsides.iter().map(|outside| &outside.device);
        let both = [Direction::Ingress, Direction::Egress];
        let outsides = outsides.flat_map(move |device| both.map(|direction| (device, direction)));
        let insides = self.insides.iter();
        outsides.chain(insides.map(|device| (device, Direction::Ingress)))
    }

    /// True when a program works on this direction of the interface.
    pub fn selects(&self, ifindex: u32, direction: Direction) -> bool {
        self.attachments()
            .any(|(device, selected)| device.index == ifindex && selected == direction)
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
            flags: self.flags(),
            expectation_timeout: self.expectation_timeout,
            client_limit: self.client_limit,
            ct_mark: self.ct_mark.value,
            skb_mark: self.skb_mark.value,
            skb_mark_mask: self.skb_mark.mask,
        })
    }

    /// No control connection is read there, so most settings have no meaning.
    fn inside_interface(&self) -> Interface {
        Interface {
            flags: flags::INSIDE,
            ct_mark: self.ct_mark.value,
            skb_mark: self.skb_mark.value,
            skb_mark_mask: self.skb_mark.mask,
            ..Interface::default()
        }
    }

    fn flags(&self) -> u16 {
        [
            (self.require_login, flags::REQUIRE_LOGIN),
            (self.strict, flags::STRICT),
            (self.detect, flags::DETECT),
            (!self.fxp.is_empty(), flags::FXP),
            (self.ccc, flags::CCC),
            (!self.insides.is_empty(), flags::OUTGOING),
        ]
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .fold(0, |bits, (_, bit)| bits | bit)
    }
}

#[cfg(test)]
mod tests {
    use ftp_helper_common::{
        address::Endpoint,
        session::{Session, SessionKey},
    };
    use zerocopy::FromZeros as _;

    use super::*;
    use crate::datapath::{SESSION_LIMIT, tests::with_maps};

    fn settings() -> Settings {
        Settings {
            outsides: vec![Outside {
                device: Device::find("lo").unwrap(),
                control_ports: BTreeSet::from([21]),
                advertise: Some("203.0.113.1".parse().unwrap()),
            }],
            insides: Vec::new(),
            ports: PortRange::DYNAMIC,
            expectation_timeout: 60,
            denied_ports: "3389".parse().unwrap(),
            session_limit: SESSION_LIMIT,
            client_limit: 5,
            fxp: Vec::new(),
            detect: false,
            ccc: false,
            require_login: false,
            strict: true,
            ct_mark: Mark::default(),
            skb_mark: Mark::default(),
            technique: None,
            orders: Orders::default(),
            metrics: Listen::OFF,
        }
    }

    #[test]
    fn what_is_wanted_comes_first_and_what_is_not_goes_afterwards() {
        with_maps(|maps| {
            let mut earlier = settings();
            earlier.outsides[0].device.index = 4711;
            earlier.outsides[0].advertise = None;
            earlier.outsides[0].control_ports = BTreeSet::from([21, 2121]);
            earlier.detect = true;
            // The index of a device that is gone, with the type of one that is not.
            earlier.apply(maps).unwrap();

            let wanted = settings();
            let lo = wanted.outsides[0].device.index;
            wanted.apply(maps).unwrap();
            assert_eq!(maps.interfaces.entries().unwrap().len(), 2);
            for port in [DETECT_MARK, 21, 2121] {
                assert!(maps.control_bitmap.contains(port).unwrap(), "{port}");
            }
            assert!(maps.reserved_ports.contains(1023).unwrap());
            assert!(maps.denied_ports.contains(3389).unwrap());

            // A session that is there still needs its numbers translated.
            let session = SessionKey {
                outside: Endpoint::new(Address::from_v4([203, 0, 113, 1]), 2121),
                ..SessionKey::default()
            };
            let mut value = Session::new_zeroed();
            value.ifindex = lo;
            maps.sessions.insert(&session, &value).unwrap();
            let mut also = earlier.clone();
            also.outsides[0].device = wanted.outsides[0].device.clone();
            also.apply(maps).unwrap();
            wanted.withdraw(maps).unwrap();
            let draining = ControlPort {
                ifindex: lo,
                port: 2121,
                reserved: 0,
            };
            let kind = maps.control_ports.get(&draining).unwrap();
            assert_eq!(kind, Some(control_port::DRAINING));
            assert!(maps.control_bitmap.contains(2121).unwrap());

            maps.sessions.remove(&session).unwrap();
            wanted.apply(maps).unwrap();
            wanted.withdraw(maps).unwrap();
            let expected = Interface {
                advertise: Address::from_v4([203, 0, 113, 1]),
                first_port: 49152,
                last_port: 65535,
                link_header: 14,
                flags: flags::STRICT,
                expectation_timeout: 60,
                client_limit: 5,
                ..Interface::default()
            };
            assert_eq!(maps.interfaces.entries().unwrap(), [(lo, expected)]);
            let port = ControlPort {
                ifindex: lo,
                port: 21,
                reserved: 0,
            };
            assert_eq!(maps.control_ports.entries().unwrap(), [(port, 1)]);
            assert!(maps.control_bitmap.contains(21).unwrap());
            for port in [DETECT_MARK, 2121] {
                assert!(!maps.control_bitmap.contains(port).unwrap(), "{port}");
            }
        });
    }
}
