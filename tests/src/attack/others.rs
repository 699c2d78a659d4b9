//! Further hosts on both sides of the gateway.

use std::{fs, net::IpAddr};

use anyhow::{Context as _, Result};

use crate::{
    host::Host,
    lab::{Lab, pair},
    setup::Family,
};

/// Spare hosts that [`Others`] takes.
pub(super) const COUNT: usize = 2;

/// Hosts that take no part in the control connection.
#[derive(Debug)]
pub struct Others {
    /// A host outside, behind the one that the gateway is connected to.
    pub stranger: Host,
    /// Its address.
    pub strangers: IpAddr,
    /// A host inside, in a network of its own.
    pub bystander: Host,
    /// Its address.
    pub bystanders: IpAddr,
}

impl Others {
    /// Connects them.
    pub(super) fn join(lab: &Lab) -> Result<Self> {
        let spare = |number| lab.spare(number).context("the lab has no further host");
        let ((stranger, outer), (bystander, inner)) = (spare(0)?, spare(1)?);
        let (length, outside, inside) = match lab.setup.family() {
            Family::V4 => (
                24,
                ["198.51.100.1", "198.51.100.7"],
                ["10.0.1.1", "10.0.1.7"],
            ),
            Family::V6 => (
                64,
                ["2001:db8:0:7::1", "2001:db8:0:7::7"],
                ["fd00:0:0:7::1", "fd00:0:0:7::7"],
            ),
        };
        let outer_gateway = lab.outside();
        outer_gateway.enter(|| {
            for path in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                fs::write(format!("/proc/sys/net/{path}"), "1").context("nobody forwards")?;
            }
            Ok(())
        })?;
        for (router, device, spare, pid, [near, far]) in [
            (outer_gateway, "out1", stranger, outer, outside),
            (&lab.gateway, "lan1", bystander, inner, inside),
        ] {
            pair(router, device, "eth0", pid)?;
            for (host, device, address) in [(router, device, near), (spare, "eth0", far)] {
                let nodad = if length == 64 { "nodad" } else { "" };
                host.must("ip link set lo up")?;
                host.must(&format!(
                    "ip address add {address}/{length} dev {device} {nodad}"
                ))?;
                host.must(&format!("ip link set {device} up"))?;
            }
            spare.must(&format!("ip route add default via {near}"))?;
        }
        let network = format!("{}/{length}", network(outside[0]));
        let next = lab.setup.outside_address();
        lab.gateway
            .must(&format!("ip route add {network} via {next}"))?;
        // An inside network like the other one.
        lab.gateway
            .must("nft insert rule inet filter forward iifname lan1 accept")?;
        Ok(Self {
            stranger: stranger.clone(),
            strangers: outside[1].parse()?,
            bystander: bystander.clone(),
            bystanders: inside[1].parse()?,
        })
    }

    /// The lab with the bystander as its client.
    pub(super) fn as_client(&self, lab: &Lab) -> Lab {
        client(lab, &self.bystander, self.bystanders)
    }
}

/// The lab with this host as its client.
pub(super) fn client(lab: &Lab, host: &Host, address: IpAddr) -> Lab {
    let mut other = lab.with_server(lab.setup, &lab.server);
    other.client = host.clone();
    other.setup.addresses.client = address;
    other
}

/// The network's own address: the router's without its last digit.
fn network(router: &str) -> String {
    match router.strip_suffix('1') {
        Some(start) if start.ends_with(':') => start.to_owned(),
        Some(start) => format!("{start}0"),
        None => router.to_owned(),
    }
}
