//! The tests: which there are, and which of them to run.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use super::record::TestBinary;
use crate::{process, workspace};

/// The package of the end-to-end tests.
const PACKAGE: &str = "ftp-helper-tests";

/// A test binary and the tests of it that are run; all when none is named.
type Choice = (&'static str, &'static [&'static str]);

/// What is run unless all is asked for: what depends on the kernel. In an emulated
/// machine each start of the agent takes ten seconds, so of tests that differ in
/// their rules or addresses one is enough.
const DEFAULT: [Choice; 23] = [
    (
        "active",
        &[
            "every_client_with_vsftpd",
            "twenty_small_transfers_take_no_time_out",
            "two_hundred_mebibytes_both_ways",
        ],
    ),
    ("passive", &["active_and_passive_take_turns"]),
    ("clsact", &[]),
    (
        "conntrack",
        &[
            "an_open_data_connection_is_listed_with_its_translation",
            "every_state_of_a_connection_to_a_client_inside",
            "no_packet_to_or_from_a_server_inside_is_invalid",
        ],
    ),
    (
        "cases",
        &["client_inside_with_ipv4", "server_inside_with_ipv6"],
    ),
    ("refusals", &[]),
    (
        "firewalls",
        &[
            "nftables_client_behind_masquerade",
            "iptables_nft_server_behind_dnat",
            "iptables_legacy_client_behind_a_plain_firewall",
        ],
    ),
    (
        "strict_egress",
        &[
            "nftables_client_inside",
            "a_passive_client_gets_one_connection",
        ],
    ),
    // Most of these devices are modules that a host may lack.
    (
        "links",
        &[
            "tun",
            "wireguard",
            "ipsec",
            "gre",
            "vlan",
            "below_two_vlans",
        ],
    ),
    ("vrf", &[]),
    ("coexistence", &[]),
    // The kernel of a host may have none.
    ("flow_table", &[]),
    (
        "without_helper",
        &["the_kernels_helper_makes_active_mode_work"],
    ),
    (
        "zones",
        &[
            "a_client_inside",
            "a_kernel_that_can_not_be_asked_refuses_the_option",
        ],
    ),
    (
        "multipath",
        &["a_client_inside_with_announcements_that_shrink"],
    ),
    ("packet_expectation", &[]),
    ("packet_malformed", &[]),
    ("packet_multipath", &[]),
    ("packet_other", &[]),
    ("packet_refusal", &[]),
    ("packet_rewrite", &[]),
    ("packet_sequence", &[]),
    ("packet_session", &[]),
];

/// For continuous integration.
const SAMPLE: [Choice; 2] = [
    ("active", &["every_client_with_vsftpd"]),
    ("packet_rewrite", &[]),
];

/// Which tests to run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Selection {
    /// A few, to see that a kernel works at all.
    Sample,
    /// Those that depend on the kernel.
    Default,
    /// All.
    Full,
    /// The binaries of these names; of a word that is none, those tests in whose names, or
    /// in the names of whose binaries, it is.
    Words(Vec<String>),
}

/// What cargo tells about what it has built.
#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds the agent; returns where it is.
pub(super) fn build_agent() -> Result<PathBuf> {
    process::run(workspace::cargo().args(["build", "--package", "ftp-helper"]))?;
    workspace::artifact(false, "ftp-helper")
}

/// Builds the test binaries, and chooses.
pub(super) fn build(selection: &Selection) -> Result<Vec<TestBinary>> {
    let mut cargo = workspace::cargo();
    cargo
        .args(["test", "--no-run", "--package", PACKAGE])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit());
    println!("  $ cargo test --no-run --package {PACKAGE}");
    let output = cargo.output().context("can not start cargo")?;
    ensure!(output.status.success(), "the tests can not be built");
    let built = executables(&String::from_utf8_lossy(&output.stdout))?;
    select(built, selection, tests_of)
}

/// The binaries of integration tests among what cargo has built.
fn executables(messages: &str) -> Result<Vec<TestBinary>> {
    let mut binaries = Vec::new();
    for line in messages.lines() {
        let message: Message =
            serde_json::from_str(line).context("a message of cargo is not understood")?;
        if let (Some(path), Some(target)) = (message.executable, message.target)
            && message.reason == "compiler-artifact"
            && target.kind == ["test"]
        {
            binaries.push(TestBinary {
                name: target.name,
                path,
                filters: Vec::new(),
                exact: false,
            });
        }
    }
    binaries.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(binaries)
}

/// The names of a binary's tests.
fn tests_of(binary: &TestBinary) -> Result<Vec<String>> {
    let mut list = Command::new(&binary.path);
    list.args(["--list", "--format", "terse"]);
    let list = process::output(&mut list)
        .with_context(|| format!("{} does not list its tests", binary.path.display()))?;
    Ok(list
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect())
}

