//! Nothing gets through ftp-helper that nobody asked for, and no attack keeps it from
//! helping others. Each attack is a test; `cargo xtask attack` makes them beside the
//! kernel's helper.

use std::{collections::BTreeSet, fs};

use ftp_helper_tests::{
    attack::{all, find, table},
    setup::Helper,
};

fn nothing_gets_through(name: &str) {
    let attack = find(name).unwrap_or_else(|| panic!("no attack is called {name}"));
    for family in attack.families {
        let outcome = attack.run(*family, Helper::Nobody);
        let found = outcome.unwrap_or_else(|error| panic!("{family:?}: {error:#}"));
        if let Some(found) = found {
            assert!(found.holes.is_empty(), "{family:?}: {:#?}", found.holes);
            assert!(found.hurt.is_empty(), "{family:?}: {:#?}", found.hurt);
        }
    }
}

macro_rules! attacks {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                nothing_gets_through(stringify!($name));
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

attacks! {
    third_party bounce low_port denied_port wrapped_number wrong_side before_greeting encrypted
    form segments fragments method detected ccc session_ticket turn
    refused replaced ended again repeated overlap race reset
    unsolicited second_reply failed_question echo partial_ack grown_old continuation pipelined
    client_replies foreign_reply low_reply stolen other_service
    same_port gateways_port exhaustion all_ports
}

#[test]
fn every_attack_is_a_test() {
    let tests: BTreeSet<_> = NAMES.iter().copied().collect();
    let attacks: BTreeSet<_> = all().map(|attack| attack.name).collect();
    assert_eq!(tests, attacks);
}

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_document_has_every_attack_and_none_succeeds() {
    table::check(&document()).unwrap_or_else(|error| panic!("{error:#}"));
}

/// A promise is worth the test that shows it.
#[test]
fn the_document_names_what_exists() {
    let contents = document();
    let rows = contents.lines().skip_while(|line| *line != "## Promises");
    let rows = rows.take_while(|line| *line != "## Attacks");
    let promises: Vec<_> = rows
        .filter_map(|row| {
            row.strip_prefix("| ")?
                .rsplit_once(" | ")?
                .1
                .strip_suffix(" |")
        })
        .filter(|shown| shown.contains('`'))
        .collect();
    assert!(promises.len() > 15, "{promises:#?}");
    for name in promises.iter().flat_map(|shown| shown.split(", ")) {
        let name = name.trim_matches('`');
        let Some((file, test)) = name.split_once("::") else {
            assert!(find(name).is_some(), "no attack is called {name}");
            continue;
        };
        let path = format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(source.contains(&format!("fn {test}()")), "no test {name}");
    }
}
