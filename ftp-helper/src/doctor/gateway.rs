//! What the checks look at.

use std::{
    cell::{OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
    time::Duration,
};

use anyhow::Result;
use ftp_helper_common::interface::{Interface, flags};

use super::probe::{
    Patience,
    conntrack::{self, Entry},
    iptables::{self, Save},
    link::{self, Address, Link},
    nft::{self, Ruleset},
};
use crate::{
    agent::Settings,
    datapath::maps::{CONTROL_PORTS, INTERFACES, Interfaces, Ports},
    device::Device,
    failure::one_line,
    pins::{PinDirectory, Pins},
    ports::PortRange,
};

/// The port of FTP servers when nobody named one.
const FTP: u16 = 21;

/// Enough for very large firewalls.
const PATIENCE: Patience = Patience::Each(Duration::from_secs(20));

/// An outside interface, with what it is or would be helped with.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The device.
    pub device: Device,
    /// Something is pinned for it.
    pub helped: bool,
    /// Ports of FTP servers.
    pub control_ports: BTreeSet<u16>,
    /// What is announced in place of the packets' own address.
    pub advertise: Option<IpAddr>,
    /// Outside ports for data connections.
    pub ports: PortRange,
    /// The zone of conntrack in which its connections are looked for.
    pub ct_zone: u16,
}

/// Something that was read, or why it could not be.
pub type Seen<T> = Result<T, String>;

/// What the checks look at; each thing is read when it is first asked for.
pub struct Gateway {
    /// The pin directory.
    pub pins: PinDirectory,
    /// What is in it.
    pub pinned: Pins,
    /// The outside interfaces.
    pub outsides: Vec<Outside>,
    /// The inside interfaces that are watched.
    pub insides: Vec<Device>,
    patience: Patience,
    ruleset: OnceCell<Seen<Ruleset>>,
    saves: OnceCell<Vec<Seen<Save>>>,
    links: OnceCell<Seen<Vec<Link>>>,
    addresses: OnceCell<Seen<Vec<Address>>>,
    connections: RefCell<BTreeMap<u16, Rc<[Entry]>>>,
}

impl Gateway {
    /// The gateway with these outside interfaces; with none named, those that
    /// something is pinned for.
    pub fn new(pins: &PinDirectory, names: &[String]) -> Result<Self> {
        let pinned = pins.read()?;
        let mut devices: Vec<Device> = Vec::new();
        let mut add = |device: Device| {
            if !devices.contains(&device) {
                devices.push(device);
            }
        };
        for name in names {
            add(Device::find(name)?);
        }
        if names.is_empty() {
            for pin in &pinned.attachments {
                let name = Device::name_of(pin.device.index);
                // A device that is gone has none; the check of attachments says so.
                if let Ok(device) = Device::find(&name) {
                    add(device);
                }
            }
        }
        devices.sort_by_key(|device| device.index);
        let known = Known::read(pins);
        let (insides, outsides): (Vec<_>, Vec<_>) = devices
            .into_iter()
            .partition(|device| known.is_inside(device));
        let outsides = outsides
            .into_iter()
            .map(|device| known.outside(device, &pinned))
            .collect();
        Ok(Self::with(pins, pinned, (outsides, insides), PATIENCE))
    }

    /// The gateway as a start of the agent with these settings finds it.
    pub fn of_start(pins: &PinDirectory, settings: &Settings, patience: Patience) -> Result<Self> {
        let outsides = settings
            .present
            .outsides
            .iter()
            .map(|outside| Outside {
                device: outside.device.clone(),
                helped: true,
                control_ports: outside.control_ports.clone(),
                advertise: outside.advertise,
                ports: settings.ports,
                ct_zone: settings.selection.ct_zone(&outside.device.name),
            })
            .collect();
        let interfaces = (outsides, settings.present.insides.clone());
        Ok(Self::with(pins, pins.read()?, interfaces, patience))
    }