fn select(
    mut built: Vec<TestBinary>,
    selection: &Selection,
    tests_of: impl Fn(&TestBinary) -> Result<Vec<String>>,
) -> Result<Vec<TestBinary>> {
    match selection {
        Selection::Full => Ok(built),
        Selection::Default => choose(&mut built, &DEFAULT, tests_of),
        Selection::Sample => choose(&mut built, &SAMPLE, tests_of),
        Selection::Words(words) => {
            let (names, parts): (Vec<_>, Vec<_>) = words
                .iter()
                .cloned()
                .partition(|word| built.iter().any(|binary| binary.name == *word));
            let is_meant = |name: &str| parts.iter().any(|part| name.contains(part.as_str()));
            let mut selected = Vec::new();
            for mut binary in built {
                if !names.contains(&binary.name) && !is_meant(&binary.name) {
                    if !tests_of(&binary)?.iter().any(|test| is_meant(test)) {
                        continue;
                    }
                    binary.filters.clone_from(&parts);
                }
                selected.push(binary);
            }
            ensure!(
                !selected.is_empty(),
                "no test has {} in its name",
                words.join(" or ")
            );
            Ok(selected)
        }
    }
}

/// The chosen binaries; a test that does not exist is an error.
fn choose(
    built: &mut Vec<TestBinary>,
    choices: &[Choice],
    tests_of: impl Fn(&TestBinary) -> Result<Vec<String>>,
) -> Result<Vec<TestBinary>> {
    let mut chosen = Vec::new();
    for &(name, tests) in choices {
        let mut binary = take(built, name)?;
        if !tests.is_empty() {
            let found = tests_of(&binary)?;
            for &test in tests {
                ensure!(
                    found.iter().any(|found| found == test),
                    "{name} has no test {test}: the list in xtask/src/vm/suite.rs is out of date"
                );
                binary.filters.push(test.to_owned());
            }
            binary.exact = true;
        }
        chosen.push(binary);
    }
    Ok(chosen)
}

fn take(built: &mut Vec<TestBinary>, name: &str) -> Result<TestBinary> {
    match built.iter().position(|binary| binary.name == name) {
        Some(position) => Ok(built.remove(position)),
        None => bail!(
            "there is no test binary {name}: the list in xtask/src/vm/suite.rs is out of date"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(name: &str) -> TestBinary {
        TestBinary {
            name: name.to_owned(),
            path: PathBuf::from(format!("/target/{name}-0")),
            filters: Vec::new(),
            exact: false,
        }
    }

    fn selected(words: &[&str]) -> Vec<(String, Vec<String>)> {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        let built = ["active", "passive", "passive_too", "loss"].map(binary);
        let tests = |binary: &TestBinary| Ok(vec![format!("{}_over_ipv6", binary.name)]);
        select(built.into(), &Selection::Words(words), tests)
            .unwrap()
            .into_iter()
            .map(|binary| (binary.name, binary.filters))
            .collect()
    }

    #[test]
    fn a_word_means_a_binary_or_its_tests() {
        let all = |name: &str| (name.to_owned(), vec![]);
        assert_eq!(selected(&["los"]), [all("loss")]);
        assert_eq!(selected(&["passiv"]), [all("passive"), all("passive_too")]);
        assert_eq!(
            selected(&["passive_over"]),
            [("passive".to_owned(), vec!["passive_over".to_owned()])]
        );
        let names: Vec<_> = selected(&["ipv6"])
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["active", "passive", "passive_too", "loss"]);
    }

    #[test]
    fn the_name_of_a_binary_means_nothing_else() {
        assert_eq!(selected(&["passive"]), [("passive".to_owned(), vec![])]);
        assert_eq!(
            selected(&["loss", "active_over"]),
            [
                ("active".to_owned(), vec!["active_over".to_owned()]),
                ("loss".to_owned(), vec![])
            ]
        );
    }

    #[test]
    fn a_word_that_means_nothing_is_an_error() {
        let selection = Selection::Words(vec!["nothing".to_owned()]);
        let error = select(vec![binary("active")], &selection, |_| Ok(vec![])).unwrap_err();
        assert_eq!(error.to_string(), "no test has nothing in its name");
    }

    #[test]
    fn the_lists_name_files_that_exist() {
        let directory = workspace::root().join("tests/tests");
        for (name, _) in DEFAULT.iter().chain(&SAMPLE) {
            let file = directory.join(format!("{name}.rs"));
            assert!(file.is_file(), "{}", file.display());
        }
    }

    #[test]
    fn only_integration_tests_count() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"active","kind":["test"]},"executable":"/t/active-1"}
{"reason":"compiler-artifact","target":{"name":"lab","kind":["bin"]},"executable":"/t/lab"}
{"reason":"compiler-artifact","target":{"name":"anyhow","kind":["lib"]},"executable":null}
{"reason":"build-finished","success":true}"#;
        let names: Vec<_> = executables(messages)
            .unwrap()
            .into_iter()
            .map(|binary| binary.name)
            .collect();
        assert_eq!(names, ["active"]);
    }
}
