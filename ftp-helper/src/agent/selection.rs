//! Which interfaces are helped, out of those that are there.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use anyhow::{Result, bail, ensure};
use ftp_helper_common::session::Direction;

use super::Pattern;
use crate::{device::Device, failure::one_line};

/// What the settings say about interfaces, whether they are there or not.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Outside interfaces.
    pub outsides: Vec<Pattern>,
    /// Inside interfaces.
    pub insides: Vec<Pattern>,
    /// Ports of FTP servers, on these interfaces or on all of them.
    pub control_ports: Vec<(Option<Pattern>, u16)>,
    /// Addresses that are announced in place of the packet's own.
    pub advertise: Vec<(Pattern, IpAddr)>,
    /// Zones of conntrack, of these interfaces or of all of them.
    pub ct_zones: Vec<(Option<Pattern>, u16)>,
    /// Sessions are also looked for on other ports.
    pub detect: bool,
}

/// An outside interface that is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outside {
    /// The device.
    pub device: Device,
    /// Bytes of the link header in front of its packets.
    pub link_header: u16,
    /// Ports of FTP servers.
    pub control_ports: BTreeSet<u16>,
    /// Address that is announced in place of the packet's own.
    pub advertise: Option<IpAddr>,
}

/// An interface that is selected and can not be helped now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Absent {
    /// Its name.
    pub name: String,
    /// It has inside hosts behind it.
    pub is_inside: bool,
    /// Why, when it is there.
    pub fault: Option<String>,
}

/// The selected interfaces as they are at one time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Present {
    /// Outside interfaces that are there.
    pub outsides: Vec<Outside>,
    /// Inside interfaces that are there.
    pub insides: Vec<Device>,
    /// Interfaces that are named and not there (a glob means what there is), or there
    /// and not to be helped.
    pub absent: Vec<Absent>,
}

