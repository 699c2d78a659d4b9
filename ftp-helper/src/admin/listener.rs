//! The socket itself: made so that nobody can connect before it has its mode, and
//! taken away by the one who made it.

use std::{
    fs, io,
    os::{
        fd::AsRawFd as _,
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::{
        socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket},
        stat::{Mode, fchmod},
    },
    unistd::{Gid, chown},
};
use tracing::warn;

use super::RunDirectory;
use crate::{failure::one_line, pins::PinDirectory};

/// Clients that wait to be let in.
const WAITING: i32 = 16;

/// A socket that listens, and nobody who answers yet. Its file is removed when
/// this value goes away.
#[derive(Debug)]
pub struct Listener {
    pub(super) socket: UnixListener,
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
}

impl Listener {
    /// Makes the socket of the agent with these pins; the caller holds their lock.
    /// Without one the programs work as well, so that it can not be made is
    /// no reason not to start.
    pub fn bind_if_possible(run: &RunDirectory, pins: &PinDirectory) -> Option<Self> {
        Self::bind(run, pins)
            .inspect_err(|error| {
                warn!(
                    "`ftp-helper watch` and `ftp-helper reload` do not work: {}",
                    one_line(error)
                );
            })
            .ok()
    }

    fn bind(run: &RunDirectory, pins: &PinDirectory) -> Result<Self> {
        run.create()?;
        let path = run.socket(pins);
        make_way(&path)?;
        let wrong = || format!("can not listen on {}", path.display());
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let descriptor = socket(AddressFamily::Unix, SockType::Stream, flags, None)
            .context("can not make a socket")?;
        // The file that is made for it gets this mode, less the umask.
        fchmod(&descriptor, Mode::S_IRUSR | Mode::S_IWUSR).with_context(wrong)?;
        let address = UnixAddr::new(&path).with_context(wrong)?;
        bind(descriptor.as_raw_fd(), &address).with_context(wrong)?;
        let backlog = Backlog::new(WAITING).with_context(wrong)?;
        listen(&descriptor, backlog).with_context(wrong)?;
        let made = fs::symlink_metadata(&path).with_context(wrong)?;
        Ok(Self {
            socket: descriptor.into(),
            file: (made.dev(), made.ino()),
            path,
        })
    }

    /// Lets those connect who may read the pins: root, and a group that has the
    /// right to read the pin directory.
    pub fn follow(&self, pins: &PinDirectory) -> Result<()> {
        let wrong = || format!("can not set the owner of {}", self.path.display());
        let directory = fs::metadata(pins.path()).with_context(wrong)?;
        let own = fs::symlink_metadata(&self.path).with_context(wrong)?;
        let has_group = directory.mode() & 0o040 != 0;
        let (group, mode) = if has_group {
            (directory.gid(), 0o660)
        } else {
            (own.gid(), 0o600)
        };
        if own.gid() != group {
            // First: until then it is nobody else's.
            chown(&self.path, None, Some(Gid::from_raw(group))).with_context(wrong)?;
        }
        fs::set_permissions(&self.path, fs::Permissions::from_mode(mode)).with_context(wrong)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == self.file);
        if is_ours {
            // A file that stays is replaced by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket of an agent that is gone. The lock on the pins says that it
/// is; but the same path may lead to other pins in another mount namespace, so
/// nobody may answer there either.
fn make_way(path: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("can not look at {}", path.display()));
        }
    };
    if !found.file_type().is_socket() {
        bail!(
            "{} is there and is no socket: remove it, or name another directory with --run-dir",
            path.display()
        );
    }
    if UnixStream::connect(path).is_ok() {
        bail!(
            "another agent listens on {}: give this one another directory with --run-dir",
            path.display()
        );
    }
    fs::remove_file(path).with_context(|| format!("can not remove the old {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        run: RunDirectory,
        pins: PinDirectory,
        _directory: tempfile::TempDir,
    }

    fn place() -> Place {
        let directory = tempfile::tempdir().unwrap();
        let pins = PinDirectory::new(directory.path().join("pins"));
        pins.create().unwrap();
        Place {
            run: RunDirectory::new(directory.path().join("run")),
            pins,
            _directory: directory,
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn it_is_private_until_the_pins_are_a_groups_and_goes_with_its_maker() {
        let place = place();
        let listener = Listener::bind(&place.run, &place.pins).unwrap();
        let path = place.run.socket(&place.pins);
        assert_eq!(mode(&path), 0o600);
        listener.follow(&place.pins).unwrap();
        assert_eq!(mode(&path), 0o600);
        let shared = fs::Permissions::from_mode(0o750);
        fs::set_permissions(place.pins.path(), shared).unwrap();
        listener.follow(&place.pins).unwrap();
        assert_eq!(mode(&path), 0o660);
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_agent_left_is_replaced() {
        let place = place();
        let path = place.run.socket(&place.pins);
        place.run.create().unwrap();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = Listener::bind(&place.run, &place.pins).unwrap();
        UnixStream::connect(&path).unwrap();
        // One that is not ours any more is left alone.
        fs::remove_file(&path).unwrap();
        let second = Listener::bind(&place.run, &place.pins).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(second);
    }

    #[test]
    fn who_lives_and_what_is_no_socket_is_left_alone() {
        let place = place();
        let path = place.run.socket(&place.pins);
        let first = Listener::bind(&place.run, &place.pins).unwrap();
        let error = Listener::bind(&place.run, &place.pins).unwrap_err();
        assert!(error.to_string().contains("another agent"), "{error:#}");
        UnixStream::connect(&path).unwrap();
        drop(first);
        fs::write(&path, "precious").unwrap();
        let error = Listener::bind(&place.run, &place.pins).unwrap_err();
        assert!(error.to_string().contains("no socket"), "{error:#}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert!(Listener::bind_if_possible(&place.run, &place.pins).is_none());
    }
}
