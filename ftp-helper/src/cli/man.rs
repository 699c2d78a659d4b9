//! `ftp-helper man`, hidden: the packages' manual pages, made from the same
//! definition as `--help`.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use super::Cli;

/// Programs for administrators, which most of the commands are.
const SECTION: &str = "8";
const MANUAL: &str = "ftp-helper";

/// What the first page says and `--help` has no place for.
const FILES: [(&str, &str); 3] = [
    (
        "/etc/ftp-helper/ftp-helper.toml",
        "The settings of the service. The keys are the long options of ftp-helper-run(8).",
    ),
    (
        "/sys/fs/bpf/ftp-helper",
        "The pinned maps and attachments, which outlive the agent.",
    ),
    (
        "/run/ftp-helper",
        "What a running agent has to be reached at.",
    ),
];
const EXIT_STATUS: [(&str, &str); 5] = [
    ("0", "Done."),
    ("1", "It was tried and failed."),
    ("2", "The command line or the configuration makes no sense."),
    (
        "3",
        "Nothing goes by the name or the endpoints that were given.",
    ),
    (
        "4",
        "Nothing is loaded, or no agent runs where the command needs one.",
    ),
];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Directory to write the pages to; made unless it is there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let directory = &arguments.dir;
    fs::create_dir_all(directory)
        .with_context(|| format!("can not make {}", directory.display()))?;
    for page in pages() {
        let path = directory.join(&page.name);
        fs::write(&path, &page.text)
            .with_context(|| format!("can not write {}", path.display()))?;
    }
    Ok(())
}

/// A manual page.
#[derive(Debug)]
struct Page {
    name: String,
    text: Vec<u8>,
}

fn pages() -> Vec<Page> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages);
    pages
}

fn collect(command: &Command, pages: &mut Vec<Page>) {
    let mut text = Vec::new();
    let is_first = pages.is_empty();
    let man = Man::new(command.clone())
        .section(SECTION)
        .source(concat!("ftp-helper ", env!("CARGO_PKG_VERSION")))
        .manual(MANUAL);
    let name = man.get_filename();
    // Writing to a vector does not fail.
    let written = man.render(&mut text).and_then(|()| {
        if is_first {
            closing().to_writer(&mut text)?;
        }
        Ok(())
    });
    if written.is_ok() {
        pages.push(Page { name, text });
    }
    for below in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        collect(below, pages);
    }
}

/// The sections at the end of the first page.
fn closing() -> Roff {
    let mut roff = Roff::new();
    for (title, entries) in [("FILES", &FILES[..]), ("EXIT STATUS", &EXIT_STATUS[..])] {
        roff.control("SH", [title]);
        for (term, meaning) in entries {
            roff.control("TP", []);
            roff.text([roman(*term)]);
            roff.text([roman(*meaning)]);
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("conntrack(8), nft(8), tc(8), systemctl(1)")]);
    roff
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn page<'a>(pages: &'a [Page], name: &str) -> &'a str {
        let page = pages.iter().find(|page| page.name == name);
        str::from_utf8(&page.unwrap_or_else(|| panic!("no page {name}")).text).unwrap()
    }

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let pages = pages();
        let names: BTreeSet<&str> = pages.iter().map(|page| page.name.as_str()).collect();
        assert_eq!(names.len(), pages.len());
        assert!(names.contains("ftp-helper.8") && names.contains("ftp-helper-expect-list.8"));
        assert!(
            !names.iter().any(|name| name.contains("-man.")),
            "{names:?}"
        );

        let run = page(&pages, "ftp-helper-run.8");
        for flag in super::super::run::command().get_arguments() {
            let long = flag.get_long().unwrap().replace('-', "\\-");
            assert!(run.contains(&format!("\\-\\-{long}")), "no --{long}");
        }
        let first = page(&pages, "ftp-helper.8");
        assert!(
            first.contains("/etc/ftp\\-helper/ftp\\-helper.toml"),
            "{first}"
        );
        assert!(first.contains(".SH \"EXIT STATUS\""), "{first}");
    }

    #[test]
    fn the_pages_go_to_a_directory_that_is_made() {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("a/b");
        run(&Arguments { dir: dir.clone() }).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), pages().len());
    }

    #[test]
    fn every_exit_code_is_told() {
        use crate::failure::{NOT_FOUND, NOT_RUNNING, OK, RUN_TIME, USAGE};
        let told: Vec<String> = EXIT_STATUS
            .iter()
            .map(|(code, _)| (*code).to_owned())
            .collect();
        let codes = [OK, RUN_TIME, USAGE, NOT_FOUND, NOT_RUNNING];
        assert_eq!(told, codes.map(|code| code.to_string()));
    }
}
