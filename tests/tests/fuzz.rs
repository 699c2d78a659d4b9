//! The fuzzer for the loaded programs, for a short time and with the same seeds; run
//! `cargo xtask fuzz` for more.

use std::{env, time::Duration};

use ftp_helper_common::reason::Reason;
use ftp_helper_tests::{
    fuzz::run::{Limits, run},
    packets::bench::bench,
};

/// How long, in seconds, unless the environment variable of this name says otherwise.
const FTP_HELPER_FUZZ_SECONDS: u64 = 20;

/// So many cases reach everything.
const ENOUGH: u64 = 1400;

/// What the settings of an interface lead to.
const REACHED: [Reason; 9] = [
    Reason::NotLoggedIn,
    Reason::DeniedPort,
    Reason::NoFreePort,
    Reason::FxpAccepted,
    Reason::NotApproved,
    Reason::Cleared,
    Reason::SessionDetected,
    Reason::SegmentSplit,
    Reason::ExpectationMatched,
];

#[test]
fn programs_and_model_agree() {
    let seconds = match env::var("FTP_HELPER_FUZZ_SECONDS") {
        Ok(seconds) => seconds.parse().expect("a number of seconds"),
        Err(_) => FTP_HELPER_FUZZ_SECONDS,
    };
    bench(|bench| {
        let limits = Limits {
            seed: 1,
            runs: u64::MAX,
            time: Duration::from_secs(seconds),
            findings: 1,
        };
        let report = run(bench, limits, None)?;
        println!("{} cases, {} packets", report.runs, report.packets);
        println!("{:?}", report.counts);
        let words: Vec<_> = report.findings.iter().map(|it| &*it.words).collect();
        assert!(words.is_empty(), "{}", words.join("\n"));
        // Cases that reach nothing of what can be set prove nothing about it.
        if report.runs >= ENOUGH {
            for reason in REACHED {
                let count = report.counts.get(reason.word());
                assert!(count.is_some(), "{} was never counted", reason.word());
            }
        }
        assert!(report.runs > 5, "only {} cases were tried", report.runs);
        Ok(())
    });
}
