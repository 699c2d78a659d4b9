//! The committed comparison belongs to the scenarios that exist, and says that
//! ftp-helper gets all of them right.

use ftp_helper_tests::comparison::{Row, WORKS, rows};

#[test]
fn the_document_has_every_scenario_and_all_of_them_work() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/comparison.md");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains(" inside, "))
        .collect();
    let expected: Vec<_> = rows().iter().map(Row::head).collect();
    assert_eq!(
        lines.len(),
        expected.len(),
        "generate it again with `cargo run --package ftp-helper-tests --bin comparison -- --write`"
    );
    for (line, head) in lines.iter().zip(expected) {
        let rest = line
            .strip_prefix(&head)
            .unwrap_or_else(|| panic!("{line:?} is not the row of {head:?}"));
        let ours = rest.split('|').next().unwrap_or_default().trim();
        assert_eq!(ours, WORKS, "{line}");
    }
}
