//! Starting other programs, and saying so first.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::toolchain;

/// Announces a step before it is taken.
pub(crate) fn step(text: &str) {
    println!("==> {text}");
}

/// Runs a command to its end and takes a failing exit code for an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("  $ {}", show(command));
    let status = command
        .status()
        .with_context(|| format!("can not start `{}`", show(command)))?;
    ensure!(status.success(), "`{}` failed: {status}", show(command));
    Ok(())
}

/// As [`run`], for a command that may hang: it gets no input, and is ended after
/// `limit`.
pub(crate) fn run_for(command: &mut Command, limit: Duration) -> Result<()> {
    const POLL: Duration = Duration::from_millis(50);

    println!("  $ {}", show(command));
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("can not start `{}`", show(command)))?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!(
                "`{}` was ended after {} seconds",
                show(command),
                limit.as_secs()
            );
        }
        thread::sleep(POLL);
    };
    ensure!(status.success(), "`{}` failed: {status}", show(command));
    Ok(())
}

/// Whether a command runs and ends well; its output is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a command prints, if it ends well.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Becomes the command, so that signals reach it and its exit code is ours. Only
/// returns if that fails.
pub(crate) fn replace(command: &mut Command) -> Result<()> {
    println!("  $ {}", show(command));
    Err(command.exec()).with_context(|| format!("can not start `{}`", show(command)))
}

/// Whether this process is root: its directory in `/proc` belongs to its user.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

/// A command that runs `program` as root, under sudo where that is needed. The
/// environment is kept.
pub(crate) fn as_root(program: impl AsRef<OsStr>) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    let sudo = find("sudo").context("that needs root: run this as root or install sudo")?;
    let mut command = Command::new(sudo);
    command.arg("-E").arg(program);
    Ok(command)
}

/// Looks a program up on the `PATH` and in the directories for system programs,
/// which a user's `PATH` often lacks.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    toolchain::program(name).or_else(|| {
        ["/usr/local/sbin", "/usr/sbin", "/sbin"]
            .map(|directory| PathBuf::from(directory).join(name))
            .into_iter()
            .find(|path| toolchain::is_executable(path))
    })
}

/// Whether this runs in continuous integration, where nothing may be left out.
pub(crate) fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|it| !it.is_empty() && it != "0" && it != "false")
}

/// The command line as one would type it, with the environment that was set for it
/// in front; without the text of scripts.
fn show(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(key, value)| {
        let value = value?;
        Some(format!("{}={}", key.display(), value.display()))
    });
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|word| {
            let word = word.to_string_lossy();
            if word.contains('\n') {
                "'...'".to_owned()
            } else if word.contains([' ', '"']) {
                format!("'{word}'")
            } else {
                word.into_owned()
            }
        });
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_command_as_it_is_typed() {
        let mut command = Command::new("cargo");
        command
            .args(["install", "two words"])
            .env("LLVM_PREFIX", "/usr/lib/llvm-22");
        assert_eq!(
            show(&command),
            "LLVM_PREFIX=/usr/lib/llvm-22 cargo install 'two words'"
        );
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let mut command = Command::new("sleep");
        let started = Instant::now();
        let error = run_for(command.arg("60"), Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("was ended after"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().starts_with("`false` failed"), "{error}");
        assert!(run(&mut Command::new("true")).is_ok());
    }

    #[test]
    fn a_missing_program_is_an_error_that_names_it() {
        let error = run(&mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "can not start `no-such-program`");
    }
}
