//! Where the socket is.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder},
    io,
    os::unix::{ffi::OsStrExt as _, fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::pins::PinDirectory;

/// The directory when nothing else is said.
pub const DEFAULT: &str = "/run/ftp-helper";

/// A socket's path has at most 107 bytes (unix(7)); this leaves room for the
/// directory.
const LONGEST_NAME: usize = 70;

/// The directory of run-time files.
#[derive(Clone, Debug)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// The directory at this path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory unless it is there. Everybody may look into it: the
    /// sockets in it have modes of their own.
    pub fn create(&self) -> Result<()> {
        match DirBuilder::new().mode(0o755).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(error).with_context(|| {
                    format!(
                        "can not make the directory {}: make it, or name another one with --run-dir",
                        self.path.display()
                    )
                })
            }
            _ => Ok(()),
        }
    }

    /// The socket of the agent with these pins. Agents that do not share a pin
    /// directory do not share a socket.
    pub fn socket(&self, pins: &PinDirectory) -> PathBuf {
        // The same directory by another name is the same. One that can not be
        // looked at keeps its name.
        let pins = fs::canonicalize(pins.path()).unwrap_or_else(|_| pins.path().to_owned());
        self.path.join(format!("{}.sock", name(&pins)))
    }
}

/// The path as a file name: `/` becomes `-`, and everything that is neither a
/// letter, a digit, a dot nor an underscore becomes `%` with two digits.
fn name(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let escaped = escape(bytes.strip_prefix(b"/").unwrap_or(bytes));
    if escaped.len() <= LONGEST_NAME {
        return escaped;
    }
    let end = Path::new(path.file_name().unwrap_or(OsStr::new("")));
    let mut end = escape(end.as_os_str().as_bytes());
    end.truncate(LONGEST_NAME - 18);
    // A `%` is not followed by one elsewhere.
    format!("{end}%%{:016x}", digest(bytes))
}

fn escape(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b'/' => "-".to_owned(),
            b'.' | b'_' => char::from(*byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
            byte => format!("%{byte:02x}"),
        })
        .collect()
}

/// FNV-1a: the same in every build, which the hashes of the standard library do
/// not promise.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn other_pins_have_another_name() {
        assert_eq!(
            name(Path::new("/sys/fs/bpf/ftp-helper")),
            "sys-fs-bpf-ftp%2dhelper"
        );
        let deep = "/x".repeat(60);
        let names = [
            "/a/b",
            "/a-b",
            "/a%2db",
            "/a b",
            "/ä",
            &deep,
            &(deep.clone() + "/y"),
        ];
        let names: HashSet<String> = names.map(|path| name(Path::new(path))).into();
        assert_eq!(names.len(), 7, "{names:?}");
        for name in names {
            assert!(name.len() <= LONGEST_NAME && !name.contains('/'), "{name}");
        }
    }

    #[test]
    fn another_way_to_the_same_pins_leads_to_the_same_socket() {
        let place = tempfile::tempdir().unwrap();
        let pins = place.path().join("pins");
        fs::create_dir(&pins).unwrap();
        std::os::unix::fs::symlink(&pins, place.path().join("link")).unwrap();
        let run = RunDirectory::new(place.path().join("run"));
        let socket = |path: &str| run.socket(&PinDirectory::new(place.path().join(path)));
        assert_eq!(socket("pins"), socket("link"));
        assert_ne!(socket("pins"), socket("missing"));
    }

    #[test]
    fn the_directory_is_made_once_and_everybody_may_look_into_it() {
        let place = tempfile::tempdir().unwrap();
        let run = RunDirectory::new(place.path().join("run"));
        run.create().unwrap();
        run.create().unwrap();
        let mode = fs::metadata(run.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o700, 0o700);
        let deep = RunDirectory::new(place.path().join("no/such"));
        let error = format!("{:#}", deep.create().unwrap_err());
        assert!(error.contains("--run-dir"), "{error}");
    }
}
