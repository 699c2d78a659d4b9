//! What of a Service counts.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt as _;

use super::{
    annotation::{self, ADVERTISE, Advertise, CONTROL_PORTS, PortWord, quote},
    report::Fault,
};

/// Most complaints about one Service.
const FAULTS: usize = 8;

/// What a Service says with our annotations.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Published {
    /// `namespace/name`.
    pub name: String,
    /// When it was made.
    created: Option<Time>,
    /// Ports at its external addresses.
    pub ports: BTreeSet<u16>,
    /// Ports at every address of the node.
    pub node_ports: BTreeSet<u16>,
    /// Its external addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// What its clients know it by.
    pub advertise: Advertise,
    /// What is wrong with its annotations.
    pub faults: Vec<Fault>,
}

/// `namespace/name`.
pub fn name(service: &Service) -> String {
    let namespace = service.namespace().unwrap_or_default();
    format!("{namespace}/{}", service.name_any())
}

impl Published {
    /// Reads a Service; nothing when it has none of our annotations.
    pub fn read(service: &Service) -> Option<Self> {
        let annotations = service.annotations();
        if !annotations
            .keys()
            .any(|key| key.starts_with(annotation::PREFIX))
        {
            return None;
        }
        let mut published = Self {
            name: name(service),
            created: service.creation_timestamp(),
            ports: BTreeSet::new(),
            node_ports: BTreeSet::new(),
            addresses: addresses(service),
            advertise: Advertise::default(),
            faults: Vec::new(),
        };
        published.read_annotations(annotations, service.spec.as_ref());
        published.limit_faults();
        Some(published)
    }

    fn read_annotations(
        &mut self,
        annotations: &BTreeMap<String, String>,
        spec: Option<&ServiceSpec>,
    ) {
        for name in annotations.keys() {
            if let Some(problem) = annotation::unknown(name) {
                self.complain(name, problem);
            }
        }
        if let Some(text) = annotations.get(CONTROL_PORTS) {
            self.read_ports(text, spec);
        }
        if let Some(text) = annotations.get(ADVERTISE) {
            let (advertise, problems) = annotation::advertise(text);
            self.advertise = advertise;
            for problem in problems {
                self.complain(ADVERTISE, problem);
            }
            if !annotations.contains_key(CONTROL_PORTS) {
                self.complain(
                    ADVERTISE,
                    format!("it means nothing without {CONTROL_PORTS}"),
                );
            }
        }
    }

    fn read_ports(&mut self, text: &str, spec: Option<&ServiceSpec>) {
        let (words, problems) = annotation::control_ports(text);
        for problem in problems {
            self.complain(CONTROL_PORTS, problem);
        }
        let kind = spec.and_then(|spec| spec.type_.as_deref());
        if kind == Some("ExternalName") {
            let problem =
                "a Service of type ExternalName is a name only: nothing of it passes here";
            return self.complain(CONTROL_PORTS, problem.to_owned());
        }
        let own = spec.and_then(|spec| spec.ports.as_deref());
        let own = own.unwrap_or_default();
        for word in words {
            match find(own, &word) {
                Ok(port) => self.take(port),
                Err(problem) => self.complain(CONTROL_PORTS, problem),
            }
        }
    }

    fn take(&mut self, port: &ServicePort) {
        self.ports.extend(number(port.port));
        self.node_ports.extend(port.node_port.and_then(number));
    }

    fn complain(&mut self, annotation: &str, problem: String) {
        self.faults.push(Fault {
            service: self.name.clone(),
            annotation: quote(annotation).trim_matches('`').to_owned(),
            problem,
        });
    }

    /// Of a long list the first ones will do.
    fn limit_faults(&mut self) {
        let more = self.faults.len().saturating_sub(FAULTS);
        if more > 0 {
            self.faults.truncate(FAULTS);
            self.complain(CONTROL_PORTS, format!("{more} more words are wrong"));
        }
    }

    /// All ports that clients connect to.
    pub fn control_ports(&self) -> impl Iterator<Item = u16> {
        let both: BTreeSet<u16> = self.ports.union(&self.node_ports).copied().collect();
        both.into_iter()
    }

