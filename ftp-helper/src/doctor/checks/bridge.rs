//! Bridges whose packets netfilter sees beneath them.
//!
//! With `bridge-nf-call-iptables`, as Docker and Kubernetes set it, packets go
//! through netfilter's hooks at the port of a bridge already. At TC ingress of
//! the bridge itself their destination is translated and conntrack has an entry
//! for them, so neither a control connection nor an awaited one is recognised.

use anyhow::Result;

use super::{Check, no_interface};
use crate::{
    device::Device,
    doctor::{Finding, Gateway, probe::sysctl},
};

pub(super) const CHECK: Check = Check {
    name: "bridge",
    looks_at: "bridges that are named as interfaces, and net.bridge.bridge-nf-call-iptables",
    quick: true,
    run,
};

fn run(gateway: &Gateway) -> Result<Vec<Finding>> {
    let outsides = gateway.outsides.iter();
    let outsides = outsides.map(|outside| (&outside.device, "-i"));
    let insides = gateway.insides.iter().map(|device| (device, "--inside"));
    let devices: Vec<(&Device, &str)> = outsides.chain(insides).collect();
    if devices.is_empty() {
        return Ok(vec![no_interface()]);
    }
    let links = gateway
        .links()
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut findings = Vec::new();
    for (device, option) in devices {
        let name = &device.name;
        let own = links.iter().find(|link| link.index == device.index);
        let Some(bridge) = own.filter(|link| link.is_bridge) else {
            findings.push(Finding::ok(name, "it is no bridge"));
            continue;
        };
        let ports = links
            .iter()
            .filter(|link| link.master == Some(bridge.index))
            .map(|link| format!("{option} {}", link.name));
        findings.push(judge(name, &ports.collect::<Vec<_>>())?);
    }
    Ok(findings)
}

fn judge(name: &str, ports: &[String]) -> Result<Finding> {
    let seen_beneath = [
        "net.bridge.bridge-nf-call-iptables",
        "net.bridge.bridge-nf-call-ip6tables",
    ]
    .into_iter()
    .map(sysctl::number::<u8>)
    .collect::<Result<Vec<_>>>()?
    .contains(&Some(1));
    if !seen_beneath {
        return Ok(Finding::ok(
            name,
            "netfilter does not see its packets beneath it",
        ));
    }
    Ok(Finding::fail(
        name,
        "it is a bridge, and with bridge-nf-call-iptables netfilter translates its packets before \
         a program on it sees them",
        if ports.is_empty() {
            "name the bridge's port in place of the bridge, once it has one".to_owned()
        } else {
            format!("name its ports in place of the bridge: {}", ports.join(" "))
        },
    ))
}
