//! The gateway's nftables rules.

use std::fmt::Write as _;

use crate::setup::Helper;

/// A router as people run it: masquerade towards the outside, and a forward
/// chain that lets only what started inside, and its answers, through.
const ROUTER: &str = "
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat
        oifname \"wan0\" masquerade
    }
}
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

/// The rules for `nft -f`.
pub(crate) fn rules(helper: Helper) -> String {
    let mut rules = String::from(ROUTER);
    if helper == Helper::Kernel {
        // Writing to a `String` can not fail.
        let _ = rules.write_str(KERNEL_HELPER);
    }
    rules
}
