//! The configuration file of the packages, `deploy/ftp-helper.toml`: made from the
//! flags, so that it has every setting with its default.

use std::{env, fs};

use clap::Arg;

use super::run::{NOT_IN_FILES, command};
use crate::config;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/ftp-helper.toml");

const HEAD: &str = "\
# Settings of ftp-helper.service.
#
# A setting behind a `#` has its default or, where there is none, an example. The
# service starts when `interface` is set:
#
#     systemctl enable --now ftp-helper
#
# After a change `ftp-helper config check /etc/ftp-helper/ftp-helper.toml` says whether
# it would be taken, and `systemctl reload ftp-helper` applies it. The manual page
# ftp-helper-run(8) has the same settings as options.
";

/// Examples for settings without a default.
const EXAMPLES: &[(&str, &str)] = &[
    ("interface", "[\"wan0\"]"),
    ("inside", "[\"lan0\"]"),
    ("deny-ports", "\"3389,6000-6063\""),
    ("fxp", "[\"192.0.2.0/24\"]"),
    ("advertise", "[\"wan0=203.0.113.1\"]"),
    ("ct-zone", "[7]"),
    ("ct-mark", "\"0x15\""),
    ("skb-mark", "\"0x10/0xf0\""),
    ("attach", "\"tcx\""),
    ("order", "\"wire\""),
    ("group", "\"root\""),
    ("node-name", "\"node-a\""),
];

/// What a package sets: nobody but the host itself gets at the metrics.
const SET: &[(&str, &str)] = &[("metrics", "\"127.0.0.1:21021\"")];

/// Longest line.
const WIDTH: usize = 88;

fn file() -> String {
    let command = command();
    let settings = command
        .get_arguments()
        .filter(|flag| !NOT_IN_FILES.contains(&flag.get_long().unwrap_or_default()));
    settings.fold(HEAD.to_owned(), |file, flag| {
        format!("{file}\n{}", entry(flag))
    })
}

fn entry(flag: &Arg) -> String {
    let key = flag.get_long().unwrap_or_default();
    let help = flag.get_long_help().or(flag.get_help());
    let mut text = comment(&format!(
        "{}.",
        help.map(ToString::to_string).unwrap_or_default()
    ));
    let default = default(flag);
    if let Some(value) = value(SET, key) {
        let default = default.unwrap_or_default();
        text.push_str(&comment(&format!("Without a line here: {default}.")));
        return format!("{text}{key} = {value}\n");
    }
    let value = default
        .as_deref()
        .or_else(|| value(EXAMPLES, key))
        .unwrap_or_else(|| panic!("{key} has no default: it needs an example in EXAMPLES"));
    format!("{text}#{key} = {value}\n")
}

fn value<'a>(values: &[(&str, &'a str)], key: &str) -> Option<&'a str> {
    let found = values.iter().find(|(known, _)| *known == key);
    found.map(|(_, value)| *value)
}

/// The default as TOML.
fn default(flag: &Arg) -> Option<String> {
    let value = flag.get_default_values().first()?.to_string_lossy();
    if value.is_empty() {
        None
    } else if value.parse::<i64>().is_ok() || value.parse::<bool>().is_ok() {
        Some(value.into_owned())
    } else {
        Some(format!("\"{value}\""))
    }
}

fn comment(text: &str) -> String {
    let mut lines = vec!["#".to_owned()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if line.len() + 1 + word.len() > WIDTH {
            lines.push(format!("# {word}"));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

/// `UPDATE_DOCS=1` writes it.
#[test]
fn it_has_every_setting_with_its_default() {
    let wanted = file();
    if env::var("UPDATE_DOCS").as_deref() == Ok("1") {
        fs::write(PATH, wanted).unwrap();
    } else {
        let found = fs::read_to_string(PATH).unwrap();
        assert!(
            found == wanted,
            "deploy/ftp-helper.toml is not as the flags are: run the tests with UPDATE_DOCS=1"
        );
    }
}

/// As it is, and with every setting uncommented.
#[test]
fn it_is_understood() {
    let read = |text: &str| {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ftp-helper.toml");
        fs::write(&path, text).unwrap();
        config::read(&path, &command(), NOT_IN_FILES).unwrap()
    };
    let text = file();
    let set = read(&text);
    assert_eq!(set.len(), SET.len(), "{set:?}");
    let all: Vec<&str> = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
            _ => line,
        })
        .collect();
    let all = read(&all.join("\n"));
    let flags = command();
    assert_eq!(
        all.len(),
        flags.get_arguments().count() - NOT_IN_FILES.len(),
        "{all:?}"
    );
}
