//! What a lab shall look like.

use std::net::Ipv4Addr;

/// Everything that can be chosen about a lab.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// Addresses of the three hosts.
    pub addresses: Addresses,
    /// Offloads of every network device.
    pub offloads: Offloads,
    /// Ports that masquerade gives to connections, where it may not leave them.
    pub ports: Option<(u16, u16)>,
    /// Who helps FTP through the gateway, apart from an agent started later.
    pub helper: Helper,
    /// Whether the lab may outlive the process that made it.
    pub lifetime: Lifetime,
}

/// Addresses of a lab; both networks are /24.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The client, inside.
    pub client: Ipv4Addr,
    /// The gateway's inside address.
    pub lan: Ipv4Addr,
    /// The gateway's outside address: what masquerade puts into packets.
    pub wan: Ipv4Addr,
    /// The server, outside.
    pub server: Ipv4Addr,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            client: Ipv4Addr::new(10, 0, 0, 2),
            lan: Ipv4Addr::new(10, 0, 0, 1),
            wan: Ipv4Addr::new(203, 0, 113, 1),
            server: Ipv4Addr::new(203, 0, 113, 2),
        }
    }
}

/// Offloads of the veth devices; with all of them on, segments reach the
/// gateway large and with checksums left to be completed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four switches that are set one by one"
)]
pub struct Offloads {
    /// Transmit checksums may be left to the device.
    pub tx_checksum: bool,
    /// TCP segments larger than the MTU may be given to the device.
    pub tso: bool,
    /// Segments are cut as late as possible in software.
    pub gso: bool,
    /// Segments that follow each other are merged on arrival.
    pub gro: bool,
}

impl Default for Offloads {
    fn default() -> Self {
        Self {
            tx_checksum: true,
            tso: true,
            gso: true,
            gro: false,
        }
    }
}

impl Offloads {
    /// Every combination that a device can have: TSO needs checksums.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..16_u8)
            .map(|bits| Self {
                tx_checksum: bits & 1 != 0,
                tso: bits & 2 != 0,
                gso: bits & 4 != 0,
                gro: bits & 8 != 0,
            })
            .filter(|offloads| offloads.tx_checksum || !offloads.tso)
    }

    /// For `ethtool -K`, as `ethtool -k` says it, and whether it is on.
    pub(crate) fn settings(self) -> [(&'static str, &'static str, bool); 4] {
        [
            ("tx", "tx-checksumming", self.tx_checksum),
            ("tso", "tcp-segmentation-offload", self.tso),
            ("gso", "generic-segmentation-offload", self.gso),
            ("gro", "generic-receive-offload", self.gro),
        ]
    }

    /// ethtool's word.
    pub(crate) fn word(on: bool) -> &'static str {
        if on { "on" } else { "off" }
    }
}

/// Who helps FTP through the gateway.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Helper {
    /// Nobody, unless the scenario starts an agent.
    #[default]
    Nobody,
    /// The kernel's `nf_conntrack_ftp` and `nf_nat_ftp`, for comparison.
    Kernel,
}

/// What a lab's life is bound to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Lifetime {
    /// The thread that made it; not even SIGKILL leaves a part of it behind.
    #[default]
    Bound,
    /// The [`Lab`](crate::lab::Lab) value, which may be told to leave it up.
    Detachable,
}
