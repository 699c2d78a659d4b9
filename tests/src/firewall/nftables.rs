//! The gateway's rules for `nft -f`.

use super::{Egress, INVALID, REFUSED, Source, forwards_port};
use crate::setup::{Family, Helper, Inside, Setup, Translation};

/// The rules of a router as people run it.
pub(super) fn rules(setup: &Setup) -> String {
    let mut text = filter(setup);
    if setup.translation == Translation::Nat {
        text += &nat(setup);
    }
    if setup.helper == Helper::Kernel {
        text += &kernel_helper(setup.control_port.served);
    }
    text
}

/// Lets only what started inside, and its answers, through; and control
/// connections to a server inside.
fn filter(setup: &Setup) -> String {
    let word = word(setup);
    let served = setup.control_port.served;
    let outgoing = match setup.egress {
        Egress::Everything => "iifname \"lan0\" accept".to_owned(),
        Egress::ControlOnly => format!("iifname \"lan0\" tcp dport {served} ct state new accept"),
    };
    let published = match setup.inside {
        Inside::Client => String::new(),
        // The control port and nothing else.
        Inside::Server => format!(
            "iifname \"wan0\" {word} daddr {} tcp dport {served} ct state new accept",
            setup.addresses.server
        ),
    };
    format!(
        "
table inet filter {{
    chain prerouting {{
        type filter hook prerouting priority mangle
        ct state invalid counter comment \"{INVALID}\"
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop
        ct state established,related accept
        {outgoing}
        {published}
        counter drop comment \"{REFUSED}\"
    }}
}}
"
    )
}

/// The kernel's own helper, attached by hand as it has to be since Linux 6.0.
/// Behind the translation of destinations, so the port is the server's own.
fn kernel_helper(port: u16) -> String {
    format!(
        "
table inet helper {{
    ct helper ftp {{
        type \"ftp\" protocol tcp
    }}
    chain prerouting {{
        type filter hook prerouting priority filter
        tcp dport {port} ct helper set \"ftp\"
    }}
}}
"
    )
}

fn nat(setup: &Setup) -> String {
    let word = word(setup);
    let ports = setup.control_port;
    let mut sources = Vec::new();
    if setup.source == Source::SecondAddress {
        let second = setup.second_wan();
        sources.push(format!("tcp dport {} snat to {second}", ports.served));
    }
    sources.push(match (setup.ports, setup.source) {
        (Some((first, last)), _) => format!("meta l4proto tcp masquerade to :{first}-{last}"),
        (None, Source::RandomPort) => "masquerade fully-random".to_owned(),
        (None, _) => "masquerade".to_owned(),
    });
    let postrouting: Vec<_> = sources
        .iter()
        .map(|source| format!("        oifname \"wan0\" {source}\n"))
        .collect();
    let postrouting = postrouting.concat();
    let prerouting = if forwards_port(setup) {
        format!(
            "        iifname \"wan0\" {word} daddr {} tcp dport {} dnat to {}\n",
            setup.known_as(),
            ports.dialled,
            setup.served_at()
        )
    } else {
        String::new()
    };
    format!(
        "
table {word} nat {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
{postrouting}    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat
{prerouting}    }}
}}
"
    )
}

/// nftables' word for the family.
fn word(setup: &Setup) -> &'static str {
    match setup.family() {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}
