//! Everything that `cargo xtask bench` measures can be measured, and the committed
//! document belongs to the committed numbers. The amounts are tiny: nothing is said
//! of how long anything takes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use ftp_helper_tests::{
    cost::{
        OURS, QUESTIONS, announcement, document,
        document::{PLOTS, plot_name},
        latency,
        output::{BEFORE, DOCUMENT, LATEST, read},
        peer::Peer,
        plot,
        report::{Outcome, Report, Section, Table},
        scale, sections, tax,
    },
    scenario::has_root,
};

/// Measures one question with tiny amounts.
fn measured(name: &str) -> Option<Section> {
    if !has_root() {
        return None;
    }
    let file = std::env::temp_dir().join(format!("bench-{}-{name}.json", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--tiny", "--only", name, "--json"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}", output.status);
    let report = read(&file);
    // Gone also when the assertions below fail.
    let _ = std::fs::remove_file(&file);
    let mut report = report.unwrap();
    assert!(!report.verified_instructions.is_empty());
    assert_eq!(report.sections.len(), 1, "{report:#?}");
    let section = report.sections.remove(0);
    assert!(!section.tables.is_empty(), "{:?}\n{text}", section.remarks);
    Some(section)
}

/// Every row of the table has a value of each of these, and a reason where there is
/// none of another.
#[track_caller]
fn complete(table: &Table, subjects: &[&str]) {
    assert!(!table.rows.is_empty(), "{table:#?}");
    for row in &table.rows {
        for subject in subjects {
            match row.outcome(subject) {
                Some(Outcome::Measured { value, ratio }) => {
                    assert!(value.median.is_finite(), "{row:#?}");
                    let is_compared = *subject == OURS && table.anchor != OURS;
                    assert!(!is_compared || ratio.is_some(), "{row:#?}");
                }
                other => panic!("{}, {}, {subject}: {other:?}", table.name, row.what),
            }
        }
        for cell in &row.cells {
            if let Outcome::NotMeasured(reason) = &cell.outcome {
                assert!(!reason.is_empty(), "{row:#?}");
            }
        }
    }
}

#[test]
fn single_packets() {
    let Some(section) = measured(tax::NAME) else {
        return;
    };
    for table in &section.tables {
        complete(table, &["empty program", OURS, "difference"]);
    }
    let rows = &section.table(tax::PACKETS).unwrap().rows;
    for family in ["IPv4, ", "IPv6, "] {
        let kinds = rows.iter().filter(|row| row.what.starts_with(family));
        assert_eq!(kinds.count(), 8);
    }
}

#[test]
fn announcements() {
    let Some(section) = measured(announcement::NAME) else {
        return;
    };
    let table = &section.tables[0];
    complete(table, &[announcement::ANNOUNCEMENT]);
    for what in ["IPv4, PORT", "IPv4, 227", "IPv6, EPRT", "IPv6, 229"] {
        assert!(table.rows.iter().any(|row| row.what == what), "{what}");
    }
}

/// The programs and the agent did something, in each of so many cases.
fn complete_own(section: &Section, rows: usize) {
    let table = section.table(sections::OWN).unwrap();
    assert_eq!(table.rows.len(), rows, "{table:#?}");
    for row in &table.rows {
        let value = |subject| row.outcome(subject).and_then(Outcome::value);
        assert!(value("programs").unwrap().median > 0.0, "{row:#?}");
        assert!(value("agent").is_some(), "{row:#?}");
    }
}

#[test]
fn connections_of_others() {
    let Some(section) = measured(tax::TRAFFIC) else {
        return;
    };
    let peers = [
        Peer::Masquerade,
        Peer::MasqueradeAgain,
        Peer::Kernel,
        Peer::Routing,
        Peer::Ours,
    ];
    let peers = peers.map(Peer::name);
    complete(section.table(tax::REQUESTS).unwrap(), &peers);
    complete_own(&section, 1);
    let bulk = section.table(tax::BULK).unwrap();
    match bulk.rows[0].outcome(OURS) {
        Some(Outcome::NotMeasured(reason)) => assert!(reason.contains("not installed"), "{reason}"),
        _ => complete(bulk, &peers),
    }
}

#[test]
fn sessions_and_files() {
    let Some(section) = measured(sections::SESSIONS) else {
        return;
    };
    for name in [sections::SESSIONS, sections::FILES] {
        let table = section.table(name).unwrap();
        complete(
            table,
            &[Peer::Kernel, Peer::Ours, Peer::Routing].map(Peer::name),
        );
        for kind in ["active, client", "passive, server", "passive, client"] {
            assert!(table.rows.iter().any(|row| row.what.starts_with(kind)));
        }
        // Nobody helps: no number may come of it.
        let active = table.rows.iter().find(|row| row.what.starts_with("active"));
        let masquerade = active.unwrap().outcome(Peer::Masquerade.name());
        assert!(
            matches!(masquerade, Some(Outcome::NotMeasured(_))),
            "{masquerade:?}"
        );
    }
    complete_own(&section, 6);
}

#[test]
fn large_files() {
    let Some(section) = measured(sections::TRANSFER) else {
        return;
    };
    let table = &section.tables[0];
    complete(
        table,
        &[Peer::Kernel, Peer::Ours, Peer::Routing].map(Peer::name),
    );
    assert_eq!(table.rows.len(), 6, "{table:#?}");
}

#[test]
fn many_sessions() {
    let Some(section) = measured(scale::NAME) else {
        return;
    };
    for table in &section.tables {
        if table.name != scale::MEMORY {
            complete(table, &["100"]);
        }
    }
    let memory = section.table(scale::MEMORY).unwrap();
    for (what, least) in [("a session", 500.0), ("an expectation", 140.0)] {
        match memory.outcome(what, "100").unwrap() {
            Outcome::NotMeasured(reason) => {
                assert!(reason.contains("before Linux 6.4"), "{reason}");
            }
            // Key and value are in there, whatever the kernel adds.
            Outcome::Measured { value, .. } => assert!(value.median > least, "{memory:#?}"),
        }
    }
    assert!(
        section
            .remarks
            .iter()
            .any(|it| it.contains("nf_conntrack_expect_max")),
        "{:?}",
        section.remarks
    );
}

#[test]
fn latency_of_data_connections() {
    let Some(section) = measured(latency::NAME) else {
        return;
    };
    let table = &section.tables[0];
    complete(
        table,
        &[Peer::Kernel, Peer::Ours, Peer::Routing].map(Peer::name),
    );
    for row in &table.rows {
        let value = row.outcome(OURS).and_then(Outcome::value).unwrap();
        assert!(value.median > 0.0, "{row:#?}");
    }
}

fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn committed() -> (Report, Option<Report>) {
    let before = documents().join(BEFORE);
    let before = before.is_file().then(|| read(&before).unwrap());
    (read(&documents().join(LATEST)).unwrap(), before)
}

#[test]
fn the_document_is_made_from_the_numbers_beside_it() {
    const AGAIN: &str = "generate it again with `cargo xtask bench --write`";

    let (report, before) = committed();
    let path = documents().join(DOCUMENT);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text == document::document(&report, before.as_ref()),
        "{AGAIN}"
    );
    for section in &report.sections {
        for table in &section.tables {
            let path = documents().join(PLOTS).join(plot_name(section, table));
            let plot = std::fs::read_to_string(&path).ok();
            assert!(
                plot == plot::bars(table).unwrap(),
                "{}: {AGAIN}",
                path.display()
            );
        }
    }
}

#[test]
fn the_document_answers_every_question() {
    let (report, _) = committed();
    let names: Vec<&str> = report.sections.iter().map(|it| &*it.name).collect();
    assert_eq!(names, QUESTIONS.map(|(name, _)| name));
    // Those amounts only show that everything runs.
    assert_ne!(report.amount, "tiny");
    for section in &report.sections {
        assert!(!section.tables.is_empty(), "{}", section.name);
        assert!(!section.method.is_empty(), "{}", section.name);
    }
}