impl Selection {
    /// Refuses what makes no sense with any interfaces.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.outsides.iter().any(|pattern| !pattern.is_exclusion()),
            "no outside interface is given: add `-i IFACE`, or `interface` to the configuration \
             file"
        );
        for (pattern, option) in [(&self.outsides, "--interface"), (&self.insides, "--inside")] {
            for name in pattern.iter().filter_map(Pattern::name) {
                ensure!(
                    !is_excluded(pattern, name),
                    "{option} names {name} and leaves it out: it is one of them"
                );
            }
        }
        for name in self.insides.iter().filter_map(Pattern::name) {
            if self
                .outsides
                .iter()
                .any(|outside| outside.name() == Some(name))
            {
                bail!("{name} is given as outside and as inside interface: it is one of them");
            }
        }
        // Neither of the two means anything on an inside interface.
        let none: &[Pattern] = &[];
        let ports = self.control_ports.iter();
        let ports = ports.filter_map(|(place, _)| Some((place.as_ref()?, "--control-port", none)));
        let addresses = self.advertise.iter();
        let addresses = addresses.map(|(place, _)| (place, "--advertise", none));
        let zones = self.ct_zones.iter();
        let zones =
            zones.filter_map(|(place, _)| Some((place.as_ref()?, "--ct-zone", &*self.insides)));
        for (place, option, insides) in ports.chain(addresses).chain(zones) {
            ensure!(
                !place.is_exclusion(),
                "{option} takes no `!`: name the interfaces that it is for"
            );
            let mut selected = self.outsides.iter().chain(insides);
            ensure!(
                selected.any(|selected| !selected.is_exclusion() && selected.overlaps(place)),
                "{option} names {place}, which is not helped: add `-i {place}`"
            );
        }
        for outside in self
            .outsides
            .iter()
            .filter(|outside| !outside.is_exclusion())
        {
            let mut ports = self.control_ports.iter();
            let has_port = ports.any(|(place, _)| {
                let place = place.as_ref();
                place.is_none_or(|place| place.overlaps(outside))
            });
            ensure!(
                has_port || self.detect,
                "{outside} has no control port: add `--control-port {outside}=21`"
            );
        }
        Ok(())
    }

    /// The zone of the connections through an interface; 0 is conntrack's default.
    pub fn ct_zone(&self, interface: &str) -> u16 {
        let mut zones = self.ct_zones.iter().rev();
        let zone = zones.find(|(place, _)| {
            let place = place.as_ref();
            place.is_none_or(|place| place.matches(interface))
        });
        zone.map_or(0, |(_, zone)| *zone)
    }

    /// Looks at the interfaces that are there.
    pub fn look(&self) -> Result<Present> {
        Ok(
            self.choose(Device::all()?, |device| match device.link_header() {
                // It went after it was listed.
                Err(_) if !Device::exists(device.index) => Ok(None),
                result => result.map(Some),
            }),
        )
    }

    /// `link_header` knows those of devices that are there.
    fn choose(
        &self,
        mut devices: Vec<Device>,
        link_header: impl Fn(&Device) -> Result<Option<u16>>,
    ) -> Present {
        devices.sort_by(|one, other| one.name.cmp(&other.name));
        let mut present = Present::default();
        for (patterns, is_inside) in [(&self.outsides, false), (&self.insides, true)] {
            for pattern in patterns.iter().filter(|pattern| !pattern.is_exclusion()) {
                let mut found = false;
                for device in &devices {
                    let means = pattern.matches(&device.name)
                        && self.is_inside(&device.name) == Some(is_inside);
                    if !means || present.has(device) {
                        found |= means;
                        continue;
                    }
                    if is_inside {
                        present.insides.push(device.clone());
                        found = true;
                        continue;
                    }
                    match (link_header(device), pattern.name()) {
                        (Ok(Some(link_header)), _) => {
                            present.outsides.extend(self.outside(device, link_header));
                            found = true;
                        }
                        (Err(error), Some(name)) => {
                            found = true;
                            present.absent(name, is_inside, Some(one_line(&error)));
                        }
                        // What a glob can not mean, it does not mean.
                        (Ok(None), _) | (Err(_), None) => {}
                    }
                }
                if let (false, Some(name)) = (found, pattern.name()) {
                    present.absent(name, is_inside, None);
                }
            }
        }
        present
    }

    /// Whether an interface of this name is an inside one; `None` when it is not
    /// selected. A name counts more than a glob, and of two globs that of the
    /// inside interfaces, as it is the narrower one wherever both make sense.
    fn is_inside(&self, name: &str) -> Option<bool> {
        let selects = |patterns: &[Pattern]| {
            let mut wanted = patterns.iter().filter(|pattern| !pattern.is_exclusion());
            wanted.any(|pattern| pattern.matches(name)) && !is_excluded(patterns, name)
        };
        let mut outsides = self.outsides.iter();
        if outsides.any(|pattern| pattern.name() == Some(name)) {
            return Some(false);
        }
        if selects(&self.insides) {
            return Some(true);
        }
        selects(&self.outsides).then_some(false)
    }

    /// The outside interface; `None` when it has no control port, so that there is
    /// nothing to help.
    fn outside(&self, device: &Device, link_header: u16) -> Option<Outside> {
        let is_meant = |place: &Pattern| place.matches(&device.name);
        let ports = self.control_ports.iter();
        let ports = ports.filter(|(place, _)| place.as_ref().is_none_or(is_meant));
        let control_ports: BTreeSet<u16> = ports.map(|(_, port)| *port).collect();
        let mut addresses = self.advertise.iter().rev();
        let advertise = addresses.find(|(place, _)| is_meant(place));
        (self.detect || !control_ports.is_empty()).then(|| Outside {
            device: device.clone(),
            link_header,
            control_ports,
            advertise: advertise.map(|(_, address)| *address),
        })
    }
}

fn is_excluded(patterns: &[Pattern], name: &str) -> bool {
    let mut exclusions = patterns.iter().filter(|pattern| pattern.is_exclusion());
    exclusions.any(|pattern| pattern.matches(name))
}

impl Present {
    fn has(&self, device: &Device) -> bool {
        let mut outsides = self.outsides.iter();
        outsides.any(|outside| outside.device == *device) || self.insides.contains(device)
    }

