//! The gateway's nftables rules.

use std::{fmt::Write as _, net::IpAddr};

use crate::setup::{Family, Helper, Inside, Setup, Translation};

/// Lets only what started inside, and its answers, through; and what `published`
/// says.
fn filter(published: &str) -> String {
    format!(
        "
table inet filter {{
    chain forward {{
        type filter hook forward priority filter; policy drop
        ct state established,related accept
        iifname \"lan0\" accept
        {published}
        counter
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

/// The rules of a router as people run it, for `nft -f`.
pub(crate) fn rules(setup: &Setup) -> String {
    let mut text = String::new();
    let served = setup.control_port.served;
    let published = match setup.inside {
        Inside::Client => String::new(),
        // The control port and nothing else.
        Inside::Server => format!(
            "iifname \"wan0\" {} daddr {} tcp dport {served} ct state new accept",
            word(setup),
            setup.addresses.server
        ),
    };
    text += &filter(&published);
    if setup.translation == Translation::Nat {
        text += &nat(setup);
    }
    if setup.helper == Helper::Kernel {
        text += &kernel_helper(served);
    }
    text
}

fn nat(setup: &Setup) -> String {
    let word = word(setup);
    let masquerade = match setup.ports {
        None => "masquerade".to_owned(),
        Some((first, last)) => format!("meta l4proto tcp masquerade to :{first}-{last}"),
    };
    let mut text = format!(
        "
table {word} nat {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
        oifname \"wan0\" {masquerade}
    }}
"
    );
    if setup.inside == Inside::Server {
        let server = match setup.addresses.server {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let ports = setup.control_port;
        // Writing to a `String` can not fail.
        let _ = writeln!(
            text,
            "    chain prerouting {{
        type nat hook prerouting priority dstnat
        iifname \"wan0\" {word} daddr {} tcp dport {} dnat to {server}:{}
    }}",
            setup.addresses.wan, ports.dialled, ports.served
        );
    }
    text + "}\n"
}

/// nftables' word for the family.
fn word(setup: &Setup) -> &'static str {
    match setup.family() {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// Rules that lose every `each`th packet of control connections on arrival.
pub(crate) fn loss(each: u32) -> String {
    format!(
        "
table inet loss {{
    chain prerouting {{
        type filter hook prerouting priority raw
        tcp sport 21 numgen inc mod {each} 0 counter drop
        tcp dport 21 numgen inc mod {each} 0 counter drop
    }}
}}
"
    )
}

/// Rules that lose every announcement once: the payload of a segment starts
/// with `PORT` behind a TCP header of 32 bytes, the size with timestamps.
pub(crate) const ANNOUNCEMENT_LOSS: &str = "
table ip loss {
    chain prerouting {
        type filter hook prerouting priority raw
        tcp dport 21 @th,256,32 0x504f5254 numgen inc mod 2 0 counter drop
    }
}
";