    /// The older one comes first, as it was there when the other one was made; of the
    /// same age, by their names. Everybody who looks at the same Services finds the
    /// same order.
    pub fn by_age(&self, other: &Self) -> Ordering {
        let key = |one: &Self| (one.created.is_none(), one.created.clone());
        key(self)
            .cmp(&key(other))
            .then_with(|| self.name.cmp(&other.name))
    }
}

/// The Service's port that a word means.
fn find<'a>(own: &'a [ServicePort], word: &PortWord) -> Result<&'a ServicePort, String> {
    let means = |port: &&ServicePort| match word {
        PortWord::Name(name) => port.name.as_ref() == Some(name),
        PortWord::Number(wanted) => {
            let wanted = Some(*wanted);
            number(port.port) == wanted || port.node_port.and_then(number) == wanted
        }
    };
    let is_tcp = |port: &&ServicePort| port.protocol.as_deref().is_none_or(|it| it == "TCP");
    let mut found = own.iter().filter(means);
    if let Some(port) = found.clone().find(is_tcp) {
        return Ok(port);
    }
    let quoted = match word {
        PortWord::Name(name) => quote(name),
        PortWord::Number(number) => quote(&number.to_string()),
    };
    if found.next().is_some() {
        return Err(format!("{quoted} is no TCP port of the Service"));
    }
    let known: Vec<String> = own.iter().filter(is_tcp).map(described).collect();
    Err(format!(
        "{quoted} is no port of the Service, which has {}",
        if known.is_empty() {
            "none for TCP".to_owned()
        } else {
            known.join(", ")
        }
    ))
}

fn described(port: &ServicePort) -> String {
    match &port.name {
        Some(name) => format!("{} ({name})", port.port),
        None => port.port.to_string(),
    }
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port > 0)
}

