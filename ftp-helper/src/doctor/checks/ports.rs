//! The outside ports that data connections may be given.

use anyhow::{Context as _, Result};

use super::{Check, no_interface};
use crate::{
    datapath::maps::{PortBits, RESERVED_PORTS},
    doctor::{Finding, Gateway, gateway::Outside, probe::sysctl},
    ports::PortSet,
};

pub(super) const CHECK: Check = Check {
    name: "port-range",
    looks_at: "the ports for data connections beside ip_local_port_range and ip_local_reserved_ports",
    quick: false,
    run,
};

/// With fewer, some of the 32 tries per announcement may all fail.
const FEW: u32 = 1000;

fn run(gateway: &Gateway) -> Result<Vec<Finding>> {
    if gateway.outsides.is_empty() {
        return Ok(vec![no_interface()]);
    }
    let reserved = PortSet::reserved()?;
    let local = sysctl::text("net.ipv4.ip_local_port_range")?
        .and_then(|text| range(&text))
        .context("can not understand net.ipv4.ip_local_port_range")?;
    let mut findings: Vec<Finding> = gateway
        .outsides
        .iter()
        .map(|outside| judge(outside, &reserved, local))
        .collect();
    // Without pins there is nothing that could be outdated.
    if let Ok(bits) = PortBits::open(&gateway.pins, RESERVED_PORTS) {
        let mut outdated = Vec::new();
        for port in 0..=u16::MAX {
            if bits.contains(port)? != reserved.contains(port) {
                outdated.push(port);
            }
        }
        if let Some(first) = outdated.first() {
            findings.push(Finding::warn(
                "host",
                format!(
                    "net.ipv4.ip_local_reserved_ports changed since the agent started (port {first} \
                     for one): the programs still go by the old list"
                ),
                "start the agent again",
            ));
        }
    }
    Ok(findings)
}

/// Two numbers with blanks between them.
fn range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace();
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn judge(outside: &Outside, reserved: &PortSet, local: (u16, u16)) -> Finding {
    let name = &outside.device.name;
    let range = outside.ports.first()..=outside.ports.last();
    let count = |taken: &dyn Fn(u16) -> bool| -> u32 {
        range.clone().map(|port| u32::from(taken(port))).sum()
    };
    let free = count(&|port| !reserved.contains(port));
    let shared = count(&|port| (local.0..=local.1).contains(&port) && !reserved.contains(port));
    let other = format!("ftp-helper run -i {name} --port-range FIRST-LAST, with other ports");
    if free == 0 {
        return Finding::fail(
            name,
            format!(
                "all ports of {} are in ip_local_reserved_ports",
                outside.ports
            ),
            other,
        );
    }
    if free < FEW {
        return Finding::warn(
            name,
            format!(
                "only {free} ports of {} are not in ip_local_reserved_ports",
                outside.ports
            ),
            other,
        );
    }
    if shared == free {
        return Finding::warn(
            name,
            format!(
                "all ports of {} may also be given to the gateway's own connections \
                 (ip_local_port_range is {}-{})",
                outside.ports, local.0, local.1
            ),
            format!("{other} outside of {}-{}", local.0, local.1),
        );
    }
    let beside = if shared == 0 {
        "none of them in ip_local_port_range".to_owned()
    } else {
        format!("{shared} of them also in ip_local_port_range, which is harmless")
    };
    Finding::ok(
        name,
        format!("{free} ports of {} are free, {beside}", outside.ports),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{device::Device, doctor::Status};

    fn judged(range: &str, reserved: &str, local: (u16, u16)) -> Status {
        let outside = Outside {
            device: Device {
                name: "wan0".to_owned(),
                index: 1,
            },
            helped: true,
            control_ports: [21].into(),
            advertise: None,
            ports: range.parse().unwrap(),
            ct_zone: 0,
        };
        judge(&outside, &reserved.parse().unwrap(), local).status
    }

    #[test]
    fn reserved_ports_are_not_free() {
        let local = (32768, 60999);
        assert_eq!(judged("49152-65535", "", local), Status::Ok);
        assert_eq!(judged("49152-65535", "49152-64000", local), Status::Ok);
        assert_eq!(judged("49152-65535", "49152-65000", local), Status::Warn);
        assert_eq!(judged("49152-65535", "40000-65535", local), Status::Fail);
    }

    #[test]
    fn ports_of_the_gateways_own_connections() {
        assert_eq!(judged("40000-50000", "", (32768, 60999)), Status::Warn);
        assert_eq!(judged("10000-20000", "", (32768, 60999)), Status::Ok);
        assert_eq!(range("32768\t60999"), Some((32768, 60999)));
        assert_eq!(range("32768"), None);
    }
}