    fn absent(&mut self, name: &str, is_inside: bool, fault: Option<String>) {
        let absent = Absent {
            name: name.to_owned(),
            is_inside,
            fault,
        };
        if !self.absent.contains(&absent) {
            self.absent.push(absent);
        }
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

    /// The same as they are to be, with index 0 for what is not there.
    pub fn selected(&self) -> Vec<(Device, Direction)> {
        let here = self.attachments();
        let here = here.map(|(device, direction)| (device.clone(), direction));
        let absent = self.absent.iter().flat_map(|absent| {
            let device = Device {
                name: absent.name.clone(),
                index: 0,
            };
            let directions: &[Direction] = if absent.is_inside {
                &[Direction::Ingress]
            } else {
                &[Direction::Ingress, Direction::Egress]
            };
            directions
                .iter()
                .map(move |direction| (device.clone(), *direction))
        });
        here.chain(absent).collect()
    }

    /// Every device that is helped.
    pub fn devices(&self) -> Vec<Device> {
        let outsides = self.outsides.iter().map(|outside| outside.device.clone());
        outsides.chain(self.insides.iter().cloned()).collect()
    }

    /// True when this outside interface is among those here, with the same settings; it
    /// may have another name.
    pub fn helps(&self, outside: &Outside) -> bool {
        self.outsides.iter().any(|known| {
            let Outside {
                device,
                link_header,
                control_ports,
                advertise,
            } = known;
            device.index == outside.device.index
                && *link_header == outside.link_header
                && *control_ports == outside.control_ports
                && *advertise == outside.advertise
        })
    }

    /// True when this is known to be wrong with a named interface.
    pub fn knows_fault(&self, name: &str, fault: &str) -> bool {
        let mut absent = self.absent.iter();
        absent.any(|absent| absent.name == name && absent.fault.as_deref() == Some(fault))
    }

    /// True when a program works on this direction of the interface.
    pub fn selects(&self, ifindex: u32, direction: Direction) -> bool {
        self.attachments()
            .any(|(device, selected)| device.index == ifindex && selected == direction)
    }

    /// Leaves only those of the interfaces that are there.
    pub fn retain(&mut self, keep: impl Fn(&Device) -> bool) {
        self.outsides.retain(|outside| keep(&outside.device));
        self.insides.retain(keep);
    }

    /// Takes an interface out that can not be helped now.
    pub fn give_up(&mut self, device: &Device, fault: &str) {
        let is_inside = self.insides.contains(device);
        self.outsides.retain(|outside| outside.device != *device);
        self.insides.retain(|inside| inside != device);
        self.absent(&device.name, is_inside, Some(fault.to_owned()));
    }
}

/// Names of the outside interfaces, and of what is waited for.
impl fmt::Display for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outsides = self.outsides.iter();
        let names: Vec<&str> = outsides
            .map(|outside| outside.device.name.as_str())
            .collect();
        if names.is_empty() {
            f.write_str("no interface yet")?;
        } else {
            f.write_str(&names.join(", "))?;
        }
        if !self.absent.is_empty() {
            let absent = self.absent.iter();
            let absent: Vec<&str> = absent.map(|absent| absent.name.as_str()).collect();
            write!(f, "; waiting for {}", absent.join(", "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            None => write!(
                f,
                "there is no interface {} now: it is helped as soon as it appears",
                self.name
            ),
            Some(fault) => f.write_str(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn selection(outsides: &[&str], insides: &[&str]) -> Selection {
        Selection {
            outsides: patterns(outsides),
            insides: patterns(insides),
            control_ports: vec![(None, 21)],
            ..Selection::default()
        }
    }

    fn devices(names: &[&str]) -> Vec<Device> {
        names
            .iter()
            .zip(1..)
            .map(|(name, index)| Device {
                name: (*name).to_owned(),
                index,
            })
            .collect()
    }

    /// Outside, inside and absent interfaces.
    fn chosen(selection: &Selection, names: &[&str]) -> [Vec<String>; 3] {
        let present = selection.choose(devices(names), |device| {
            ensure!(!device.name.starts_with("odd"), "an odd one");
            Ok(Some(14))
        });
        [
            present
                .outsides
                .iter()
                .map(|outside| outside.device.name.clone())
                .collect(),
            present
                .insides
                .iter()
                .map(|device| device.name.clone())
                .collect(),
            present
                .absent
                .iter()
                .map(|absent| absent.name.clone())
                .collect(),
        ]
    }

    #[test]
    fn names_come_first_and_globs_mean_what_is_there() {
        let eth = selection(&["wan0", "eth*", "!eth2"], &[]);
        let [outsides, insides, absent] = chosen(&eth, &["lo", "eth2", "eth1", "eth0", "lan0"]);
        assert_eq!(outsides, ["eth0", "eth1"]);
        assert!(insides.is_empty());
        assert_eq!(absent, ["wan0"]);
        let [outsides, _, absent] = chosen(&eth, &["eth0", "wan0"]);
        assert_eq!(outsides, ["wan0", "eth0"]);
        assert!(absent.is_empty());
    }

    #[test]
    fn an_interface_is_on_one_side_only() {
        let [outsides, insides, _] = chosen(
            &selection(&["*"], &["lan*"]),
            &["lo", "lan0", "lan1", "wan0"],
        );
        assert_eq!(outsides, ["wan0"]);
        assert_eq!(insides, ["lan0", "lan1"]);
        let [outsides, insides, _] = chosen(
            &selection(&["lan0", "wan*"], &["*", "!lan1"]),
            &["lan0", "lan1", "wan0"],
        );
        assert_eq!(outsides, ["lan0"]);
        assert_eq!(insides, ["wan0"]);
    }

    #[test]
    fn a_device_that_can_not_be_helped_is_missed_only_by_name() {
        let odd = selection(&["odd0", "*"], &[]);
        let present = odd.choose(devices(&["odd0", "odd1", "wan0"]), |device| {
            ensure!(device.name == "wan0", "no link type for {}", device.name);
            Ok(Some(0))
        });
        assert_eq!(present.to_string(), "wan0; waiting for odd0");
        let fault = present.absent[0].fault.as_deref();
        assert_eq!(fault, Some("no link type for odd0"));
    }

    #[test]
    fn ports_and_addresses_go_to_the_interfaces_that_they_name() {
        let mut placed = selection(&["wan*"], &[]);
        placed.control_ports = vec![
            (Some("wan0".parse().unwrap()), 21),
            (Some("wan[01]".parse().unwrap()), 2121),
        ];
        let first = "203.0.113.1".parse().unwrap();
        let second = "203.0.113.2".parse().unwrap();
        placed.advertise = vec![
            ("wan*".parse().unwrap(), first),
            ("wan1".parse().unwrap(), second),
        ];
        placed.check().unwrap();
        let present = placed.choose(devices(&["wan0", "wan1", "wan2"]), |_| Ok(Some(14)));
        let [one, two] = &present.outsides[..] else {
            panic!("{present:?}");
        };
        assert!(one.control_ports.iter().eq(&[21, 2121]) && two.control_ports.iter().eq(&[2121]));
        assert_eq!((one.advertise, two.advertise), (Some(first), Some(second)));
        placed.detect = true;
        let present = placed.choose(devices(&["wan2"]), |_| Ok(Some(14)));
        assert_eq!(present.outsides[0].advertise, Some(first));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |selection: &Selection| selection.check().unwrap_err().to_string();
        assert!(refused(&selection(&[], &["lan0"])).contains("no outside interface"));
        assert!(refused(&selection(&["!wan0"], &[])).contains("no outside interface"));
        assert!(refused(&selection(&["wan0", "!wan*"], &[])).contains("leaves it out"));
        assert!(refused(&selection(&["wan0"], &["wan0"])).contains("one of them"));
        selection(&["wan*"], &["wan0"]).check().unwrap();
        let mut placed = selection(&["wan*", "!lan*"], &[]);
        placed
            .control_ports
            .push((Some("lan0".parse().unwrap()), 21));
        assert!(refused(&placed).contains("add `-i lan0`"));
        placed.control_ports = vec![(Some("wan0".parse().unwrap()), 21)];
        placed.check().unwrap();
        placed.outsides.push("ppp0".parse().unwrap());
        assert!(refused(&placed).contains("--control-port ppp0=21"));
    }

    #[test]
    fn what_is_not_retained_is_news_again() {
        let wan = selection(&["wan0", "eth*"], &["lan0"]);
        let names = ["wan0", "eth0", "lan0"];
        let all = wan.choose(devices(&names), |_| Ok(Some(14)));
        for gone in names {
            let mut left = all.clone();
            left.retain(|device| device.name != gone);
            assert_ne!(left, all);
            let outsides = all.outsides.iter();
            let known: Vec<_> = outsides.filter(|it| left.helps(it)).collect();
            assert!(known.iter().all(|outside| outside.device.name != gone));
            assert_eq!(left.devices().len(), 2);
        }
    }

    #[test]
    fn what_is_given_up_is_waited_for() {
        let wan = selection(&["wan0", "eth*"], &[]);
        let mut present = wan.choose(devices(&["wan0", "eth0"]), |_| Ok(Some(14)));
        for device in devices(&["wan0", "eth0"]) {
            assert!(present.selects(device.index, Direction::Egress));
            present.give_up(&device, "full");
        }
        assert_eq!(
            present.to_string(),
            "no interface yet; waiting for wan0, eth0"
        );
        assert_eq!(present.attachments().count(), 0);
    }
}
