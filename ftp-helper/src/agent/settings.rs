//! What the agent was asked to do, and how that gets into the maps.

use std::collections::HashSet;

use anyhow::Result;
use ftp_helper_common::{
    address::Address,
    interface::{ControlPort, Interface, control_port, flags},
    session::Direction,
};

use super::{Outside, Present, Selection};
use crate::{
    control_ports,
    datapath::{Maps, Orders},
    device::Device,
    kubernetes::{self, Discovered},
    mark::Mark,
    metrics::Listen,
    network::Network,
    pins::Technique,
    ports::{PortRange, PortSet},
    readers::Group,
};

/// What the agent was asked to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which interfaces are helped.
    pub selection: Selection,
    /// Those of them that are there.
    pub present: Present,
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
    /// Who beside root may read the pinned maps.
    pub group: Option<Group>,
    /// Services of Kubernetes that are watched.
    pub kubernetes: Option<kubernetes::Options>,
    /// What is known of them.
    pub discovered: Discovered,
}

impl Settings {
    /// Writes everything that is wanted. What programs of an earlier start still
    /// work with is left in place: [`withdraw`](Self::withdraw) comes later.
    pub fn apply(&self, maps: &mut Maps) -> Result<()> {
        self.apply_since(&Present::default(), maps)
    }

    /// The same where everything is in force for the interfaces of `before`: what an
    /// administrator has changed there since stays.
    pub fn apply_since(&self, before: &Present, maps: &mut Maps) -> Result<()> {
        maps.reserved_ports.store(&PortSet::reserved()?)?;
        maps.denied_ports.store(&self.denied_ports)?;
        maps.fxp_networks.store(&self.fxp)?;
        let outsides = self.present.outsides.iter();
        let outsides: Vec<&Outside> = outsides.filter(|it| !before.helps(it)).collect();
        for outside in &outsides {
            let ifindex = outside.device.index;
            maps.interfaces.insert(&ifindex, &self.interface(outside))?;
            for key in keys(outside) {
                maps.control_ports.insert(&key, &control_port::OPEN)?;
            }
        }
        self.discovered.add(&outsides, maps);
        for inside in &self.present.insides {
            maps.interfaces
                .insert(&inside.index, &self.inside_interface(inside))?;
        }
        // Last: a packet takes the long way only once the rest is there.
        let detect = self.selection.detect || maps.control_summary.detects()?;
        control_ports::summarise(&maps.control_ports, &mut maps.control_summary, detect)
    }

    /// Removes what is no longer wanted; for when all programs are in place.
    pub fn withdraw(&self, maps: &mut Maps) -> Result<()> {
        self.withdraw_since(&Present::default(), maps)
    }

    /// As [`apply_since`](Self::apply_since).
    pub fn withdraw_since(&self, before: &Present, maps: &mut Maps) -> Result<()> {
        for (key, value) in maps.control_ports.entries()? {
            let mut outsides = self.present.outsides.iter();
            let outside = outsides.find(|outside| outside.device.index == key.ifindex);
            match outside {
                None => {
                    maps.control_ports.remove(&key)?;
                }
                Some(outside) if before.helps(outside) => {}
                Some(outside) if !outside.control_ports.contains(&key.port) => {
                    let value = self.discovered.unconfigured(key.port, value);
                    maps.control_ports.insert(&key, &value)?;
                }
                Some(_) => {}
            }
        }
        for (ifindex, _) in maps.interfaces.entries()? {
            if !self.present.selects(ifindex, Direction::Ingress) {
                maps.interfaces.remove(&ifindex)?;
            }
        }
        control_ports::release(maps)?;
        self.discovered.forget(maps)?;
        self.summarise(maps)
    }

    /// Changes over to what Services want now, and touches nothing else: what an
    /// administrator has added stays.
    pub fn rediscover(&self, maps: &mut Maps) -> Result<()> {
        let outsides: Vec<&Outside> = self.present.outsides.iter().collect();
        self.discovered.add(&outsides, maps);
        // New ports count before old ones go.
        self.summarise(maps)?;
        self.discovered.drain(maps)?;
        control_ports::release(maps)?;
        self.discovered.forget(maps)?;
        self.summarise(maps)
    }

    fn summarise(&self, maps: &mut Maps) -> Result<()> {
        control_ports::summarise(
            &maps.control_ports,
            &mut maps.control_summary,
            self.selection.detect,
        )
    }

