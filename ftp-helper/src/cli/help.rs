//! What the commands say about themselves, and what the documentation says about
//! them.

use clap::{Command, CommandFactory as _};

use super::Cli;

/// Where operators read about the commands.
const DOCUMENT: &str = include_str!("../../../docs/cli.md");

/// All commands with the words that lead there.
fn commands() -> Vec<(Vec<String>, Command)> {
    let mut root = Cli::command();
    root.build();
    let mut found = vec![(vec![root.get_name().to_owned()], root)];
    let mut next = 0;
    while let Some((words, command)) = found.get(next) {
        let inner: Vec<_> = command
            .get_subcommands()
            .filter(|inner| inner.get_name() != "help")
            .map(|inner| {
                let words = words.iter().cloned();
                let words = words.chain([inner.get_name().to_owned()]);
                (words.collect(), inner.clone())
            })
            .collect();
        found.extend(inner);
        next += 1;
    }
    found
}

/// `INSTA_UPDATE=always` writes what they say now.
#[test]
fn every_command_says_what_it_does() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    // The value of a variable, where the environment has one.
    settings.add_filter(r"\[env: (\w+)=[^\]]*\]", "[env: $1=]");
    settings.add_filter(r"(?m)[ \t]+$", "");
    settings.bind(|| {
        for (words, mut command) in commands() {
            let help = command.render_long_help().to_string();
            insta::assert_snapshot!(format!("help-{}", words.join("-")), help);
        }
    });
}

/// People read the first line of a command's help in a list of commands: it has to
/// be there, and no sentence.
#[test]
fn every_command_and_option_is_explained() {
    for (words, command) in commands() {
        let words = words.join(" ");
        let about = command.get_about().map(ToString::to_string);
        assert!(about.is_some_and(|about| !about.is_empty()), "{words}");
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string);
            let id = argument.get_id();
            let help = help.unwrap_or_else(|| panic!("{words}: no help for {id}"));
            let is_own = !["help", "version"].contains(&id.as_str());
            assert!(!is_own || !help.ends_with('.'), "{words}: {help}");
        }
    }
}

/// True when the document has this option, and not only one that starts like it.
fn names(long: &str) -> bool {
    let option = format!("--{long}");
    DOCUMENT.match_indices(&option).any(|(at, _)| {
        let next = DOCUMENT[at + option.len()..].chars().next();
        next.is_none_or(|next| !next.is_ascii_alphanumeric() && next != '-')
    })
}

#[test]
fn the_document_names_every_command_and_option() {
    let shown = commands();
    let shown = shown.iter().filter(|(_, command)| !command.is_hide_set());
    for (words, command) in shown {
        let words = words.join(" ");
        if !command.has_subcommands() {
            let heading = format!("`{words}");
            assert!(DOCUMENT.contains(&heading), "docs/cli.md lacks `{words}`");
        }
        // Those of `run` are the settings, which have a document of their own.
        if words == "ftp-helper run" {
            continue;
        }
        for argument in command.get_arguments() {
            let Some(long) = argument.get_long() else {
                continue;
            };
            assert!(names(long), "docs/cli.md lacks --{long} of {words}");
        }
    }
}

#[test]
fn the_document_has_the_words_of_lists() {
    use clap::ValueEnum as _;

    use crate::inspect::{expectation, mode::Mode, session};

    let modes = Mode::value_variants().iter().map(|mode| mode.word());
    let states = session::State::value_variants().iter();
    let states = states.map(|state| state.word());
    let others = expectation::State::value_variants().iter();
    let others = others.map(|state| state.word());
    for word in modes.chain(states).chain(others) {
        assert!(DOCUMENT.contains(&format!("`{word}`")), "no `{word}`");
    }
}

#[test]
fn the_document_has_the_exit_codes_and_the_schema_version() {
    use crate::{failure, output::SCHEMA_VERSION};

    for code in [
        failure::OK,
        failure::RUN_TIME,
        failure::USAGE,
        failure::NOT_FOUND,
        failure::NOT_RUNNING,
    ] {
        assert!(DOCUMENT.contains(&format!("| {code} |")), "no code {code}");
        assert!(super::EXIT_CODES.contains(&format!("\n  {code}  ")));
    }
    let version = format!("\"schema_version\": {SCHEMA_VERSION}");
    assert!(DOCUMENT.contains(&version), "no {version}");
}
