//! The configuration file.
//!
//! Its keys are the long flags of `ftp-helper run`, its values are theirs, so
//! there is one list of settings, one place that checks each, and one text that
//! explains it. A file is read into the arguments that would say the same; flags
//! that are given on the command line win over it.

use std::{fs, ops::Range, path::Path};

use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgAction, Command};
use toml::de::{DeTable, DeValue};

/// A setting of the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The key, which is the long name of a flag.
    pub key: String,
    /// What would be said on the command line.
    pub arguments: Vec<String>,
}

/// Reads a file and checks every setting of it. `command` has the flags;
/// `excluded` are the long names of those that make no sense in a file.
pub fn read(path: &Path, command: &Command, excluded: &[&str]) -> Result<Vec<Setting>> {
    let file = path.display();
    let text = fs::read_to_string(path)
        .with_context(|| format!("can not read the configuration {file}"))?;
    parse(&text, command, excluded).map_err(|Fault { line, problem }| {
        anyhow::Error::msg(problem).context(format!("{file}, line {line}"))
    })
}

/// What is wrong with a file, and where.
#[derive(Debug)]
struct Fault {
    line: usize,
    problem: String,
}

fn parse(text: &str, command: &Command, excluded: &[&str]) -> Result<Vec<Setting>, Fault> {
    let fault = |span: Range<usize>, problem: String| Fault {
        line: line_of(text, span.start),
        problem,
    };
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        fault(span, error.message().to_owned())
    })?;
    let flags: Vec<&Arg> = command
        .get_arguments()
        .filter(|flag| {
            flag.get_long()
                .is_some_and(|long| !excluded.contains(&long))
        })
        .collect();
    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let name = key.get_ref().as_ref();
        let at = |error: anyhow::Error| fault(key.span(), format!("`{name}`: {error:#}"));
        let known = flags.iter().find(|flag| flag.get_long() == Some(name));
        let Some(flag) = known else {
            return Err(fault(key.span(), unknown(name, &flags)));
        };
        let arguments = arguments(flag, name, value.get_ref()).map_err(at)?;
        check(command, &arguments).map_err(at)?;
        settings.push(Setting {
            key: name.to_owned(),
            arguments,
        });
    }
    Ok(settings)
}

/// Lines count from 1.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count() + 1
}

fn unknown(name: &str, flags: &[&Arg]) -> String {
    let near = flags
        .iter()
        .filter_map(|flag| flag.get_long())
        .map(|long| (strsim::jaro_winkler(long, name), long))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match near {
        Some((_, long)) => format!("there is no setting `{name}`: did you mean `{long}`?"),
        None => format!("there is no setting `{name}`: `ftp-helper run --help` shows all of them"),
    }
}

/// The command line for a value.
fn arguments(flag: &Arg, name: &str, value: &DeValue<'_>) -> Result<Vec<String>> {
    let values = match value {
        DeValue::Array(values) if matches!(flag.get_action(), ArgAction::Append) => {
            let values = values.iter();
            values
                .map(|value| word(value.get_ref()))
                .collect::<Result<_>>()?
        }
        DeValue::Array(_) => bail!("it takes one value, not a list"),
        value => vec![word(value)?],
    };
    Ok(values
        .into_iter()
        .map(|value| format!("--{name}={value}"))
        .collect())
}

fn word(value: &DeValue<'_>) -> Result<String> {
    Ok(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(is_on) => is_on.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed.context("the number is too large")?.to_string()
        }
        DeValue::Array(_) | DeValue::Table(_) => bail!("it takes plain values"),
        DeValue::Float(_) | DeValue::Datetime(_) => {
            bail!("it takes text, numbers without a fraction, true or false")
        }
    })
}

/// Lets the flag's own parser look at the values.
fn check(command: &Command, arguments: &[String]) -> Result<()> {
    let line = [String::new()].into_iter().chain(arguments.iter().cloned());
    let Err(error) = command.clone().try_get_matches_from(line) else {
        return Ok(());
    };
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    bail!("{}", first.strip_prefix("error: ").unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use clap::value_parser;

    use super::*;

    fn command() -> Command {
        Command::new("run")
            .arg(
                Arg::new("interface")
                    .long("interface")
                    .action(ArgAction::Append),
            )
            .arg(
                Arg::new("control-port")
                    .long("control-port")
                    .action(ArgAction::Append)
                    .value_parser(value_parser!(u16).range(1..)),
            )
            .arg(
                Arg::new("timeout")
                    .long("timeout")
                    .value_parser(value_parser!(u32)),
            )
            .arg(
                Arg::new("strict")
                    .long("strict")
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
                    .value_parser(value_parser!(bool)),
            )
            .arg(Arg::new("config").long("config"))
    }

    fn said(text: &str) -> String {
        match parse(text, &command(), &["config"]) {
            Ok(settings) => {
                let words: Vec<String> = settings
                    .into_iter()
                    .flat_map(|setting| setting.arguments)
                    .collect();
                words.join(" ")
            }
            Err(Fault { line, problem }) => format!("line {line}: {problem}"),
        }
    }

    #[test]
    fn a_file_says_what_flags_say() {
        assert_eq!(said(""), "");
        assert_eq!(
            said("interface = ['wan0', \"wan1\"]\ncontrol-port = 2_121\nstrict = true\n"),
            "--control-port=2121 --interface=wan0 --interface=wan1 --strict=true"
        );
        assert_eq!(said("timeout = 0x1f # seconds"), "--timeout=31");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, expected) in [
            (
                "# none\ncontrol_port = 21",
                "line 2: there is no setting `control_port`: did you mean `control-port`?",
            ),
            (
                "config = 'x'",
                "line 1: there is no setting `config`: `ftp-helper run --help` shows all of them",
            ),
            (
                "\n\ntimeout = [1, 2]",
                "line 3: `timeout`: it takes one value, not a list",
            ),
            (
                "timeout = 1.5",
                "line 1: `timeout`: it takes text, numbers without a fraction, true or false",
            ),
            (
                "[timeout]\nx = 1",
                "line 1: `timeout`: it takes plain values",
            ),
            (
                "interface = [['a']]",
                "line 1: `interface`: it takes plain values",
            ),
        ] {
            assert_eq!(said(text), expected);
        }
        for (text, start, contains) in [
            (
                "strict = true\ncontrol-port = 0",
                "line 2: `control-port`: ",
                "0 is not in 1..=65535",
            ),
            ("timeout = 'soon'", "line 1: `timeout`: ", "soon"),
            ("a = \n", "line 1: ", ""),
            ("strict = true\nstrict = false", "line 2: ", "duplicate key"),
        ] {
            let said = said(text);
            assert!(said.starts_with(start) && said.contains(contains), "{said}");
        }
    }
}
