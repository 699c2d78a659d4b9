//! Docker's rules for `nft -f`, one network, the default bridge.

use std::net::SocketAddr;

use super::{BRIDGE, Network, Published, SERVED, lines};
use crate::setup::Family;

/// Docker 29 with `"firewall-backend": "nftables"`.
pub(super) fn rules(network: Network, published: &[Published]) -> String {
    let word = match network.family() {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let prefix = network.prefix();
    let forwarded = lines(published, |Published { container, port }| {
        let to = SocketAddr::new(*container, SERVED);
        format!("        tcp dport {port} dnat to {to}")
    });
    let direct = lines(published, |Published { container, .. }| {
        format!("        {word} daddr {container} iifname != \"{BRIDGE}\" drop")
    });
    let accepted = lines(published, |Published { container, .. }| {
        format!("        {word} daddr {container} tcp dport {SERVED} accept")
    });
    let hairpin = lines(published, |Published { container, .. }| {
        format!(
            "        {word} saddr {container} {word} daddr {container} \
             tcp dport {SERVED} masquerade"
        )
    });
    format!(
        "
table {word} docker-bridges {{
    map filter-forward-in-jumps {{
        type ifname : verdict
        elements = {{ \"{BRIDGE}\" : jump filter-forward-in__{BRIDGE} }}
    }}
    map filter-forward-out-jumps {{
        type ifname : verdict
        elements = {{ \"{BRIDGE}\" : jump filter-forward-out__{BRIDGE} }}
    }}
    map nat-postrouting-in-jumps {{
        type ifname : verdict
        elements = {{ \"{BRIDGE}\" : jump nat-postrouting-in__{BRIDGE} }}
    }}
    map nat-postrouting-out-jumps {{
        type ifname : verdict
        elements = {{ \"{BRIDGE}\" : jump nat-postrouting-out__{BRIDGE} }}
    }}
    chain filter-FORWARD {{
        type filter hook forward priority filter; policy accept;
        oifname vmap @filter-forward-in-jumps
        iifname vmap @filter-forward-out-jumps
    }}
    chain nat-OUTPUT {{
        type nat hook output priority -100; policy accept;
        fib daddr type local jump nat-prerouting-and-output
    }}
    chain nat-POSTROUTING {{
        type nat hook postrouting priority srcnat; policy accept;
        iifname vmap @nat-postrouting-out-jumps
        oifname vmap @nat-postrouting-in-jumps
    }}
    chain nat-PREROUTING {{
        type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local jump nat-prerouting-and-output
    }}
    chain nat-prerouting-and-output {{
{forwarded}    }}
    chain raw-PREROUTING {{
        type filter hook prerouting priority raw; policy accept;
{direct}    }}
    chain filter-forward-in__{BRIDGE} {{
        ct state established,related accept
        iifname \"{BRIDGE}\" accept
{accepted}        drop
    }}
    chain filter-forward-out__{BRIDGE} {{
        ct state established,related accept
        accept
    }}
    chain nat-postrouting-in__{BRIDGE} {{
        fib saddr type local masquerade
{hairpin}    }}
    chain nat-postrouting-out__{BRIDGE} {{
        oifname != \"{BRIDGE}\" {word} saddr {prefix} masquerade
    }}
}}
"
    )
}
