//! Whether the gateway forwards packets at all.

use std::net::IpAddr;

use anyhow::Result;

use super::Check;
use crate::doctor::{Finding, Gateway, gateway::Outside, probe::sysctl};

pub(super) const CHECK: Check = Check {
    name: "forwarding",
    looks_at: "net.ipv4.ip_forward, net.ipv6.conf.all.forwarding and those of the interfaces",
    quick: false,
    run,
};

fn run(gateway: &Gateway) -> Result<Vec<Finding>> {
    if gateway.outsides.is_empty() {
        return Ok(vec![switch("net.ipv4.ip_forward", "host", "IPv4")?]);
    }
    let mut findings = Vec::new();
    for outside in &gateway.outsides {
        let addresses = gateway.addresses(&outside.device).unwrap_or_default();
        let has_v6 = addresses.iter().any(|address| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => !address.is_unicast_link_local(),
        });
        findings.push(of_interface(outside, 4)?);
        if has_v6 {
            findings.push(of_interface(outside, 6)?);
        }
    }
    Ok(findings)
}

/// The general switch, and the interface's where that says something else.
fn of_interface(outside: &Outside, family: u8) -> Result<Finding> {
    let name = &outside.device.name;
    let (general, word) = match family {
        4 => ("net.ipv4.ip_forward", "IPv4"),
        _ => ("net.ipv6.conf.all.forwarding", "IPv6"),
    };
    let finding = switch(general, name, word)?;
    if finding.fix.is_some() {
        return Ok(finding);
    }
    let own = format!("net.ipv{family}.conf/{name}/forwarding");
    switch(&own, name, word)
}

fn switch(setting: &str, subject: &str, family: &str) -> Result<Finding> {
    let subject = format!("{subject} {family}");
    let value = sysctl::number::<u8>(setting)?;
    let setting = sysctl::typed(setting);
    Ok(match value {
        None => Finding::skip(subject, format!("this kernel has no {setting}")),
        Some(0) => Finding::fail(
            subject,
            format!("{setting} is 0: nothing is forwarded"),
            format!("sysctl -w {setting}=1, and the same line in /etc/sysctl.d"),
        ),
        Some(_) => Finding::ok(subject, format!("{setting} is on")),
    })
}
