//! A large transfer that goes on while something else happens.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    client::Mode, host::Host, lab::FILES, process::Daemon, python::interpreter, wait::wait_for,
};

const SCRIPT: &str = include_str!("../clients/slow_client.py");

/// Longest wait for the first bytes, and for the last one after [`Ongoing::finish`].
const LIMIT: Duration = Duration::from_secs(60);

/// A file that takes a while to transfer.
#[derive(Debug)]
pub struct Large {
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal digits.
    digest: String,
}

impl Large {
    /// Makes one of random bytes. With programs for it, which are many times faster
    /// than what a test that is not optimised does itself.
    pub fn make(host: &Host, path: &Path, size: u64) -> Result<Self> {
        let path = path.display();
        let line = format!("head -c {size} /dev/urandom | tee {path} | sha256sum");
        let said = host.run("sh", ["-c", &line])?.success(&line)?.stdout;
        let digest = said.split_whitespace().next().context("no digest")?;
        Ok(Self {
            size,
            digest: digest.to_owned(),
        })
    }
}

/// A download under way, slower than it could be.
#[derive(Debug)]
pub struct Ongoing {
    daemon: Daemon,
    progress: PathBuf,
    hurry: PathBuf,
}

impl Ongoing {
    /// Starts to fetch a file, and returns when a part of it has arrived.
    pub fn start(host: &Host, server: SocketAddr, mode: Mode, remote: &str) -> Result<Self> {
        let script = Path::new(FILES).join("slow_client.py");
        fs::write(&script, SCRIPT)?;
        let word = if mode.is_active() {
            "active"
        } else {
            "passive"
        };
        let path = |what: &str| Path::new(FILES).join(format!("{word}-{what}"));
        let (progress, hurry, log) = (path("progress"), path("hurry"), path("log"));
        for path in [&progress, &hurry, &log] {
            // Of an earlier transfer, if there was one.
            let _ = fs::remove_file(path);
        }
        let mut command = host.command(interpreter(host, "ftplib")?);
        command.arg(script).arg(word);
        command.args([server.ip().to_string(), server.port().to_string()]);
        command.arg(remote).arg(&progress).arg(&hurry);
        let ongoing = Self {
            daemon: Daemon::start(&mut command, &log)?,
            progress,
            hurry,
        };
        wait_for("the first bytes", LIMIT, || {
            Ok((ongoing.arrived() > 0).then_some(()))
        })
        .with_context(|| ongoing.daemon.log().unwrap_or_default())?;
        Ok(ongoing)
    }

    /// Bytes that have arrived.
    pub fn arrived(&self) -> u64 {
        let text = fs::read_to_string(&self.progress).unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    /// Fetches the rest at once; everything has to arrive as it was sent.
    pub fn finish(mut self, file: &Large) -> Result<()> {
        fs::write(&self.hurry, "")?;
        let status = self.daemon.wait(LIMIT)?;
        let said = self.daemon.log()?;
        ensure!(status.success(), "the client ended with {status}:\n{said}");
        let expected = format!("{} {}", file.size, file.digest);
        ensure!(said.trim() == expected, "arrived: {said}, sent: {expected}");
        Ok(())
    }
}
