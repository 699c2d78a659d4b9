//! A second translation of addresses in front of this gateway.

use std::net::IpAddr;

use super::{Check, no_interface};
use crate::doctor::{Finding, Gateway, gateway::Outside};

pub(super) const CHECK: Check = Check {
    name: "outside-address",
    looks_at: "whether the outside address is one that can be reached from outside",
    quick: true,
    run: |gateway| Ok(run(gateway)),
};

fn run(gateway: &Gateway) -> Vec<Finding> {
    if gateway.outsides.is_empty() {
        return vec![no_interface()];
    }
    let mut findings = Vec::new();
    for outside in &gateway.outsides {
        match gateway.addresses(&outside.device) {
            Ok(addresses) => findings.extend(judge(outside, &addresses)),
            Err(error) => findings.push(Finding::skip(&outside.device.name, error)),
        }
    }
    findings
}

fn judge(outside: &Outside, addresses: &[IpAddr]) -> Vec<Finding> {
    let name = &outside.device.name;
    let mut findings = Vec::new();
    for is_v4 in [true, false] {
        let family = if is_v4 { "IPv4" } else { "IPv6" };
        let mut of_family: Vec<IpAddr> = addresses
            .iter()
            .copied()
            .filter(|address| address.is_ipv4() == is_v4 && !is_on_link_only(*address))
            .collect();
        of_family.sort_unstable();
        let Some(first) = of_family.first() else {
            continue;
        };
        let subject = format!("{name} {family}");
        if let Some(advertise) = outside.advertise.filter(|to| to.is_ipv4() == is_v4) {
            findings.push(Finding::ok(
                subject,
                format!("{advertise} is announced (--advertise)"),
            ));
            continue;
        }
        let mut outer = of_family.iter();
        if let Some(public) = outer.find(|address| private(**address).is_none()) {
            findings.push(Finding::ok(
                subject,
                format!("{public} can be reached from outside"),
            ));
        } else {
            let kind = private(*first).unwrap_or_default();
            findings.push(Finding::warn(
                subject,
                format!(
                    "it has only {first} ({kind}): when another router translates that, the peer \
                     can not reach what is announced"
                ),
                format!("ftp-helper run -i {name} --advertise {name}=ADDRESS, with the address that peers see"),
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::skip(
            name,
            "it has no address that packets could leave with",
        ));
    }
    findings
}

fn is_on_link_only(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// What kind of address this is, when it means nothing to the rest of the world.
pub(crate) fn private(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("private, RFC 1918"),
            [100, 64..=127, ..] => Some("shared by customers of a provider, RFC 6598"),
            [169, 254, ..] => Some("link-local, RFC 3927"),
            [192, 0, 0, _] => Some("for DS-Lite, RFC 6333"),
            [127, ..] => Some("of this host alone"),
            _ => None,
        },
        IpAddr::V6(address) if address.is_unique_local() => Some("unique local, RFC 4193"),
        IpAddr::V6(address) if address.is_loopback() => Some("of this host alone"),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{device::Device, doctor::Status, ports::PortRange};

    fn judged(addresses: &[&str], advertise: Option<&str>) -> Vec<(Status, String)> {
        let outside = Outside {
            device: Device {
                name: "wan0".to_owned(),
                index: 1,
            },
            helped: true,
            control_ports: [21].into(),
            advertise: advertise.map(|text| text.parse().unwrap()),
            ports: PortRange::DYNAMIC,
            ct_zone: 0,
        };
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        judge(&outside, &addresses)
            .into_iter()
            .map(|finding| (finding.status, finding.subject))
            .collect()
    }

    #[test]
    fn private_addresses_of_both_families() {
        for address in [
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.1",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.0.1",
            "169.254.1.1",
            "192.0.0.2",
        ] {
            assert_eq!(judged(&[address], None)[0].0, Status::Warn, "{address}");
        }
        for address in ["fd00::1", "fc01::1"] {
            assert_eq!(judged(&[address], None)[0].0, Status::Warn, "{address}");
        }
    }

    #[test]
    fn addresses_of_the_rest_of_the_world() {
        for address in ["203.0.113.1", "172.32.0.1", "100.128.0.1", "2001:db8::1"] {
            assert_eq!(judged(&[address], None)[0].0, Status::Ok, "{address}");
        }
        // One is enough.
        assert_eq!(judged(&["10.0.0.1", "203.0.113.1"], None)[0].0, Status::Ok);
    }

    #[test]
    fn each_family_counts_for_itself() {
        let found = judged(&["10.0.0.1", "2001:db8::1", "fe80::1"], None);
        assert_eq!(
            found,
            [
                (Status::Warn, "wan0 IPv4".to_owned()),
                (Status::Ok, "wan0 IPv6".to_owned())
            ]
        );
    }

    #[test]
    fn an_announced_address_settles_it_for_its_family() {
        let found = judged(&["10.0.0.1", "fd00::1"], Some("203.0.113.9"));
        assert_eq!(found[0].0, Status::Ok);
        assert_eq!(found[1].0, Status::Warn);
    }

    #[test]
    fn without_an_address_nothing_is_known() {
        assert_eq!(judged(&["fe80::1"], None)[0].0, Status::Skip);
    }
}
