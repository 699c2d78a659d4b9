//! The dialogues of both ends by hand, with ftp-helper on the gateway.

use ftp_helper_tests::{
    cases,
    scenario::helped_scenario,
    setup::{Family, Inside},
};

/// Runs all cases of a kind. Nothing gets lost in the lab, so a time-out of
/// anybody's retransmission timer is the helper's fault.
fn every_case(inside: Inside, family: Family) {
    helped_scenario(cases::setup(inside, family), |lab, agent, _| {
        let mut failed = Vec::new();
        for case in cases::of(inside, family) {
            failed.extend(case.run_in_time(lab)?);
        }
        for reason in ["overlap_mismatch", "malformed", "rewrite_failed"] {
            if agent.count(reason)? > 0 {
                failed.push(format!("{reason}: {}", agent.count(reason)?));
            }
        }
        assert!(failed.is_empty(), "{failed:#?}");
        Ok(())
    });
}

#[test]
fn client_inside_with_ipv4() {
    every_case(Inside::Client, Family::V4);
}

#[test]
fn client_inside_with_ipv6() {
    every_case(Inside::Client, Family::V6);
}

#[test]
fn server_inside_with_ipv4() {
    every_case(Inside::Server, Family::V4);
}

#[test]
fn server_inside_with_ipv6() {
    every_case(Inside::Server, Family::V6);
}