    fn with(
        pins: &PinDirectory,
        pinned: Pins,
        (outsides, insides): (Vec<Outside>, Vec<Device>),
        patience: Patience,
    ) -> Self {
        Self {
            pins: pins.clone(),
            pinned,
            outsides,
            insides,
            patience,
            ruleset: OnceCell::new(),
            saves: OnceCell::new(),
            links: OnceCell::new(),
            addresses: OnceCell::new(),
            connections: RefCell::default(),
        }
    }

    /// The control ports of all outside interfaces.
    pub fn control_ports(&self) -> BTreeSet<u16> {
        if self.outsides.is_empty() {
            return BTreeSet::from([FTP]);
        }
        self.outsides
            .iter()
            .flat_map(|outside| outside.control_ports.iter().copied())
            .collect()
    }

    /// The rules of nftables.
    pub fn ruleset(&self) -> &Seen<Ruleset> {
        self.ruleset.get_or_init(|| seen(nft::read(self.patience)))
    }

    /// The rules of iptables, one of each tool that is there.
    pub fn saves(&self) -> &[Seen<Save>] {
        self.saves.get_or_init(|| {
            let saves = iptables::read(self.patience).into_iter();
            saves.map(seen).collect()
        })
    }

    /// The network devices.
    pub fn links(&self) -> &Seen<Vec<Link>> {
        self.links.get_or_init(|| seen(link::links()))
    }

    /// The TCP connections to a port. The kernel goes through its whole table for
    /// them.
    pub fn connections_to(&self, port: u16) -> Result<Rc<[Entry]>> {
        if let Some(entries) = self.connections.borrow().get(&port) {
            return Ok(entries.clone());
        }
        let entries: Rc<[Entry]> = conntrack::to_port(port, self.patience)?.into();
        self.connections.borrow_mut().insert(port, entries.clone());
        Ok(entries)
    }

    /// The addresses of a device.
    pub fn addresses(&self, device: &Device) -> Seen<Vec<IpAddr>> {
        let all = self.addresses.get_or_init(|| seen(link::addresses()));
        Ok(all
            .as_ref()
            .map_err(Clone::clone)?
            .iter()
            .filter(|address| address.index == device.index)
            .map(|address| address.address)
            .collect())
    }
}

fn seen<T>(result: Result<T>) -> Seen<T> {
    result.map_err(|error| one_line(&error))
}

/// What the pinned maps say; nothing where they are not there or may not be read.
struct Known {
    interfaces: Vec<(u32, Interface)>,
    ports: Vec<(u32, u16)>,
}

impl Known {
    fn read(pins: &PinDirectory) -> Self {
        let interfaces = Interfaces::open(pins, INTERFACES).and_then(|table| table.entries());
        let ports = Ports::open(pins, CONTROL_PORTS).and_then(|table| table.entries());
        let ports = ports.unwrap_or_default().into_iter();
        Self {
            interfaces: interfaces.unwrap_or_default(),
            ports: ports.map(|(key, _)| (key.ifindex, key.port)).collect(),
        }
    }

    fn is_inside(&self, device: &Device) -> bool {
        self.interfaces
            .iter()
            .any(|(index, settings)| *index == device.index && settings.flags & flags::INSIDE != 0)
    }

    fn outside(&self, device: Device, pinned: &Pins) -> Outside {
        let mut settings = self.interfaces.iter();
        let settings = settings.find(|(index, _)| *index == device.index);
        let settings = settings.map(|(_, settings)| settings);
        let mut control_ports: BTreeSet<u16> = self
            .ports
            .iter()
            .filter(|(index, _)| *index == device.index)
            .map(|(_, port)| *port)
            .collect();
        if settings.is_none() {
            control_ports.insert(FTP);
        }
        let mut attachments = pinned.attachments.iter();
        Outside {
            helped: attachments.any(|pin| pin.device.index == device.index),
            control_ports,
            advertise: settings
                .map(|settings| settings.advertise)
                .filter(|address| !address.is_unspecified())
                .map(IpAddr::from),
            ports: settings
                .and_then(|of| format!("{}-{}", of.first_port, of.last_port).parse().ok())
                .unwrap_or(PortRange::DYNAMIC),
            ct_zone: settings.map_or(0, |settings| settings.ct_zone),
            device,
        }
    }
}
