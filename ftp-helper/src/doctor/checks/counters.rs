//! What was counted while the programs worked.

use anyhow::Result;
use ftp_helper_common::reason::{Class, Reason};

use super::Check;
use crate::{
    datapath::maps::Counters,
    doctor::{Finding, Gateway},
};

pub(super) const CHECK: Check = Check {
    name: "counters",
    looks_at: "faults, limits that were reached, and data connections that never came",
    quick: false,
    run,
};

/// Fewer data connections that did not come say nothing.
const SOME: u64 = 10;

fn run(gateway: &Gateway) -> Result<Vec<Finding>> {
    let path = gateway.pins.path().display().to_string();
    if gateway.pinned.maps.is_empty() {
        return Ok(vec![Finding::skip(
            path,
            "nothing is loaded, so nothing was counted",
        )]);
    }
    let counters = Counters::open(&gateway.pins)?;
    let mut counts = Vec::new();
    for reason in Reason::ALL {
        counts.push((*reason, counters.get(*reason)?));
    }
    Ok(judge(&path, &counts))
}

fn judge(path: &str, counts: &[(Reason, u64)]) -> Vec<Finding> {
    let count = |wanted: Reason| {
        let mut counts = counts.iter();
        counts
            .find(|(reason, _)| *reason == wanted)
            .map_or(0, |(_, count)| *count)
    };
    let mut findings = Vec::new();
    for (reason, count) in counts.iter().filter(|(_, count)| *count > 0) {
        if let Some(fix) = fix(*reason) {
            let said = format!("{count} times: {}", reason.help());
            findings.push(Finding::warn(reason.word(), said, fix));
        }
    }
    let (expired, matched) = (
        count(Reason::ExpectationExpired),
        count(Reason::ExpectationMatched),
    );
    if expired >= SOME && expired > matched / 2 {
        findings.push(Finding::warn(
            Reason::ExpectationExpired.word(),
            format!("{expired} announced data connections did not come, {matched} did"),
            "look for what drops them in front of this gateway: `tcpdump -ni IFACE tcp[13]=2` shows \
             their SYN, the check `outside-address` what peers connect to",
        ));
    }
    if findings.is_empty() {
        let said = format!("no fault was counted; {matched} data connections were admitted");
        findings.push(Finding::ok(path, said));
    }
    findings
}

/// What to do about a reason that should not come up.
fn fix(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::ClientLimit => {
            "`ftp-helper session list` shows whose they are; `--client-limit` sets the limit"
        }
        Reason::SessionTableFull => {
            "`ftp-helper session list` shows who has them; `--client-limit` keeps one client from \
             taking all"
        }
        Reason::ExpectationTableFull => {
            "`ftp-helper expect list` shows whose they are; a shorter `--expectation-timeout` frees \
             them earlier"
        }
        Reason::NoFreePort => "`ftp-helper run --port-range FIRST-LAST` with more ports",
        Reason::ConntrackMissing => {
            "let the kernel track control connections: no `notrack` rule for them, and netfilter on \
             the way between inside and outside; where rules put them into a zone, `ftp-helper run \
             --ct-zone`"
        }
        Reason::ConntrackInsertFailed => {
            "see the check `conntrack-table`; `conntrack -S` shows what the kernel counted"
        }
        Reason::EventLost => {
            "nothing is wrong with the transfers; `ftp-helper stats` has the right numbers"
        }
        Reason::Fragment => {
            "keep control connections from being fragmented: `nft add rule inet filter forward tcp \
             flags syn tcp option maxseg size set rt mtu`"
        }
        Reason::OverlapMismatch => {
            "find out who sends other bytes in place of those that were sent before: `tcpdump -ni \
             IFACE tcp port 21`"
        }
        Reason::RewriteFailed => {
            "report it, with the output of `ethtool -k IFACE` and `ip -d link show IFACE`"
        }
        // A fault that is added gets a finding without a line here.
        other if other.class() == Class::Fault => "`ftp-helper stats` shows all counters",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    fn judged(counts: &[(Reason, u64)]) -> Vec<(Status, String)> {
        judge("/pins", counts)
            .into_iter()
            .map(|finding| (finding.status, finding.subject))
            .collect()
    }

    #[test]
    fn every_fault_is_told_once_it_was_counted() {
        for reason in Reason::ALL
            .iter()
            .filter(|reason| reason.class() == Class::Fault)
        {
            assert_eq!(judged(&[(*reason, 0)])[0].0, Status::Ok);
            let expected = (Status::Warn, reason.word().to_owned());
            assert_eq!(judged(&[(*reason, 1)]), [expected]);
        }
    }

    #[test]
    fn data_connections_that_never_come() {
        let status = |expired, matched| {
            judged(&[
                (Reason::ExpectationExpired, expired),
                (Reason::ExpectationMatched, matched),
            ])[0]
                .0
        };
        assert_eq!(status(9, 0), Status::Ok);
        assert_eq!(status(10, 0), Status::Warn);
        assert_eq!(status(10, 20), Status::Ok);
        assert_eq!(status(11, 20), Status::Warn);
    }

    #[test]
    fn drops_that_somebody_can_do_something_about() {
        for reason in [
            Reason::Fragment,
            Reason::OverlapMismatch,
            Reason::RewriteFailed,
        ] {
            assert_eq!(judged(&[(reason, 1)])[0].0, Status::Warn, "{reason:?}");
        }
        // Happens by itself, and is made good by itself.
        assert_eq!(judged(&[(Reason::OutOfOrder, 9)])[0].0, Status::Ok);
    }

    #[test]
    fn work_and_refusals_are_no_fault() {
        assert_eq!(
            judged(&[(Reason::LineHeld, 5), (Reason::LowPort, 5)])[0].0,
            Status::Ok
        );
    }
}
