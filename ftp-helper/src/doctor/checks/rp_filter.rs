//! The test of source addresses, which drops what comes in on another interface
//! than the answer would go out.

use std::fs;

use anyhow::{Context as _, Result};

use super::{Check, counted, no_interface};
use crate::doctor::{Finding, Gateway, probe::sysctl};

pub(super) const CHECK: Check = Check {
    name: "rp-filter",
    looks_at: "strict rp_filter together with asymmetric routes, and what it dropped",
    quick: false,
    run,
};

const STRICT: u8 = 1;
const COUNTER: &str = "IPReversePathFilter";

fn run(gateway: &Gateway) -> Result<Vec<Finding>> {
    if gateway.outsides.is_empty() {
        return Ok(vec![no_interface()]);
    }
    let all = sysctl::number::<u8>("net.ipv4.conf/all/rp_filter")?.unwrap_or(0);
    let text = fs::read_to_string("/proc/net/netstat").context("can not read /proc/net/netstat")?;
    let dropped = counter(&text, COUNTER).unwrap_or(0);
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let mut findings = Vec::new();
    for outside in &gateway.outsides {
        let name = &outside.device.name;
        let setting = format!("net.ipv4.conf/{name}/rp_filter");
        let own = sysctl::number::<u8>(&setting)?.unwrap_or(0);
        // The kernel takes the larger one of the two.
        let strict = all.max(own) == STRICT;
        findings.push(judge(
            name,
            strict,
            all,
            dropped,
            default_route(&routes).as_deref(),
        ));
    }
    Ok(findings)
}

fn judge(name: &str, strict: bool, all: u8, dropped: u64, default: Option<&str>) -> Finding {
    if !strict {
        return Finding::ok(name, "rp_filter is not strict");
    }
    let setting = sysctl::typed(&format!("net.ipv4.conf/{name}/rp_filter"));
    // 2 wins over what `all` says.
    let fix = format!("sysctl -w {setting}=2");
    let fix = if all == STRICT {
        format!("{fix} (it takes the place of net.ipv4.conf.all.rp_filter=1 here)")
    } else {
        fix
    };
    if let Some(other) = default.filter(|other| *other != name) {
        return Finding::warn(
            name,
            format!(
                "rp_filter is strict and the default route leads through {other}: what peers send \
                 to {name} is dropped, unless a route to them leads through {name}"
            ),
            fix,
        );
    }
    if dropped > 0 {
        let packets = counted(dropped, "packet was", "packets were");
        return Finding::warn(
            name,
            format!("rp_filter is strict, and {packets} dropped by it on this host ({COUNTER})"),
            fix,
        );
    }
    Finding::ok(name, "rp_filter is strict, and has dropped nothing")
}

/// A counter of /proc/net/netstat: a line of names, then one of numbers.
fn counter(text: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines.chunks_exact(2).find_map(|pair| {
        let at = pair[0].split_whitespace().position(|word| word == name)?;
        pair[1].split_whitespace().nth(at)?.parse().ok()
    })
}

/// The device of the IPv4 default route that is taken, from /proc/net/route.
fn default_route(text: &str) -> Option<String> {
    const ANY: &str = "00000000";
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [device, ANY, _, _, _, _, metric, ANY, ..] => {
                    Some((metric.parse::<u32>().ok()?, (*device).to_owned()))
                }
                _ => None,
            }
        })
        .min()
        .map(|(_, device)| device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wan1\t00000000\t0171A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0
wan0\t00000000\t017100CB\t0003\t0\t0\t100\t00000000\t0\t0\t0
lan0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";

    #[test]
    fn counters_are_found_by_their_name() {
        let text = "TcpExt: SyncookiesSent IPReversePathFilter\nTcpExt: 1 7\n\
                    IpExt: InNoRoutes InOctets\nIpExt: 0 5\n";
        assert_eq!(counter(text, COUNTER), Some(7));
        assert_eq!(counter(text, "InOctets"), Some(5));
        assert_eq!(counter(text, "Other"), None);
        let own = fs::read_to_string("/proc/net/netstat").unwrap();
        assert!(counter(&own, COUNTER).is_some());
    }

    #[test]
    fn the_default_route_with_the_lowest_metric_is_taken() {
        assert_eq!(default_route(ROUTES).as_deref(), Some("wan0"));
        assert_eq!(default_route("Iface\n"), None);
    }

    #[test]
    fn strict_matters_with_asymmetric_routes_or_drops() {
        let status = |strict, dropped, default| judge("wan0", strict, 0, dropped, default).status;
        assert_eq!(status(false, 9, Some("wan1")), Status::Ok);
        assert_eq!(status(true, 0, Some("wan0")), Status::Ok);
        assert_eq!(status(true, 0, None), Status::Ok);
        assert_eq!(status(true, 1, Some("wan0")), Status::Warn);
        assert_eq!(status(true, 0, Some("wan1")), Status::Warn);
    }
}
