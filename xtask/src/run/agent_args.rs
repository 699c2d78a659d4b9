//! Fills in what the caller of `cargo xtask run` left out of the agent's arguments.

use anyhow::Result;

/// The agent's options that go with any command and take a value.
const GLOBAL_OPTIONS: [&str; 3] = ["--pin-dir", "--run-dir", "--log-level"];

/// The arguments to start the agent with: `run` is added where no command is named,
/// and the interface that `default_interface` finds where `run` names none.
pub(super) fn complete(
    given: &[String],
    default_interface: impl FnOnce() -> Result<String>,
) -> Result<Vec<String>> {
    let mut args = given.to_vec();
    let command = command_position(given);
    match given.get(command).map(String::as_str) {
        Some("-h" | "--help" | "-V" | "--version") => return Ok(args),
        Some(word) if !word.starts_with('-') && word != "run" => return Ok(args),
        Some("run") => {}
        _ => args.insert(command, "run".to_owned()),
    }
    if !given.iter().any(|arg| settles_interface(arg)) {
        let interface = default_interface()?;
        println!("No interface given: taking {interface}, which has the default route.");
        args.extend(["--interface".to_owned(), interface]);
    }
    Ok(args)
}

/// Where the command is, or would be: behind the global options and their values.
fn command_position(args: &[String]) -> usize {
    let mut position = 0;
    while let Some(arg) = args.get(position) {
        position += if GLOBAL_OPTIONS.contains(&arg.as_str()) {
            2
        } else if GLOBAL_OPTIONS.iter().any(|option| {
            arg.strip_prefix(option)
                .is_some_and(|value| value.starts_with('='))
        }) {
            1
        } else {
            break;
        };
    }
    position.min(args.len())
}

/// A configuration file names interfaces itself, and flags would win over it.
fn settles_interface(arg: &str) -> bool {
    let option = arg.split_once('=').map_or(arg, |(option, _)| option);
    matches!(option, "-h" | "--help" | "--interface" | "--config")
        || (arg.starts_with("-i") && !arg.starts_with("--"))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn completed(args: &[&str]) -> String {
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        complete(&args, || Ok("wan0".to_owned())).unwrap().join(" ")
    }

    #[test]
    fn nothing_means_run_on_the_default_route() {
        assert_eq!(completed(&[]), "run --interface wan0");
        assert_eq!(completed(&["run"]), "run --interface wan0");
    }

    #[test]
    fn a_file_names_interfaces_itself() {
        assert_eq!(completed(&["--config", "a.toml"]), "run --config a.toml");
        assert_eq!(
            completed(&["run", "--config=a.toml"]),
            "run --config=a.toml"
        );
    }

    #[test]
    fn a_named_interface_is_kept() {
        assert_eq!(completed(&["-i", "eth1"]), "run -i eth1");
        assert_eq!(completed(&["-ieth1"]), "run -ieth1");
        assert_eq!(
            completed(&["run", "--interface", "eth1"]),
            "run --interface eth1"
        );
        assert_eq!(completed(&["--interface=eth1"]), "run --interface=eth1");
    }

    #[test]
    fn options_of_run_do_not_name_a_command() {
        assert_eq!(
            completed(&["--control-port", "2121"]),
            "run --control-port 2121 --interface wan0"
        );
    }

    #[test]
    fn global_options_go_before_the_command() {
        assert_eq!(
            completed(&["--pin-dir", "run", "--log-level=debug"]),
            "--pin-dir run --log-level=debug run --interface wan0"
        );
        assert_eq!(
            completed(&["--pin-dir", "/x", "stats"]),
            "--pin-dir /x stats"
        );
        assert_eq!(completed(&["--pin-dir"]), "--pin-dir run --interface wan0");
    }

    #[test]
    fn other_commands_and_help_are_left_alone() {
        assert_eq!(
            completed(&["expect", "list", "-o", "json"]),
            "expect list -o json"
        );
        assert_eq!(completed(&["--help"]), "--help");
        assert_eq!(completed(&["run", "--help"]), "run --help");
        assert_eq!(completed(&["--version"]), "--version");
    }

    #[test]
    fn without_a_default_route_the_error_is_told() {
        let error = complete(&[], || bail!("there is no default route")).unwrap_err();
        assert_eq!(error.to_string(), "there is no default route");
    }
}
