//! What all Services together ask for.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::{IpAddr, SocketAddr},
};

use super::{
    annotation::{ADVERTISE, CONTROL_PORTS},
    report::Fault,
    service::Published,
};

/// Most ports that Services get. A packet to or from one of them takes the long way,
/// and who may write Services does not run the nodes.
const PORTS: usize = 256;

/// Most endpoints that are announced under another address; the map takes as many.
const ENDPOINTS: usize = 4096;

/// What all Services together ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wanted {
    /// Control ports.
    pub ports: BTreeSet<u16>,
    /// Outside endpoints of servers, with the address that is announced for each.
    pub advertised: BTreeMap<SocketAddr, IpAddr>,
}

impl Wanted {
    /// Puts together what Services say, and what of it can not be. Where two do not
    /// agree about an endpoint, the older one has its way, as with everything in
    /// Kubernetes that only one can have.
    pub fn merge<'a>(
        services: impl IntoIterator<Item = &'a Published>,
        node: &BTreeSet<IpAddr>,
    ) -> (Self, Vec<Fault>) {
        let mut services: Vec<&Published> = services.into_iter().collect();
        services.sort_by(|one, other| one.by_age(other));
        let mut wanted = Self::default();
        let mut claims = BTreeMap::new();
        let mut faults = Vec::new();
        for service in services {
            wanted.take_ports(service, &mut faults);
            wanted.take_endpoints(service, node, &mut claims, &mut faults);
        }
        (wanted, faults)
    }

    fn take_ports(&mut self, service: &Published, faults: &mut Vec<Fault>) {
        for port in service.control_ports() {
            if self.ports.len() < PORTS || self.ports.contains(&port) {
                self.ports.insert(port);
                continue;
            }
            faults.push(Fault {
                service: service.name.clone(),
                annotation: CONTROL_PORTS.to_owned(),
                problem: format!(
                    "port {port} is not taken: older Services have {PORTS} ports already"
                ),
            });
            return;
        }
    }

    fn take_endpoints<'a>(
        &mut self,
        service: &'a Published,
        node: &BTreeSet<IpAddr>,
        claims: &mut BTreeMap<SocketAddr, (&'a Published, Option<IpAddr>)>,
        faults: &mut Vec<Fault>,
    ) {
        let mut problem = None;
        for endpoint in endpoints(service, node) {
            let advertise = service.advertise.instead_of(endpoint.ip());
            match claims.entry(endpoint) {
                Entry::Vacant(_) if self.advertised.len() >= ENDPOINTS => {
                    problem = Some(format!(
                        "{endpoint} keeps its own address: {ENDPOINTS} have another one already"
                    ));
                }
                Entry::Vacant(entry) => {
                    entry.insert((service, advertise));
                    if let Some(address) = advertise {
                        self.advertised.insert(endpoint, address);
                    }
                }
                Entry::Occupied(entry) => {
                    let (older, announced) = entry.get();
                    if let Some(address) = advertise
                        && advertise != *announced
                    {
                        let said = announced
                            .map_or("no other address".to_owned(), |address| address.to_string());
                        problem = Some(format!(
                            "{address} is not announced for {endpoint}: {}, which is older, has \
                             the same endpoint and says {said}",
                            older.name
                        ));
                    }
                }
            }
        }
        faults.extend(problem.map(|problem| Fault {
            service: service.name.clone(),
            annotation: ADVERTISE.to_owned(),
            problem,
        }));
    }
}

/// What packets of its clients are addressed to, on this node.
fn endpoints(service: &Published, node: &BTreeSet<IpAddr>) -> Vec<SocketAddr> {
    let at = |addresses: &BTreeSet<IpAddr>, ports: &BTreeSet<u16>| -> Vec<SocketAddr> {
        let all = addresses.iter().flat_map(|address| {
            let ports = ports.iter();
            ports.map(|port| SocketAddr::new(*address, *port))
        });
        all.collect()
    };
    let mut all = at(&service.addresses, &service.ports);
    all.extend(at(node, &service.node_ports));
    all
}

