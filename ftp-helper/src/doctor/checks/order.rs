//! Programs and filters of others on the same interfaces.

use anyhow::Result;
use ftp_helper_common::session::Direction;

use super::{Check, no_interface};
use crate::{
    datapath::chain,
    doctor::{
        Finding, Gateway,
        gateway::Outside,
        probe::stops::{self, Stop},
    },
    pins::{AttachmentPin, direction_word},
};

pub(super) const CHECK: Check = Check {
    name: "order",
    looks_at: "TC programs and filters of others before and behind the own ones",
    quick: false,
    run: |gateway| Ok(run(gateway)),
};

fn run(gateway: &Gateway) -> Vec<Finding> {
    if gateway.outsides.is_empty() {
        return vec![no_interface()];
    }
    let mut findings = Vec::new();
    for outside in &gateway.outsides {
        for direction in [Direction::Ingress, Direction::Egress] {
            let subject = format!("{} {}", outside.device.name, direction_word(direction));
            let mut pins = gateway.pinned.attachments.iter();
            let pin = pins
                .find(|pin| pin.device.index == outside.device.index && pin.direction == direction);
            match look(outside, direction, pin) {
                Ok((stops, own)) => findings.extend(judge(&subject, direction, &stops, own)),
                Err(error) => findings.push(Finding::skip(
                    subject,
                    format!("the programs can not be looked at (root can): {error:#}"),
                )),
            }
        }
    }
    findings
}

/// What packets pass, in this order, and the id of our program.
fn look(
    outside: &Outside,
    direction: Direction,
    pin: Option<&AttachmentPin>,
) -> Result<(Vec<Stop>, Option<u32>)> {
    let stops = stops::look(&outside.device, direction)?;
    let own = pin.map(chain::pinned_program).transpose()?;
    Ok((stops, own))
}

fn judge(subject: &str, direction: Direction, stops: &[Stop], own: Option<u32>) -> Vec<Finding> {
    let word = direction_word(direction);
    let at = own.and_then(|own| stops.iter().position(|stop| stop.program == Some(own)));
    // Before a start: what a start would put ours beside.
    let at = at.unwrap_or(match direction {
        Direction::Ingress => 0,
        Direction::Egress => stops.len(),
    });
    let mut findings = Vec::new();
    for (number, stop) in stops.iter().enumerate() {
        if own.is_some() && stop.program == own {
            continue;
        }
        let name = &stop.name;
        if stop.is_own_name {
            findings.push(Finding::fail(
                subject,
                format!("{name} is of a second ftp-helper: both change the same lines"),
                "`ftp-helper --pin-dir PATH detach` with the other's pin directory, see the check \
                 `pins`",
            ));
        } else if number < at {
            findings.push(Finding::warn(
                subject,
                format!(
                    "{name} runs before ours: packets that it redirects, or lets pass with TCX_PASS \
                     or TC_ACT_OK in place of TCX_NEXT or TC_ACT_UNSPEC, are not seen by ours"
                ),
                "let it return TCX_NEXT for TCP; `bpftool net show` and `tc filter show` tell whose \
                 it is",
            ));
        } else if direction == Direction::Egress {
            findings.push(Finding::warn(
                subject,
                format!(
                    "{name} runs behind ours: when it translates addresses, the one that ours \
                     announced is not the one that the peer sees"
                ),
                "`ftp-helper detach`, then start again: a new attachment goes behind all others; or \
                 take the translation out of the other one",
            ));
        }
    }
    if findings.is_empty() {
        let behind = stops.len() - usize::from(own.is_some()).min(stops.len());
        findings.push(Finding::ok(
            subject,
            if behind == 0 {
                format!("there is no program of others at {word}")
            } else {
                "programs of others run behind ours, and see packets as ours leaves them".to_owned()
            },
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{datapath::chain::is_own_name, doctor::Status};

    fn stop(program: u32, name: &str) -> Stop {
        Stop {
            program: Some(program),
            name: name.to_owned(),
            is_own_name: is_own_name(name),
        }
    }

    fn judged(direction: Direction, stops: &[Stop], own: Option<u32>) -> Vec<(Status, String)> {
        judge("wan0 x", direction, stops, own)
            .into_iter()
            .map(|finding| (finding.status, finding.reason))
            .collect()
    }

    #[test]
    fn alone_is_fine() {
        for direction in [Direction::Ingress, Direction::Egress] {
            for (stops, own) in [(vec![], None), (vec![stop(1, "ftp_helper_ingr")], Some(1))] {
                let found = judged(direction, &stops, own);
                assert_eq!(found.len(), 1);
                assert_eq!(found[0].0, Status::Ok, "{found:?}");
            }
        }
    }

    #[test]
    fn others_before_ours_may_hide_packets() {
        let stops = [stop(7, "other"), stop(1, "ftp_helper_ingr")];
        for direction in [Direction::Ingress, Direction::Egress] {
            let found = judged(direction, &stops, Some(1));
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].0, Status::Warn);
            assert!(found[0].1.contains("before ours"), "{found:?}");
        }
    }

    #[test]
    fn others_behind_ours_matter_on_the_way_out() {
        let stops = [stop(1, "ftp_helper_egre"), stop(7, "other")];
        assert_eq!(judged(Direction::Ingress, &stops, Some(1))[0].0, Status::Ok);
        let found = judged(Direction::Egress, &stops, Some(1));
        assert_eq!(found[0].0, Status::Warn);
        assert!(found[0].1.contains("behind ours"), "{found:?}");
    }

    #[test]
    fn before_a_start_others_are_where_a_start_leaves_them() {
        let stops = [stop(7, "other")];
        assert_eq!(judged(Direction::Ingress, &stops, None)[0].0, Status::Ok);
        let found = judged(Direction::Egress, &stops, None);
        assert!(found[0].1.contains("before ours"), "{found:?}");
    }

    #[test]
    fn a_second_ftp_helper_fails() {
        let stops = [stop(1, "ftp_helper_ingr"), stop(7, "ftp_helper_ingr")];
        let found = judged(Direction::Ingress, &stops, Some(1));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, Status::Fail);
    }
}
