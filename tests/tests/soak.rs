//! Sessions of all kinds, for some seconds: none fails, and nothing is left of them but
//! closed ones that have their time. `cargo xtask soak` does it for an hour.

use std::{fs, process::Command};

use ftp_helper_tests::{
    scenario::has_root,
    soak::{
        report::Report,
        traffic::kind::Kind,
        wing::{WINGS, Wing},
    },
};

#[test]
fn nothing_fails_and_nothing_is_left() {
    if !has_root() {
        return;
    }
    let file = std::env::temp_dir().join(format!("soak-{}.json", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--quick", "--json"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let report = fs::read_to_string(&file);
    // Gone also when the assertions below fail.
    let _ = fs::remove_file(&file);
    assert!(output.status.success(), "{}\n{text}", output.status);
    let report: Report = serde_json::from_str(&report.unwrap()).unwrap();
    assert_eq!(report.faults(), Vec::<String>::new());
    assert_eq!(report.wings.len(), WINGS.len());
    for (wing, expected) in report.wings.iter().zip(&WINGS) {
        has_all_kinds(wing, expected);
    }
}

/// Sessions of each kind were made, and what was measured makes sense.
fn has_all_kinds(found: &ftp_helper_tests::soak::report::Wing, expected: &Wing) {
    assert_eq!(found.name, expected.name);
    let of = |reason: &str| found.counters.get(reason).map_or(0, |it| it.count);
    let sessions: u64 = found.kinds.values().map(|count| count.done).sum();
    // The end of a handshake may get lost; the connection is known from its first line on.
    let known = of("session_opened") + of("session_picked_up");
    assert_eq!(known, sessions, "{found:#?}");
    assert_eq!(of("session_closed"), sessions, "{found:#?}");
    for kind in expected.kinds() {
        let count = &found.kinds[kind.word()];
        assert!(count.done > 0 && count.kept > 0, "{kind:?}: {found:#?}");
    }
    // Those are let alone, and every one of them is known to be encrypted.
    assert_eq!(of("opaque"), found.kinds[Kind::Tls.word()].done);
    assert!(of("expectation_matched") > 0, "{found:#?}");
    assert!(found.most.conntrack > 0, "{found:#?}");
    assert!(found.memory.iter().all(|it| *it > 1024), "{found:#?}");
    assert_eq!(found.impaired_packets > 0, expected.is_impaired);
}
