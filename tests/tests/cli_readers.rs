//! Reading without being root: a member of the group that `--group` names may,
//! nobody else, and nobody may change anything.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use anyhow::{Context as _, Result};
use ftp_helper_tests::{
    agent::{Agent, PINS},
    control::{Control, DataListener},
    lab::{FILES, Lab},
    process::{Daemon, Output, run},
    scenario::agent_scenario,
    server::{Server, ServerKind},
    setup::Setup,
    wait::wait_for,
};
use nix::{
    sys::signal::Signal,
    unistd::{Gid, Group},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);

/// A group that every Debian has, and that root is not in.
const GROUP: &str = "users";

/// A user without any right.
struct User<'a> {
    lab: &'a Lab,
    program: String,
    groups: String,
}

impl<'a> User<'a> {
    fn new(lab: &'a Lab, agent: &Agent) -> Result<Self> {
        // The directory that the program was built in may be closed to others.
        let program = format!("{FILES}/program");
        let mut copy = lab.gateway.command("cp");
        run(copy.arg(agent.program()).arg(&program), LIMIT)?.success("cp")?;
        Ok(Self {
            lab,
            program,
            groups: "--clear-groups".to_owned(),
        })
    }

    fn member(&self, group: Gid) -> User<'a> {
        User {
            lab: self.lab,
            program: self.program.clone(),
            groups: format!("--groups={group}"),
        }
    }

    fn cli(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.lab.gateway.command("setpriv");
        command
            .env_remove("FTP_HELPER_PIN_DIR")
            .env_remove("FTP_HELPER_LOG")
            .args(["--reuid=65534", "--regid=65534", &self.groups])
            .arg(&self.program)
            .args(arguments);
        run(&mut command, LIMIT)
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.cli(&[arguments, &["-o", "json"]].concat())?;
        let output = output.success(&arguments.join(" "))?;
        Ok(serde_json::from_str(&output.stdout)?)
    }

    /// Refused, with what to do about it.
    fn is_refused(&self, arguments: &[&str], advice: &str) -> Result<()> {
        let output = self.cli(arguments)?;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(output.stdout, "", "{output:?}");
        assert!(output.stderr.contains(advice), "{advice}: {output:?}");
        Ok(())
    }
}

/// A client that has announced a port and goes no further.
fn waiting(lab: &Lab) -> Result<(Server, Control, DataListener)> {
    let server = Server::start(lab, ServerKind::Vsftpd)?;
    let mut control = Control::login(&lab.client, server.endpoint())?;
    let listener = control.listen()?;
    control
        .command(&listener.announcement.to_string())?
        .expect_code(200)?;
    Ok((server, control, listener))
}

fn mode(path: &str) -> Result<u32> {
    let metadata = fs::metadata(path).with_context(|| path.to_owned())?;
    Ok(metadata.permissions().mode() & 0o777)
}

fn map(name: &str) -> String {
    format!("{PINS}/map_{name}_v{}", ftp_helper_common::SCHEMA_VERSION)
}

#[test]
fn a_member_of_the_group_reads_everything_and_changes_nothing() {
    agent_scenario(Setup::default(), |lab, agent| {
        let group = Group::from_name(GROUP)?.context("no such group")?.gid;
        let user = User::new(lab, agent)?;
        let member = user.member(group);
        let mut running = agent.start_with(&["run", "-i", "wan0", "--group", GROUP])?;
        assert_eq!((mode(PINS)?, mode(&map("SESSIONS"))?), (0o750, 0o640));
        let _waiting = waiting(lab)?;

        for agent_is_alive in [true, false] {
            if !agent_is_alive {
                running.stop(Signal::SIGKILL)?;
            }
            let sessions = member.json(&["session", "list"])?;
            assert_eq!(sessions["items"][0]["state"], "logged_in", "{sessions:#}");
            let expectations = member.json(&["expect", "list"])?;
            let expectation = &expectations["items"][0];
            assert_eq!(expectation["mode"], "PORT", "{expectations:#}");
            let awaited = expectation["outside"].as_str().context("a text")?;
            member.json(&["expect", "show", awaited])?;
            let mappings = member.json(&["nat", "list"])?;
            assert_eq!(mappings["items"].as_array().map(Vec::len), Some(2));
            let ports = member.json(&["port", "list"])?;
            assert_eq!(ports["items"][0]["port"], 21);
            let counters = member.json(&["stats"])?;
            assert!(counters["items"].to_string().contains("\"count\":1"));

            let status = member.json(&["status"])?;
            let status = &status["item"];
            assert_eq!(status["agent"]["running"], agent_is_alive, "{status:#}");
            assert_eq!(status["sessions"]["open"], 1);
            // Links are not for readers.
            let attachment = &status["interfaces"][0]["attachments"][0];
            assert_eq!(attachment["direction"], "ingress", "{status:#}");
            assert_eq!(attachment["attached"], Value::Null, "{status:#}");

            for change in [
                &["expect", "flush"][..],
                &["expect", "delete", awaited],
                &["nat", "add", "wan0", "198.51.100.9"],
                &["port", "add", "2121"],
            ] {
                member.is_refused(change, "changing it takes root")?;
            }
            let advice = format!("only root and group {GROUP} may read it");
            user.is_refused(&["session", "list"], &advice)?;
            user.is_refused(&["status"], &advice)?;
        }
        Ok(())
    });
}

