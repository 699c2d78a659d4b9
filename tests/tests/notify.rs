//! What the service manager is told.

use std::{
    os::unix::net::UnixDatagram,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use ftp_helper_tests::{
    agent::Agent, lab::Lab, process::Daemon, scenario::agent_scenario, setup::Setup, wait::patient,
};
use nix::sys::signal::Signal;

/// Longest wait for a message; loading the programs takes most of it.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the service manager waits for a sign of life.
const WATCHDOG: Duration = Duration::from_secs(1);

/// The service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(lab: &Lab) -> Result<Self> {
        let path = lab.logs().join("notify.sock");
        let socket = UnixDatagram::bind(&path)?;
        Ok(Self { socket, path })
    }

    fn start(&self, lab: &Lab, agent: &Agent) -> Result<Daemon> {
        let mut command = agent.command(&["run", "-i", "wan0"]);
        command
            .env("NOTIFY_SOCKET", &self.path)
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        Daemon::start(&mut command, &lab.logs().join("ftp-helper.log"))
    }

    /// The next message, if one comes in time.
    fn next(&self, limit: Duration) -> Result<Option<String>> {
        self.socket.set_read_timeout(Some(limit))?;
        let mut buffer = [0; 4096];
        match self.socket.recv(&mut buffer) {
            Ok(count) => Ok(Some(String::from_utf8_lossy(&buffer[..count]).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error).context("the service manager's socket"),
        }
    }

    /// The next message that is no sign of life.
    fn next_but_life(&self) -> Result<String> {
        loop {
            let message = self.next(patient(LIMIT))?.context("no message")?;
            if message != "WATCHDOG=1\n" {
                return Ok(message);
            }
        }
    }

    /// Signs of life within a time.
    fn signs(&self, time: Duration) -> Result<usize> {
        let end = Instant::now() + time;
        let mut signs = 0;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if left.is_zero() {
                break;
            }
            if self.next(left)?.as_deref() == Some("WATCHDOG=1\n") {
                signs += 1;
            }
        }
        Ok(signs)
    }
}

#[test]
fn the_service_manager_is_told_what_the_agent_does() {
    agent_scenario(Setup::default(), |lab, agent| {
        let manager = Manager::new(lab)?;
        let mut daemon = manager.start(lab, agent)?;
        // Not before the programs are attached.
        assert_eq!(
            manager.next_but_life()?,
            "READY=1\nSTATUS=helping FTP on wan0\n"
        );
        let links = lab.gateway.must("ls /sys/fs/bpf/ftp-helper")?;
        assert!(
            links.contains("link_wan0") || links.contains("filter_wan0"),
            "{links}"
        );

        daemon.signal(Signal::SIGHUP)?;
        let message = manager.next_but_life()?;
        let time = message
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .and_then(|rest| rest.strip_suffix("\nSTATUS=reading the settings again\n"))
            .with_context(|| format!("another message: {message}"))?;
        assert!(time.parse::<u64>()? > 0);
        assert_eq!(
            manager.next_but_life()?,
            "READY=1\nSTATUS=helping FTP on wan0\n"
        );

        daemon.signal(Signal::SIGTERM)?;
        assert_eq!(
            manager.next_but_life()?,
            "STOPPING=1\nSTATUS=stopped; the programs go on\n"
        );
        assert!(daemon.wait(LIMIT)?.success());
        Ok(())
    });
}

#[test]
fn an_agent_that_stands_still_gives_no_sign_of_life() {
    agent_scenario(Setup::default(), |lab, agent| {
        let manager = Manager::new(lab)?;
        let daemon = manager.start(lab, agent)?;
        assert!(manager.next_but_life()?.starts_with("READY=1"));
        // Twice as often as is waited for.
        let signs = manager.signs(Duration::from_secs(4))?;
        assert!((4..=12).contains(&signs), "{signs} signs of life in 4 s");
        daemon.signal(Signal::SIGSTOP)?;
        manager.signs(Duration::from_millis(200))?;
        assert_eq!(manager.signs(2 * WATCHDOG)?, 0);
        daemon.signal(Signal::SIGCONT)?;
        assert!(manager.signs(2 * WATCHDOG)? > 0);
        Ok(())
    });
}
