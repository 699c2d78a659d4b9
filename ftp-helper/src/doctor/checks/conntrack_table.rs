//! Room in the kernel's connection table.

use anyhow::Result;

use super::Check;
use crate::doctor::{Finding, Gateway, probe::sysctl};

pub(super) const CHECK: Check = Check {
    name: "conntrack-table",
    looks_at: "how full the connection table is (nf_conntrack_count, nf_conntrack_max)",
    quick: false,
    run,
};

const MAX: &str = "net.netfilter.nf_conntrack_max";

fn run(_: &Gateway) -> Result<Vec<Finding>> {
    let count = sysctl::number("net.netfilter.nf_conntrack_count")?;
    let max = sysctl::number(MAX)?;
    Ok(vec![match (count, max) {
        (Some(count), Some(max)) => judge(count, max),
        _ => Finding::fail(
            "host",
            "the kernel tracks no connections: nf_conntrack is not loaded",
            "modprobe nf_conntrack",
        ),
    }])
}

fn judge(count: u64, max: u64) -> Finding {
    let reason = format!("{count} of {max} entries are in use");
    let fix = format!(
        "sysctl -w {MAX}={}, and the same line in /etc/sysctl.d",
        max.max(1) * 2
    );
    if count >= max {
        Finding::fail(
            "host",
            format!("{reason}: new connections are dropped"),
            fix,
        )
    } else if count.saturating_mul(10) >= max.saturating_mul(9) {
        Finding::warn("host", format!("{reason}: it is nearly full"), fix)
    } else {
        Finding::ok("host", reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn limits() {
        for (count, status) in [
            (0, Status::Ok),
            (899, Status::Ok),
            (900, Status::Warn),
            (999, Status::Warn),
            (1000, Status::Fail),
            (1001, Status::Fail),
        ] {
            assert_eq!(judge(count, 1000).status, status, "{count}");
        }
        let fix = judge(1000, 1000).fix.unwrap();
        assert!(
            fix.starts_with("sysctl -w net.netfilter.nf_conntrack_max=2000"),
            "{fix}"
        );
    }
}
