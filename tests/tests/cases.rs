//! The dialogues of both ends by hand, with ftp-helper on the gateway.

use std::time::Duration;

use ftp_helper_tests::{
    cases,
    counters::TcpCounters,
    scenario::helped_scenario,
    setup::{Family, Inside},
};

/// Runs all cases of a kind. Nothing gets lost in the lab, so a time-out of
/// anybody's retransmission timer is the helper's fault.
fn every_case(inside: Inside, family: Family) {
    helped_scenario(cases::setup(inside, family), |lab, agent, _| {
        let mut failed = Vec::new();
        for case in cases::of(inside, family) {
            let before = (TcpCounters::of(&lab.client)?, TcpCounters::of(&lab.server)?);
            let start = std::time::Instant::now();
            if let Err(error) = case.run(lab, Duration::from_secs(3)) {
                failed.push(format!("{error:#}"));
                continue;
            }
            let client = TcpCounters::of(&lab.client)?.since(before.0);
            let server = TcpCounters::of(&lab.server)?.since(before.1);
            println!(
                "{}: {:?}, client {client:?}, server {server:?}",
                case.name,
                start.elapsed()
            );
            if !case.repeats && client.timeouts + server.timeouts > 0 {
                failed.push(format!(
                    "{}: client {client:?}, server {server:?}",
                    case.name
                ));
            }
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
