//! Rules that lose packets, written with nftables.

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
