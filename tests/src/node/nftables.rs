//! The rules for `nft -f`: kube-proxy's in mode nftables, flannel's, and those of the
//! CNI plugin `portmap`.

use std::fmt::Write as _;

use super::{BRIDGE, HOST_PORT, NODE_PORT, SERVED, Service};

/// Replaces what is there.
pub(super) fn rules(service: &Service) -> String {
    let tables = ["kube-proxy", "flannel", "cni_hostport"];
    let word = service.word();
    let mut text = String::new();
    for table in tables {
        let _ = writeln!(
            text,
            "add table {word} {table}\ndelete table {word} {table}"
        );
    }
    text + &kube_proxy(service) + &flannel(service) + &portmap(service)
}

fn kube_proxy(service: &Service) -> String {
    let Service {
        node,
        address,
        external,
        ..
    } = service;
    let (word, cluster) = (service.word(), service.cluster.prefix());
    let choice = choice(service);
    let mut endpoints = String::new();
    for (index, endpoint) in service.endpoints.iter().enumerate() {
        let served = Service::served(*endpoint);
        let _ = write!(
            endpoints,
            "    chain endpoint-{index} {{
        {word} saddr {endpoint} jump mark-for-masquerade
        meta l4proto tcp dnat to {served}
    }}
"
        );
    }
    format!(
        "table {word} kube-proxy {{
    set nodeport-ips {{
        type {}_addr
        elements = {{ {node} }}
    }}
{endpoints}    chain mark-for-masquerade {{
        meta mark set meta mark | 0x4000
    }}
    chain service-ftp {{
        {word} daddr {address} {word} saddr != {cluster} jump mark-for-masquerade
        {choice}
    }}
    chain external-ftp {{
        {word} saddr {cluster} goto service-ftp
        fib saddr type local jump mark-for-masquerade
        fib saddr type local goto service-ftp
        {choice}
    }}
    map service-ips {{
        type {}_addr . inet_proto . inet_service : verdict
        elements = {{
            {address} . tcp . {SERVED} : goto service-ftp,
            {external} . tcp . {SERVED} : goto external-ftp
        }}
    }}
    map service-nodeports {{
        type inet_proto . inet_service : verdict
        elements = {{ tcp . {NODE_PORT} : goto external-ftp }}
    }}
    chain services {{
        {word} daddr . meta l4proto . th dport vmap @service-ips
        {word} daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
    }}
    chain masquerading {{
        meta mark & 0x4000 == 0x0 return
        meta mark set meta mark ^ 0x4000
        masquerade fully-random
    }}
    chain nat-prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        jump services
    }}
    chain nat-output {{
        type nat hook output priority -100; policy accept;
        jump services
    }}
    chain nat-postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        jump masquerading
    }}
}}
",
        family(service),
        family(service),
    )
}

fn choice(service: &Service) -> String {
    let endpoints: Vec<_> = (0..service.endpoints.len())
        .map(|index| format!("{index} : goto endpoint-{index}"))
        .collect();
    match endpoints.len() {
        0 => "drop".to_owned(),
        count => format!(
            "numgen random mod {count} vmap {{ {} }}",
            endpoints.join(", ")
        ),
    }
}

fn family(service: &Service) -> &'static str {
    match service.word() {
        "ip" => "ipv4",
        _ => "ipv6",
    }
}

/// With the forwarding policy of a node that lets in nothing but what is served.
fn flannel(service: &Service) -> String {
    let (word, pods, cluster) = (
        service.word(),
        service.pods.prefix(),
        service.cluster.prefix(),
    );
    format!(
        "table {word} flannel {{
    chain forward {{
        type filter hook forward priority filter; policy drop;
        ct state invalid drop
        ct state established,related accept
        {word} saddr {cluster} accept
        {word} daddr {cluster} tcp dport {SERVED} accept
    }}
    chain postrtg {{
        type nat hook postrouting priority srcnat + 1; policy accept;
        meta mark & 0x4000 == 0x4000 return
        {word} saddr {pods} {word} daddr {cluster} return
        {word} saddr {cluster} {word} daddr {pods} return
        {word} saddr != {cluster} {word} daddr {pods} return
        {word} saddr {cluster} oifname != \"{BRIDGE}\" masquerade fully-random
        {word} saddr != {cluster} {word} daddr {cluster} masquerade fully-random
    }}
}}
"
    )
}

fn portmap(service: &Service) -> String {
    let word = service.word();
    let Some(first) = service.endpoints.first() else {
        return String::new();
    };
    let served = Service::served(*first);
    let pods = service.pods.prefix();
    format!(
        "table {word} cni_hostport {{
    chain hostports {{
        {word} saddr {pods} tcp dport {HOST_PORT} meta mark set meta mark | 0x2000
        tcp dport {HOST_PORT} dnat to {served}
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat + 1; policy accept;
        fib daddr type local jump hostports
    }}
    chain output {{
        type nat hook output priority -99; policy accept;
        fib daddr type local jump hostports
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat - 1; policy accept;
        meta mark & 0x2000 == 0x2000 masquerade
    }}
}}
"
    )
}