/// The addresses at which clients outside of the cluster reach it, without those of
/// nodes.
fn addresses(service: &Service) -> BTreeSet<IpAddr> {
    let spec = service.spec.as_ref();
    let external = spec.and_then(|spec| spec.external_ips.as_ref());
    let status = service.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref());
    // A host name is that of a load balancer that is somewhere else.
    let ingress = ingress.into_iter().flatten();
    let ingress = ingress.filter_map(|ingress| ingress.ip.as_ref());
    let all = external.into_iter().flatten().chain(ingress);
    all.filter_map(|address| address.parse().ok()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A Service as the API shows it.
    pub(in crate::kubernetes) fn service(name: &str, created: &str, rest: &Value) -> Published {
        let mut service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": "default", "name": name, "creationTimestamp": created},
        });
        for (key, value) in rest.as_object().unwrap() {
            match service.get_mut(key).and_then(Value::as_object_mut) {
                Some(known) => known.extend(value.as_object().unwrap().clone()),
                None => service[key] = value.clone(),
            }
        }
        Published::read(&serde_json::from_value(service).unwrap()).unwrap()
    }

    fn balanced(annotations: &Value) -> Published {
        service(
            "ftp",
            "2026-01-01T00:00:00Z",
            &json!({
                "metadata": {"annotations": annotations},
                "spec": {
                    "type": "LoadBalancer",
                    "externalIPs": ["192.0.2.7", "nonsense"],
                    "ports": [
                        {"name": "ftp", "port": 21, "targetPort": 2121, "nodePort": 30021},
                        {"name": "other", "port": 2121, "protocol": "TCP"},
                        {"name": "dns", "port": 53, "protocol": "UDP"},
                    ],
                },
                "status": {"loadBalancer": {"ingress": [
                    {"ip": "192.0.2.8", "ipMode": "VIP"},
                    {"hostname": "balancer.example"},
                ]}},
            }),
        )
    }

    #[test]
    fn ports_are_those_that_clients_connect_to() {
        for text in ["21", "ftp", "30021"] {
            let read = balanced(&json!({CONTROL_PORTS: text}));
            // Never 2121, which is what the pod listens on.
            assert!(read.control_ports().eq([21, 30021]), "{text}: {read:?}");
            assert!(read.faults.is_empty());
        }
        let read = balanced(&json!({CONTROL_PORTS: "ftp,2121"}));
        assert!(read.control_ports().eq([21, 2121, 30021]));
        assert!(read.node_ports.iter().eq(&[30021]));
    }

    #[test]
    fn addresses_are_those_of_the_service() {
        let read = balanced(&json!({CONTROL_PORTS: "21", ADVERTISE: "203.0.113.5"}));
        let addresses: Vec<String> = read.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.0.2.7", "192.0.2.8"]);
        assert_eq!(read.advertise.v4, Some([203, 0, 113, 5].into()));
    }

    #[test]
    fn what_is_wrong_is_named_and_the_rest_counts() {
        let read = balanced(&json!({
            CONTROL_PORTS: "21,990,dns,telnet,0",
            ADVERTISE: "here",
            "ftp-helper.io/control-port": "21",
        }));
        assert!(read.control_ports().eq([21, 30021]));
        let told: Vec<String> = read.faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "Service default/ftp, annotation ftp-helper.io/control-port: there is no \
                 annotation of this name: did you mean ftp-helper.io/control-ports?",
                "Service default/ftp, annotation ftp-helper.io/control-ports: `0` is no port from \
                 1 to 65535",
                "Service default/ftp, annotation ftp-helper.io/control-ports: `990` is no port of \
                 the Service, which has 21 (ftp), 2121 (other)",
                "Service default/ftp, annotation ftp-helper.io/control-ports: `dns` is no TCP port \
                 of the Service",
                "Service default/ftp, annotation ftp-helper.io/control-ports: `telnet` is no port \
                 of the Service, which has 21 (ftp), 2121 (other)",
                "Service default/ftp, annotation ftp-helper.io/advertise: `here` is no IP address",
            ]
        );
    }

    #[test]
    fn a_service_without_ports_of_its_own_has_none() {
        let named = service(
            "name",
            "2026-01-01T00:00:00Z",
            &json!({
                "metadata": {"annotations": {CONTROL_PORTS: "21"}},
                "spec": {"type": "ExternalName", "externalName": "ftp.example.com",
                         "ports": [{"port": 21}]},
            }),
        );
        assert!(named.control_ports().next().is_none());
        assert!(named.faults[0].problem.contains("ExternalName"));
        let empty = service(
            "empty",
            "2026-01-01T00:00:00Z",
            &json!({"metadata": {"annotations": {CONTROL_PORTS: "21"}}}),
        );
        assert!(empty.faults[0].problem.contains("none for TCP"));
        let alone = balanced(&json!({ADVERTISE: "203.0.113.5"}));
        assert!(alone.faults[0].problem.contains("means nothing without"));
    }

    #[test]
    fn others_are_not_looked_at() {
        let other = json!({"metadata": {"name": "web", "annotations": {"example.com/x": "21"}}});
        let other: Service = serde_json::from_value(other).unwrap();
        assert_eq!(Published::read(&other), None);
    }

    #[test]
    fn complaints_have_an_end() {
        let text: Vec<String> = (0..5000).map(|number| format!("x{number}")).collect();
        let read = balanced(&json!({CONTROL_PORTS: text.join(",")}));
        assert_eq!(read.faults.len(), FAULTS + 1);
        assert!(read.faults[FAULTS].problem.starts_with("4992 more"));
    }

    #[test]
    fn the_older_one_comes_first() {
        let made = |name: &str, created: &str| {
            let annotations = json!({"metadata": {"annotations": {CONTROL_PORTS: "21"}}});
            service(name, created, &annotations)
        };
        let old = made("z", "2025-01-01T00:00:00Z");
        let new = made("a", "2026-01-01T00:00:00Z");
        let same = made("b", "2026-01-01T00:00:00Z");
        assert_eq!(old.by_age(&new), Ordering::Less);
        assert_eq!(same.by_age(&new), Ordering::Greater);
    }
}