/// Whoever may read a directory may lock it.
#[test]
fn a_member_of_the_group_keeps_nobody_from_a_start() {
    agent_scenario(Setup::default(), |lab, agent| {
        let group = Group::from_name(GROUP)?.context("no such group")?.gid;
        let arguments = ["run", "-i", "wan0", "--group", GROUP];
        agent.start_with(&arguments)?.stop(Signal::SIGTERM)?;
        let mut command = lab.gateway.command("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534"])
            .arg(format!("--groups={group}"))
            .args(["flock", PINS, "sleep", "60"]);
        let _locked = Daemon::start(&mut command, &lab.logs().join("flock.log"))?;
        wait_for("the lock", LIMIT, || {
            let free = lab.gateway.run("flock", ["--nonblock", PINS, "true"])?;
            Ok((!free.status.success()).then_some(()))
        })?;
        agent.start_with(&arguments)?.stop(Signal::SIGTERM)?;
        agent.table(&["detach"])?;
        Ok(())
    });
}

/// Tables of another size are for the same readers.
#[test]
fn a_group_reads_tables_of_another_size() {
    agent_scenario(Setup::default(), |_, agent| {
        for limit in ["100", "200"] {
            let arguments = ["run", "-i", "wan0", "--group", GROUP];
            let mut running =
                agent.start_with(&[&arguments[..], &["--session-limit", limit]].concat())?;
            for name in ["SESSIONS", "EXPECTATIONS", "CLIENTS", "COUNTERS"] {
                assert_eq!(mode(&map(name))?, 0o640, "{name} with {limit}");
            }
            running.stop(Signal::SIGTERM)?;
        }
        Ok(())
    });
}

/// A segment that came too early may have a password in it: it is in no map that is pinned.
#[test]
fn segments_that_came_too_early_are_not_for_readers() {
    agent_scenario(Setup::default(), |_, agent| {
        let _running = agent.start_with(&["run", "-i", "wan0", "--group", GROUP])?;
        let mut names = Vec::new();
        for entry in fs::read_dir(PINS)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        let has = |map: &str| names.iter().any(|name| name.contains(map));
        assert!(has("SESSIONS"), "{names:?}");
        assert!(!has("STASHES"), "{names:?}");
        Ok(())
    });
}

#[test]
fn without_a_group_only_root_reads() {
    agent_scenario(Setup::default(), |lab, agent| {
        let group = Group::from_name(GROUP)?.context("no such group")?.gid;
        let member = User::new(lab, agent)?.member(group);
        let _first = agent.start()?;
        assert_eq!((mode(PINS)?, mode(&map("SESSIONS"))?), (0o700, 0o600));
        member.is_refused(&["session", "list"], "name a group with `--group`")
    });
}

#[test]
fn a_group_comes_and_goes_with_starts() {
    agent_scenario(Setup::default(), |lab, agent| {
        let file = format!("{FILES}/ftp-helper.toml");
        let write = |group: &str| fs::write(&file, format!("interface = 'wan0'\n{group}"));
        let group = Group::from_name(GROUP)?.context("no such group")?.gid;
        let member = User::new(lab, agent)?.member(group);
        write("")?;
        let mut running = agent.start_with(&["run", "--config", &file])?;
        assert_eq!(mode(PINS)?, 0o700);

        // A running agent has given up the right to hand files on, and says so.
        write(&format!("group = '{GROUP}'\n"))?;
        let log = running.reload("settings read again")?;
        assert!(log.contains("stays until the next start"), "{log}");
        assert_eq!(mode(PINS)?, 0o700);
        // Also when it was said before.
        let said = agent.table(&["reload"])?;
        assert!(said.contains("stays until the next start"), "{said}");
        running.stop(Signal::SIGTERM)?;
        let mut running = agent.start_with(&["run", "--config", &file])?;
        assert_eq!((mode(PINS)?, mode(&map("COUNTERS"))?), (0o750, 0o640));
        member.json(&["stats"])?;

        running.stop(Signal::SIGTERM)?;
        write("")?;
        let _running = agent.start_with(&["run", "--config", &file])?;
        assert_eq!((mode(PINS)?, mode(&map("COUNTERS"))?), (0o700, 0o600));
        member.is_refused(&["stats"], "only root")?;

        let refused = agent.cli(&["run", "-i", "wan0", "--group", "no-such-group"])?;
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(refused.stderr.contains("groupadd --system no-such-group"));
        Ok(())
    });
}

#[test]
fn a_closed_directory_above_the_pins_is_named() {
    agent_scenario(Setup::default(), |lab, agent| {
        let group = Group::from_name(GROUP)?.context("no such group")?.gid;
        let member = User::new(lab, agent)?.member(group);
        // As systemd mounts it.
        lab.gateway.must("chmod 700 /sys/fs/bpf")?;
        let running = agent.start_with(&["run", "-i", "wan0", "--group", GROUP])?;
        let advice = "chmod o+x /sys/fs/bpf";
        assert!(running.log()?.contains(advice), "{}", running.log()?);
        member.is_refused(&["session", "list"], advice)?;
        member.is_refused(&["status"], advice)?;
        lab.gateway.must(advice)?;
        member.json(&["session", "list"])?;
        Ok(())
    });
}
