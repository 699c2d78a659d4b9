//! The interface of the default route.

use std::fs;

use anyhow::{Context as _, Result, bail};

/// The kernel's `RTF_UP`: the route is in use.
const ROUTE_UP: u32 = 0x1;
/// The kernel's `RTF_REJECT`: an `unreachable` route, which leads nowhere.
const ROUTE_REJECT: u32 = 0x200;

/// The interface of the default route, of IPv4's before IPv6's.
pub(super) fn interface() -> Result<String> {
    let ipv4 = read("/proc/net/route")?;
    if let Some(interface) = best(ipv4.lines().filter_map(ipv4_default)) {
        return Ok(interface);
    }
    // A kernel without IPv6 does not have the file.
    let ipv6 = read("/proc/net/ipv6_route").unwrap_or_default();
    match best(ipv6.lines().filter_map(ipv6_default)) {
        Some(interface) => Ok(interface),
        None => bail!(
            "there is no default route to take the interface from: name one, as in `cargo xtask run -- -i eth0`"
        ),
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path)
        .with_context(|| format!("can not read {path}: name an interface with `-- -i NAME`"))
}

/// A default route.
struct DefaultRoute<'a> {
    interface: &'a str,
    metric: u32,
}

/// Of several default routes the one that the kernel prefers; the first of equals.
fn best<'a>(routes: impl Iterator<Item = DefaultRoute<'a>>) -> Option<String> {
    routes
        .min_by_key(|route| route.metric)
        .map(|route| route.interface.to_owned())
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT`, numbers
/// but for the counters and the metric in hexadecimal.
fn ipv4_default(line: &str) -> Option<DefaultRoute<'_>> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let &[interface, destination, _, flags, _, _, metric, mask, ..] = fields.as_slice() else {
        return None;
    };
    let is_default = is_zero(destination) && is_zero(mask) && is_usable(flags)?;
    let metric = metric.parse().ok()?;
    is_default.then_some(DefaultRoute { interface, metric })
}

/// `Destination PrefixLength Source PrefixLength Gateway Metric RefCnt Use Flags
/// Iface`, all numbers in hexadecimal.
fn ipv6_default(line: &str) -> Option<DefaultRoute<'_>> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let &[destination, length, _, _, _, metric, _, _, flags, interface] = fields.as_slice() else {
        return None;
    };
    let is_default = is_zero(destination) && is_zero(length) && is_usable(flags)?;
    let metric = u32::from_str_radix(metric, 16).ok()?;
    (is_default && interface != "lo").then_some(DefaultRoute { interface, metric })
}

fn is_zero(hexadecimal: &str) -> bool {
    !hexadecimal.is_empty() && hexadecimal.bytes().all(|digit| digit == b'0')
}

fn is_usable(flags: &str) -> Option<bool> {
    let flags = u32::from_str_radix(flags, 16).ok()?;
    Some(flags & ROUTE_UP != 0 && flags & ROUTE_REJECT == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";

    fn ipv4(lines: &[&str]) -> Option<String> {
        best(
            [HEADER]
                .iter()
                .chain(lines)
                .filter_map(|line| ipv4_default(line)),
        )
    }

    fn ipv6(lines: &[&str]) -> Option<String> {
        best(lines.iter().filter_map(|line| ipv6_default(line)))
    }

    #[test]
    fn finds_the_ipv4_default_route() {
        let interface = ipv4(&[
            "lan0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
            "wan0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0",
        ]);
        assert_eq!(interface.as_deref(), Some("wan0"));
    }

    #[test]
    fn the_lower_metric_wins() {
        let interface = ipv4(&[
            "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0",
            "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0",
        ]);
        assert_eq!(interface.as_deref(), Some("eth0"));
    }

    #[test]
    fn half_of_the_address_space_is_not_the_default_route() {
        // 0.0.0.0/1, as VPN clients set it.
        let interface = ipv4(&["tun0\t00000000\t0100080A\t0003\t0\t0\t0\t00000080\t0\t0\t0"]);
        assert_eq!(interface, None);
    }

    #[test]
    fn routes_that_lead_nowhere_do_not_count() {
        assert_eq!(
            ipv4(&["wan0\t00000000\t0101A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0"]),
            None
        );
        assert_eq!(
            ipv4(&["*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0"]),
            None
        );
        assert_eq!(ipv4(&[]), None);
        assert_eq!(ipv4(&["wan0 00000000"]), None);
    }

    #[test]
    fn finds_the_ipv6_default_route() {
        let zero = "00000000000000000000000000000000";
        let gateway = "fe800000000000000000000000000001";
        let interface = ipv6(&[
            &format!("{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo"),
            &format!("{zero} 00 {zero} 00 {gateway} 00000400 00000001 00000000 00000003     wan0"),
            &format!("{gateway} 80 {zero} 00 {zero} 00000000 00000002 00000000 80200001     lan0"),
        ]);
        assert_eq!(interface.as_deref(), Some("wan0"));
    }
}
