//! What other programs print.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::Patience;

/// How often a running program is looked at.
const STEP: Duration = Duration::from_millis(2);

/// Where the tools of the firewall are on systems that keep them from the
/// `PATH` of ordinary users.
const MORE_PLACES: &str = "/usr/sbin:/sbin:/usr/local/sbin";

/// What became of a program.
#[derive(Debug)]
pub enum Outcome {
    /// It ran and succeeded; what it printed.
    Printed(String),
    /// There is none of that name.
    Missing,
}

/// Runs a program to its end, or to the end of the patience.
pub fn run(program: &str, arguments: &[&str], patience: Patience) -> Result<Outcome> {
    let deadline = patience.deadline();
    let stdout = unnamed_file()?;
    let stderr = unnamed_file()?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LC_ALL", "C")
        .env("PATH", path())
        .stdin(Stdio::null())
        .stdout(duplicate(&stdout)?)
        .stderr(duplicate(&stderr)?);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Outcome::Missing),
        Err(error) => return Err(error).with_context(|| format!("`{program}` does not start")),
    };
    let status = loop {
        let ended = child
            .try_wait()
            .with_context(|| format!("no news of `{program}`"))?;
        if let Some(status) = ended {
            break status;
        }
        if Instant::now() >= deadline {
            // Both fail only for a process that has ended meanwhile.
            let _ = child.kill();
            let _ = child.wait();
            bail!("`{}` took too long", line(program, arguments));
        }
        thread::sleep(STEP);
    };
    if !status.success() {
        let said = content(stderr)?;
        let said = said.lines().next().unwrap_or("it did not say why").trim();
        bail!("`{}` failed: {said}", line(program, arguments));
    }
    Ok(Outcome::Printed(content(stdout)?))
}

fn line(program: &str, arguments: &[&str]) -> String {
    [&[program], arguments].concat().join(" ")
}

/// A pipe would have to be emptied while the program runs.
fn unnamed_file() -> Result<File> {
    let file = memfd_create(c"ftp-helper", MFdFlags::MFD_CLOEXEC);
    Ok(File::from(
        file.context("no memory for a program's output")?,
    ))
}

fn duplicate(file: &File) -> Result<File> {
    file.try_clone()
        .context("no descriptor for a program's output")
}

fn content(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(&mut bytes))
        .context("can not read a program's output")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push(MORE_PLACES);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Patience {
        Patience::Each(Duration::from_secs(10))
    }

    #[test]
    fn output_is_what_was_printed() {
        let outcome = run("printf", &["%s", "two words"], soon()).unwrap();
        assert!(matches!(outcome, Outcome::Printed(text) if text == "two words"));
    }

    #[test]
    fn a_missing_program_is_no_failure() {
        let outcome = run("there-is-no-such-program", &[], soon()).unwrap();
        assert!(matches!(outcome, Outcome::Missing));
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = run(
            "sh",
            &["-c", "echo first >&2; echo more >&2; exit 3"],
            soon(),
        );
        let error = error.unwrap_err().to_string();
        assert!(error.ends_with("failed: first"), "{error}");
    }

    #[test]
    fn patience_ends() {
        let begin = Instant::now();
        let error = run(
            "sleep",
            &["60"],
            Patience::Until(begin + Duration::from_millis(50)),
        )
        .unwrap_err();
        assert!(error.to_string().contains("took too long"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}