    fn interface(&self, outside: &Outside) -> Interface {
        Interface {
            advertise: outside
                .advertise
                .map_or(Address::UNSPECIFIED, Address::from),
            first_port: self.ports.first(),
            last_port: self.ports.last(),
            link_header: outside.link_header,
            flags: self.flags(),
            expectation_timeout: self.expectation_timeout,
            client_limit: self.client_limit,
            ct_zone: self.selection.ct_zone(&outside.device.name),
            ct_mark: self.ct_mark.value,
            skb_mark: self.skb_mark.value,
            skb_mark_mask: self.skb_mark.mask,
            reserved: 0,
        }
    }

    /// No control connection is read there, so most settings have no meaning.
    fn inside_interface(&self, inside: &Device) -> Interface {
        Interface {
            flags: flags::INSIDE,
            ct_zone: self.selection.ct_zone(&inside.name),
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
            (self.selection.detect, flags::DETECT),
            (!self.fxp.is_empty(), flags::FXP),
            (self.ccc, flags::CCC),
            (!self.selection.insides.is_empty(), flags::OUTGOING),
        ]
        .into_iter()
        .filter(|(wanted, _)| *wanted)
        .fold(self.discovered.flags(), |bits, (_, bit)| bits | bit)
    }
}

/// Frees what belongs to devices that are gone: there has to be room for what comes.
pub(super) fn forget_gone(maps: &mut Maps) -> Result<()> {
    let there: HashSet<u32> = Device::all()?.iter().map(|device| device.index).collect();
    for (index, _) in maps.interfaces.entries()? {
        if !there.contains(&index) {
            maps.interfaces.remove(&index)?;
        }
    }
    for (key, _) in maps.control_ports.entries()? {
        if !there.contains(&key.ifindex) {
            maps.control_ports.remove(&key)?;
        }
    }
    Ok(())
}

/// Keys of the map of control ports.
fn keys(outside: &Outside) -> impl Iterator<Item = ControlPort> {
    outside.control_ports.iter().map(|port| ControlPort {
        ifindex: outside.device.index,
        port: *port,
        reserved: 0,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ftp_helper_common::{
        address::Endpoint,
        few_ports,
        interface::DETECT_MARK,
        session::{Session, SessionKey},
    };
    use zerocopy::FromZeros as _;

    use super::*;
    use crate::{
        datapath::{SESSION_LIMIT, tests::with_maps},
        device::Device,
    };

    fn settings() -> Settings {
        Settings {
            selection: Selection::default(),
            present: Present {
                outsides: vec![Outside {
                    device: Device::find("lo").unwrap(),
                    link_header: 14,
                    control_ports: BTreeSet::from([21]),
                    advertise: Some("203.0.113.1".parse().unwrap()),
                }],
                ..Present::default()
            },
            ports: PortRange::DYNAMIC,
            expectation_timeout: 60,
            denied_ports: "3389".parse().unwrap(),
            session_limit: SESSION_LIMIT,
            client_limit: 5,
            fxp: Vec::new(),
            ccc: false,
            require_login: false,
            strict: true,
            ct_mark: Mark::default(),
            skb_mark: Mark::default(),
            technique: None,
            orders: Orders::default(),
            metrics: Listen::OFF,
            group: None,
            kubernetes: None,
            discovered: Discovered::Off,
        }
    }

    #[test]
    fn what_is_wanted_comes_first_and_what_is_not_goes_afterwards() {
        with_maps(|maps| {
            let mut earlier = settings();
            earlier.present.outsides[0].device.index = 4711;
            earlier.present.outsides[0].advertise = None;
            earlier.present.outsides[0].control_ports = BTreeSet::from([21, 2121]);
            earlier.selection.detect = true;
            earlier.apply(maps).unwrap();

            let wanted = settings();
            let lo = wanted.present.outsides[0].device.index;
            wanted.apply(maps).unwrap();
            assert_eq!(maps.interfaces.entries().unwrap().len(), 2);
            for port in [DETECT_MARK, 21, 2121] {
                assert!(maps.control_summary.contains(port).unwrap(), "{port}");
            }
            // Ports alone would say too little of who is let through.
            assert_eq!(maps.control_summary.word().unwrap(), few_ports::UNKNOWN);
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
            also.present.outsides[0].device = wanted.present.outsides[0].device.clone();
            also.apply(maps).unwrap();
            wanted.withdraw(maps).unwrap();
            let draining = ControlPort {
                ifindex: lo,
                port: 2121,
                reserved: 0,
            };
            let kind = maps.control_ports.get(&draining).unwrap();
            assert_eq!(kind, Some(control_port::DRAINING));
            assert!(maps.control_summary.contains(2121).unwrap());

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
            assert!(maps.control_summary.contains(21).unwrap());
            for port in [DETECT_MARK, 2121] {
                assert!(!maps.control_summary.contains(port).unwrap(), "{port}");
            }
            assert_eq!(maps.control_summary.word().unwrap(), few_ports::pack([21]));
        });
    }
}
