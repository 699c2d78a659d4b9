//! The gateway's nftables rules.

use crate::setup::{Helper, Setup};

/// Lets only what started inside, and its answers, through.
const FILTER: &str = "
table ip filter {
    chain forward {
        type filter hook forward priority filter; policy drop
        ct state established,related accept
        iifname \"lan0\" accept
        counter
    }
}
";

/// The kernel's own helper, attached by hand as it has to be since Linux 6.0.
const KERNEL_HELPER: &str = "
table ip helper {
    ct helper ftp {
        type \"ftp\" protocol tcp
    }
    chain prerouting {
        type filter hook prerouting priority filter
        iifname \"lan0\" tcp dport 21 ct helper set \"ftp\"
    }
}
";

/// The rules of a router as people run it, for `nft -f`.
pub(crate) fn rules(setup: &Setup) -> String {
    let masquerade = match setup.ports {
        None => "masquerade".to_owned(),
        Some((first, last)) => format!("meta l4proto tcp masquerade to :{first}-{last}"),
    };
    let helper = match setup.helper {
        Helper::Nobody => "",
        Helper::Kernel => KERNEL_HELPER,
    };
    format!(
        "
table ip nat {{
    chain postrouting {{
        type nat hook postrouting priority srcnat
        oifname \"wan0\" {masquerade}
    }}
}}
{FILTER}{helper}"
    )
}

/// Rules that lose every `each`th packet of control connections on arrival.
pub(crate) fn loss(each: u32) -> String {
    format!(
        "
table ip loss {{
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
