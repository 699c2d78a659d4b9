//! Whatever goes wrong on a gateway, no transfer is lost that the kernel's helper would
//! keep, and no other one without a count. Each fault is a test, with few sessions and
//! without the kernel's helper; `cargo xtask chaos` makes them longer, beside it.

use std::{collections::BTreeSet, fs, process::Command};

use ftp_helper_tests::{
    chaos::{all, report::Report},
    scenario::{has_root, skip},
};

fn no_transfer_is_lost(name: &str) {
    if !has_root() {
        return;
    }
    let file = std::env::temp_dir().join(format!("chaos-{}-{name}.json", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(["--quick", "--sessions", "40", "--seed", "1", "--ours"])
        .args(["--only", name, "--json"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let report = fs::read_to_string(&file);
    // Gone also when the assertions below fail.
    let _ = fs::remove_file(&file);
    assert!(output.status.success(), "{}\n{text}", output.status);
    let report: Report = serde_json::from_str(&report.unwrap()).unwrap();
    let [row] = &report.rows[..] else {
        panic!("{report:#?}");
    };
    let ours = row.ours.as_ref().unwrap();
    assert_eq!(row.faults, Vec::<String>::new());
    assert!(ours.kept > 0 && !ours.done.is_empty(), "{ours:#?}");
    if let Some(why) = ours.done.iter().find(|it| it.starts_with("not ")) {
        skip(why);
    }
}

macro_rules! faults {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                no_transfer_is_lost(stringify!($name));
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

faults! {
    killed race reload sessions_full expectations_full events_full conntrack_full link clock
    memory
}

#[test]
fn every_fault_is_a_test() {
    let tests: BTreeSet<_> = NAMES.iter().copied().collect();
    let faults: BTreeSet<_> = all().map(|fault| fault.name).collect();
    assert_eq!(tests, faults);
}

/// What was found when all of them were made the last time.
#[test]
fn the_document_has_every_fault() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let document = fs::read_to_string(path).unwrap();
    for fault in all() {
        let row = format!("| `{}` | {} | ", fault.name, fault.title);
        assert!(
            document.contains(&row),
            "no row of {}: run `cargo xtask chaos --write`",
            fault.name
        );
    }
}