/// The external addresses of a Service on this node.
pub fn external_addresses(service: &Published, node: &BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
    let mut all = service.addresses.clone();
    if !service.node_ports.is_empty() {
        all.extend(node);
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::service::tests::service;

    fn published(name: &str, created: &str, address: &str, advertise: &str) -> Published {
        let mut annotations = json!({CONTROL_PORTS: "21"});
        if !advertise.is_empty() {
            annotations[ADVERTISE] = advertise.into();
        }
        service(
            name,
            created,
            &json!({
                "metadata": {"annotations": annotations},
                "spec": {"externalIPs": [address], "ports": [{"port": 21, "nodePort": 30021}]},
            }),
        )
    }

    fn node() -> BTreeSet<IpAddr> {
        BTreeSet::from(["10.0.0.1".parse().unwrap()])
    }

    fn announced(wanted: &Wanted) -> Vec<String> {
        let all = wanted.advertised.iter();
        all.map(|(endpoint, address)| format!("{endpoint} as {address}"))
            .collect()
    }

    #[test]
    fn each_service_announces_its_own_address() {
        let one = published("one", "2026-01-01T00:00:00Z", "192.0.2.1", "203.0.113.1");
        let mut two = published("two", "2026-01-02T00:00:00Z", "192.0.2.2", "203.0.113.2");
        two.node_ports = BTreeSet::from([30022]);
        let three = published("three", "2026-01-03T00:00:00Z", "192.0.2.3", "");
        let (wanted, faults) = Wanted::merge([&three, &two, &one], &node());
        assert!(faults.is_empty(), "{faults:?}");
        assert!(wanted.ports.iter().eq(&[21, 30021, 30022]));
        assert_eq!(
            announced(&wanted),
            [
                "10.0.0.1:30021 as 203.0.113.1",
                "10.0.0.1:30022 as 203.0.113.2",
                "192.0.2.1:21 as 203.0.113.1",
                "192.0.2.2:21 as 203.0.113.2",
            ]
        );
    }

    #[test]
    fn of_two_that_do_not_agree_the_older_one_has_its_way() {
        let old = published("z-old", "2025-01-01T00:00:00Z", "192.0.2.1", "203.0.113.1");
        let new = published("a-new", "2026-01-01T00:00:00Z", "192.0.2.1", "203.0.113.2");
        for order in [[&old, &new], [&new, &old]] {
            let (wanted, faults) = Wanted::merge(order, &BTreeSet::new());
            assert_eq!(announced(&wanted), ["192.0.2.1:21 as 203.0.113.1"]);
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            assert_eq!(
                told,
                [
                    "Service default/a-new, annotation ftp-helper.io/advertise: 203.0.113.2 is not \
                     announced for 192.0.2.1:21: default/z-old, which is older, has the same \
                     endpoint and says 203.0.113.1"
                ]
            );
        }
        // Also where the older one says nothing: its clients must not be sent elsewhere.
        let silent = published("z-old", "2025-01-01T00:00:00Z", "192.0.2.1", "");
        let (wanted, faults) = Wanted::merge([&silent, &new], &BTreeSet::new());
        assert!(wanted.advertised.is_empty() && faults.len() == 1);
        // Who says the same, or nothing, does not disagree.
        let same = published("a-new", "2026-01-01T00:00:00Z", "192.0.2.1", "203.0.113.1");
        assert!(Wanted::merge([&old, &same], &BTreeSet::new()).1.is_empty());
        let nothing = published("a-new", "2026-01-01T00:00:00Z", "192.0.2.1", "");
        assert!(
            Wanted::merge([&old, &nothing], &BTreeSet::new())
                .1
                .is_empty()
        );
    }

    #[test]
    fn a_port_goes_with_the_last_that_wants_it() {
        let one = published("one", "2026-01-01T00:00:00Z", "192.0.2.1", "");
        let two = published("two", "2026-01-01T00:00:00Z", "192.0.2.2", "");
        let ports = |services: &[&Published]| {
            let (wanted, _) = Wanted::merge(services.iter().copied(), &BTreeSet::new());
            wanted.ports.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(ports(&[&one, &two]), [21, 30021]);
        assert_eq!(ports(&[&two]), [21, 30021]);
        assert!(ports(&[]).is_empty());
    }

    #[test]
    fn nobody_gets_all_ports() {
        let mut greedy = published("greedy", "2026-01-01T00:00:00Z", "192.0.2.1", "");
        greedy.ports = (1..=300).collect();
        let old = published("old", "2025-01-01T00:00:00Z", "192.0.2.2", "");
        let (wanted, faults) = Wanted::merge([&greedy, &old], &BTreeSet::new());
        assert_eq!(wanted.ports.len(), PORTS);
        assert!(wanted.ports.contains(&30021), "the older one's");
        assert_eq!(faults.len(), 1);
        assert!(
            faults[0].problem.contains("port 256 is not taken"),
            "{faults:?}"
        );
    }

    #[test]
    fn addresses_of_the_node_belong_to_node_ports() {
        let mut one = published("one", "2026-01-01T00:00:00Z", "192.0.2.1", "");
        assert_eq!(external_addresses(&one, &node()).len(), 2);
        one.node_ports.clear();
        assert_eq!(external_addresses(&one, &node()).len(), 1);
    }
}
