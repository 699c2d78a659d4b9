//! How long the kernel remembers a silent control connection.

use anyhow::Result;

use super::Check;
use crate::doctor::{Finding, Gateway, probe::sysctl};

pub(super) const CHECK: Check = Check {
    name: "timeouts",
    looks_at: "whether a control connection outlives a long transfer (nf_conntrack_tcp_timeout_established)",
    quick: false,
    run,
};

const SETTING: &str = "net.netfilter.nf_conntrack_tcp_timeout_established";

/// RFC 5382, REQ-5: two hours and four minutes. A control connection is silent
/// while a file is transferred.
const LEAST: u64 = 7440;

fn run(_: &Gateway) -> Result<Vec<Finding>> {
    Ok(vec![match sysctl::number(SETTING)? {
        None => Finding::skip("host", "nf_conntrack is not loaded"),
        Some(seconds) => judge(seconds),
    }])
}

fn judge(seconds: u64) -> Finding {
    if seconds < LEAST {
        return Finding::warn(
            "host",
            format!(
                "{SETTING} is {seconds}: the control connection of a transfer that takes longer is \
                 forgotten, and breaks at its end"
            ),
            format!("sysctl -w {SETTING}={LEAST}, or more (RFC 5382)"),
        );
    }
    Finding::ok("host", format!("{SETTING} is {seconds}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn the_limit_is_that_of_the_rfc() {
        assert_eq!(judge(7439).status, Status::Warn);
        assert_eq!(judge(7440).status, Status::Ok);
        assert_eq!(judge(432_000).status, Status::Ok);
    }
}
