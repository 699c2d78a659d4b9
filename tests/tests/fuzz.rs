//! The fuzzer for the loaded programs, for a short time and with the same seeds; run
//! `cargo xtask fuzz` for more.

use std::{env, time::Duration};

use ftp_helper_tests::{
    fuzz::run::{Limits, run},
    packets::bench::bench,
};

/// How long, in seconds, unless the environment variable of this name says otherwise.
const FTP_HELPER_FUZZ_SECONDS: u64 = 20;

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
        let words: Vec<_> = report.findings.iter().map(|it| &*it.words).collect();
        assert!(words.is_empty(), "{}", words.join("\n"));
        assert!(report.runs > 5, "only {} cases were tried", report.runs);
        Ok(())
    });
}
