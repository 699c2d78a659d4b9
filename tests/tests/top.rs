//! `ftp-helper top` on a real terminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd, AsRawFd as _},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use ftp_helper_tests::{
    agent::Agent,
    duet::{Duet, Manner},
    process::Output,
    scenario::helped_scenario,
    setup::Setup,
    wait::wait_for,
};
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    pty::{OpenptyResult, Winsize, openpty},
    sys::{
        signal::Signal,
        termios::{LocalFlags, tcgetattr},
    },
};

const LIMIT: Duration = Duration::from_secs(20);

/// What puts the usual screen back.
const LEAVE: &str = "\u{1b}[?1049l";

/// `top` on a terminal of its own.
struct Screen {
    child: Child,
    ours: File,
    theirs: File,
    written: Vec<u8>,
}

impl Screen {
    fn start(agent: &Agent, rows: u16, columns: u16) -> Result<Self> {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let OpenptyResult { master, slave } = openpty(Some(&size), None)?;
        fcntl(master.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut command = agent.command(&["top"]);
        command
            .env("TERM", "xterm")
            .stdin(Stdio::from(slave.try_clone()?))
            .stdout(Stdio::from(slave.try_clone()?))
            .stderr(Stdio::from(slave.try_clone()?));
        // Before it runs: the next moment it may have taken the terminal.
        assert!(is_usual(&slave)?);
        Ok(Self {
            child: command.spawn()?,
            ours: master.into(),
            theirs: slave.into(),
            written: Vec::new(),
        })
    }

    /// Everything that was written so far.
    fn text(&mut self) -> String {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = self.ours.read(&mut buffer) {
            self.written.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&self.written).into_owned()
    }

    fn wait_for(&mut self, text: &str) -> Result<()> {
        wait_for(&format!("{text:?} on the screen"), LIMIT, || {
            Ok(self.text().contains(text).then_some(()))
        })
        .with_context(|| format!("there is {:?}", self.text()))
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        Ok(self.ours.write_all(keys.as_bytes())?)
    }

    fn is_usual(&self) -> Result<bool> {
        is_usual(&self.theirs)
    }

    fn end(&mut self) -> Result<std::process::ExitStatus> {
        wait_for("the end of top", LIMIT, || Ok(self.child.try_wait()?))
    }
}

/// The terminal echoes what is typed, as it does by default.
fn is_usual(terminal: &impl AsFd) -> Result<bool> {
    let flags = tcgetattr(terminal)?.local_flags;
    Ok(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON))
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sessions_are_on_the_screen_and_the_terminal_is_as_before() {
    helped_scenario(Setup::default(), |lab, agent, running| {
        let mut duet = Duet::login(lab, Manner::default())?;
        let numbers = lab.setup.addresses.client.to_string().replace('.', ",");
        duet.client_says(&format!("PORT {numbers},0,80\r\n"))?;
        // Without an agent too.
        running.stop(Signal::SIGKILL)?;
        for key in ["q", "\u{1b}", "\u{3}"] {
            let mut screen = Screen::start(agent, 24, 110)?;
            let client = format!("{}:", lab.setup.addresses.client);
            for text in [
                &client,
                "logged_in",
                "low_port",
                "created",
                "expectations",
                "no agent runs",
            ] {
                screen.wait_for(text)?;
            }
            assert!(!screen.is_usual()?);
            screen.press("r")?;
            screen.press(key)?;
            let status = screen.end()?;
            assert!(status.success(), "{key:?}: {status}");
            assert!(screen.is_usual()?, "{key:?}");
            assert!(screen.text().contains(LEAVE), "{key:?}");
        }
        // A window of a few letters.
        let mut screen = Screen::start(agent, 3, 9)?;
        screen.wait_for("CLIE")?;
        screen.press("q")?;
        assert!(screen.end()?.success());
        Ok(())
    });
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    helped_scenario(Setup::default(), |_, agent, _| {
        let mut screen = Screen::start(agent, 24, 80)?;
        screen.wait_for("scroll")?;
        assert!(!screen.is_usual()?);
        let process = nix::unistd::Pid::from_raw(i32::try_from(screen.child.id())?);
        nix::sys::signal::kill(process, Signal::SIGTERM)?;
        assert!(screen.end()?.success());
        assert!(screen.is_usual()?);
        assert!(screen.text().contains(LEAVE));
        assert!(screen.ours.as_raw_fd() > 0);
        Ok(())
    });
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    helped_scenario(Setup::default(), |_, agent, _| {
        let Output { status, stderr, .. } = agent.cli(&["top"])?;
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("ftp-helper stats"), "{stderr}");
        Ok(())
    });
}
