//! Why a control connection is not known at all.

use ftp_helper_common::interface::control_port;

use super::{cause::Cause, target::Target};
use crate::{
    datapath::maps::{CONTROL_PORTS, Ports},
    doctor::{Gateway, checks::CHECKS, examine},
    pins::PinDirectory,
};

/// What of the doctor's is looked at: who else may have the packets.
const CHECKED: &[&str] = &["attachment", "kernel-helper", "flow-offload", "bridge"];

/// The causes, the most likely one first.
pub fn causes(pins: &PinDirectory, target: &Target) -> Vec<Cause> {
    let mut causes: Vec<Cause> = of_ports(pins, target).into_iter().collect();
    causes.extend(checked(pins, CHECKED));
    causes.push(
        Cause::new(
            "over",
            "the connection is over, or not one of this gateway's",
        )
        .fix("see `ftp-helper session list`; `ftp-helper watch` shows those that come"),
    );
    causes
}

/// What these checks of the doctor find on the interfaces that are helped. What
/// can not be looked at is no cause.
pub fn checked(pins: &PinDirectory, names: &[&str]) -> Vec<Cause> {
    let Ok(gateway) = Gateway::new(pins, &[]) else {
        return Vec::new();
    };
    let wanted = CHECKS.iter().filter(|check| names.contains(&check.name));
    let findings = examine(&gateway, &wanted.collect::<Vec<_>>());
    findings.iter().filter_map(Cause::found).collect()
}

fn of_ports(pins: &PinDirectory, target: &Target) -> Option<Cause> {
    let candidates = target.ports();
    if candidates.is_empty() {
        return None;
    }
    let known = Ports::open(pins, CONTROL_PORTS).and_then(|ports| ports.entries());
    let known = known.ok()?;
    let is = |state: fn(u8) -> bool| {
        let mut known = known.iter();
        known.any(|(key, value)| state(*value) && candidates.contains(&key.port))
    };
    if is(control_port::is_open) {
        return None;
    }
    let words: Vec<String> = candidates.iter().map(u16::to_string).collect();
    let words = words.join(" or ");
    Some(if is(|value| value == control_port::DRAINING) {
        Cause::new(
            "draining_port",
            format!("port {words} was a control port and is none any more"),
        )
        .fix("ftp-helper port add PORT")
    } else {
        Cause::new(
            "no_control_port",
            format!("port {words} is no control port: connections to it are not looked at"),
        )
        .fix("ftp-helper port add PORT, the server's; or start with --detect")
    })
}
