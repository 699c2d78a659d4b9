//! What the agent shows of its work, and to whom it says no.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use ftp_helper_tests::{
    agent::PINS,
    control::{Control, DataListener},
    host::Host,
    lab::{FILES, Lab},
    payload,
    process::{Output, run},
    scenario::{agent_scenario, helped_scenario},
    server::{DOWNLOADS, Server, ServerKind},
    setup::Setup,
    wait::{patient, wait_for},
};
use nix::sys::signal::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);

/// vsftpd with one file, and a control connection to it.
struct Ftp {
    server: Server,
    control: Control,
    remote: String,
    digest: payload::Digest,
}

impl Ftp {
    fn new(lab: &Lab, size: usize) -> Result<Self> {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let remote = format!("{DOWNLOADS}/file");
        let digest = payload::write(&server.file(&remote), size, 1)?;
        let control = Control::login(&lab.client, server.endpoint())?;
        Ok(Self {
            server,
            control,
            remote,
            digest,
        })
    }

    /// Announces a listener and leaves it at that.
    fn announce(&mut self) -> Result<DataListener> {
        let listener = self.control.listen()?;
        self.control
            .command(&listener.announcement.to_string())?
            .expect_code(200)?;
        Ok(listener)
    }

    /// A whole transfer.
    fn transfer(&mut self) -> Result<()> {
        let bytes = self.control.retrieve(&self.remote)?;
        ensure!(
            payload::digest_of(&bytes) == self.digest,
            "the file arrived changed"
        );
        Ok(())
    }
}

/// The only entry of a list.
fn only(list: &Value) -> &Value {
    let entries = list
        .as_array()
        .unwrap_or_else(|| panic!("not a list: {list}"));
    assert_eq!(entries.len(), 1, "{list:#}");
    &entries[0]
}

#[test]
fn an_open_expectation_is_shown() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let addresses = lab.setup.addresses;
        let mut ftp = Ftp::new(lab, 1000)?;
        assert_eq!(agent.json(&["expect", "list"])?, Value::Array(Vec::new()));

        let listener = ftp.announce()?;
        let outside = ftp
            .server
            .announcements()?
            .pop()
            .expect("the server received PORT");
        let outside = format!("{}:{}", addresses.wan, outside.port);
        let inside = format!("{}:{}", addresses.client, listener.announcement.port);

        let list = agent.json(&["expect", "list"])?;
        let entry = only(&list);
        assert_eq!(entry["peer"], addresses.server.to_string());
        assert_eq!(entry["outside"], outside);
        assert_eq!(entry["inside"], inside);
        assert_eq!(entry["mode"], "PORT");
        assert_eq!(entry["state"], "waiting");
        assert_eq!(entry["interface"], "wan0");
        assert_eq!(entry["master"]["peer"], format!("{}:21", addresses.server));
        let rest = entry["expires_in_seconds"].as_f64().expect("a number");
        assert!((40.0..=60.0).contains(&rest), "{entry:#}");

        let table = agent.table(&["expect", "list"])?;
        let row = table.lines().nth(1).unwrap_or_default();
        for part in [&outside, &inside, "PORT", "wan0"] {
            assert!(row.contains(part), "no {part} in\n{table}");
        }

        assert_eq!(agent.count("announcement_rewritten")?, 1);
        assert_eq!(agent.count("expectation_created")?, 1);
        assert_eq!(agent.count("expectation_matched")?, 0);

        let data = ftp.control.ask(&listener, &ftp.remote)?;
        assert_eq!(agent.json(&["expect", "list"])?, Value::Array(Vec::new()));
        assert_eq!(agent.count("expectation_matched")?, 1);
        let bytes = ftp.control.receive(data)?;
        assert_eq!(payload::digest_of(&bytes), ftp.digest);
        Ok(())
    });
}

#[test]
fn sessions_are_shown() {
    helped_scenario(Setup::default(), |lab, agent, running| {
        let addresses = lab.setup.addresses;
        let mut ftp = Ftp::new(lab, 1000)?;
        ftp.transfer()?;
        ftp.announce()?;
        let received = ftp.server.announcements()?;

        let list = agent.json(&["session", "list"])?;
        let entry = only(&list);
        let local = ftp.control.local()?;
        assert_eq!(entry["inside"], local.to_string());
        assert_eq!(entry["peer"], format!("{}:21", addresses.server));
        assert_eq!(
            entry["outside"],
            format!("{}:{}", addresses.wan, local.port())
        );
        assert_eq!(entry["client"], "inside");
        assert_eq!(entry["interface"], "wan0");
        assert_eq!(entry["helped"], 2);
        assert_eq!(entry["refused"], 0);
        // As the server received them, without the command's name.
        let texts: Vec<_> = received
            .iter()
            .map(|at| at.to_string().replace("PORT ", ""))
            .collect();
        for text in &texts {
            assert!(list.to_string().contains(text), "no {text} in {list:#}");
        }
        let table = agent.table(&["session", "list"])?;
        assert!(table.contains(&local.to_string()), "{table}");

        // Events are read a few times per second.
        for at in &received {
            let outside = at.endpoint().expect("PORT names an address");
            running.says(&outside.to_string())?;
        }

        ftp.control.command("QUIT")?.expect_code(221)?;
        drop(ftp);
        wait_for("the end of the session", LIMIT, || {
            Ok((agent.count("session_closed")? == 1).then_some(()))
        })?;
        Ok(())
    });
}

#[test]
fn every_reason_has_a_count_and_an_explanation() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        Ftp::new(lab, 1000)?.transfer()?;
        let stats = agent.json(&["stats"])?;
        let rows = stats.as_array().expect("a list");
        assert!(rows.len() > 30, "{stats:#}");
        let table = agent.table(&["stats"])?;
        for row in rows {
            let text = |key: &str| row[key].as_str().unwrap_or_default();
            assert!(
                ["work", "refusal", "drop", "fault"].contains(&text("class")),
                "{row:#}"
            );
            assert!(row["count"].is_u64(), "{row:#}");
            assert!(!text("help").is_empty(), "{row:#}");
            // The table may leave out what never happened.
            let shown = row["count"] == 0 || table.contains(text("reason"));
            assert!(shown, "no {} in\n{table}", text("reason"));
        }
        Ok(())
    });
}

#[test]
fn an_expectation_that_nobody_uses_expires() {
    agent_scenario(Setup::default(), |lab, agent| {
        let time = patient(Duration::from_secs(5)).as_secs().to_string();
        let _running = agent.start_with(&["run", "-i", "wan0", "--expectation-timeout", &time])?;
        let mut ftp = Ftp::new(lab, 1000)?;
        let listener = ftp.announce()?;
        only(&agent.json(&["expect", "list"])?);
        wait_for("the end of the expectation", LIMIT, || {
            let list = agent.json(&["expect", "list"])?;
            Ok(list.as_array().is_some_and(Vec::is_empty).then_some(()))
        })?;
        // What comes then is a stranger's connection.
        ftp.control
            .command(&format!("RETR {}", ftp.remote))?
            .expect_code(425)?;
        assert!(listener.is_untouched()?);
        assert_eq!(agent.count("expectation_matched")?, 0);
        wait_for("the count", LIMIT, || {
            Ok((agent.count("expectation_expired")? == 1).then_some(()))
        })
    });
}

#[test]
fn a_second_agent_is_refused() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let output = agent.cli(&["run", "-i", "wan0"])?;
        assert_refused(&output);
        // The first one's work is as before.
        Ftp::new(lab, 1000)?.transfer()
    });
}

#[test]
fn programs_stay_when_the_agent_goes() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        helped_scenario(Setup::default(), |lab, agent, running| {
            let mut ftp = Ftp::new(lab, 1000)?;
            ftp.transfer()?;
            let status = running.stop(signal)?;
            assert_eq!(
                status.success(),
                signal != Signal::SIGKILL,
                "{signal}: {status}"
            );

            // On the old control connection and on a new one.
            ftp.transfer()?;
            Control::login(&lab.client, ftp.server.endpoint())?.retrieve(&ftp.remote)?;
            assert_eq!(agent.count("expectation_matched")?, 3);
            assert_eq!(agent.json(&["expect", "list"])?, Value::Array(Vec::new()));
            Ok(())
        });
    }
}

#[test]
fn a_restart_takes_over_in_the_middle_of_a_transfer() {
    helped_scenario(Setup::default(), |lab, agent, running| {
        lab.limit_buffers()?;
        let mut ftp = Ftp::new(lab, 4 << 20)?;
        ftp.transfer()?;
        let listener = ftp.control.listen()?;
        let data = ftp.control.begin(&listener, &ftp.remote)?;

        running.stop(Signal::SIGKILL)?;
        let mut second = agent.start()?;
        let bytes = ftp.control.receive(data)?;
        assert_eq!(payload::digest_of(&bytes), ftp.digest);
        // The control connection is known to be one whose lines have changed
        // their lengths.
        ftp.transfer()?;
        let listener = ftp.announce()?;
        second.stop(Signal::SIGTERM)?;
        let _third = agent.start()?;
        // So is what was awaited.
        let data = ftp.control.ask(&listener, &ftp.remote)?;
        let bytes = ftp.control.receive(data)?;
        assert_eq!(payload::digest_of(&bytes), ftp.digest);

        assert_eq!(agent.count("announcement_rewritten")?, 4);
        assert_eq!(only(&agent.json(&["session", "list"])?)["helped"], 4);
        Ok(())
    });
}

#[test]
fn detach_removes_everything() {
    helped_scenario(Setup::default(), |lab, agent, running| {
        let mut ftp = Ftp::new(lab, 1000)?;
        ftp.transfer()?;
        assert!(Path::new(PINS).is_dir());
        running.stop(Signal::SIGTERM)?;
        agent.table(&["detach"])?;
        assert!(!Path::new(PINS).exists());

        let mut control = Control::login(&lab.client, ftp.server.endpoint())?;
        let listener = control.listen()?;
        let reply = control.command(&listener.announcement.to_string())?;
        assert_eq!(reply.text, "500 Illegal PORT command.");

        // Nothing to do is fine too.
        agent.table(&["detach"])?;
        // And a new start is as the first.
        let _running = agent.start()?;
        Control::login(&lab.client, ftp.server.endpoint())?.retrieve(&ftp.remote)?;
        Ok(())
    });
}

#[test]
fn reading_without_programs_says_so() {
    agent_scenario(Setup::default(), |_, agent| {
        for arguments in [&["expect", "list"][..], &["session", "list"], &["stats"]] {
            assert_refused_with(NOT_RUNNING, &agent.cli(arguments)?);
        }
        Ok(())
    });
}

#[test]
fn a_missing_interface_is_named() {
    agent_scenario(Setup::default(), |_, agent| {
        // It may come.
        let running = agent.start_with(&["run", "-i", "wan9"])?;
        let log = running.log()?;
        assert!(log.contains("there is no interface wan9"), "{log}");
        Ok(())
    });
}

#[test]
fn a_missing_bpffs_is_named() {
    agent_scenario(Setup::default(), |lab, agent| {
        lab.gateway.must("umount /sys/fs/bpf")?;
        let output = agent.cli(&["run", "-i", "wan0"])?;
        assert_refused(&output);
        assert!(output.stderr.contains("/sys/fs/bpf"), "{}", output.stderr);
        Ok(())
    });
}

#[test]
fn a_missing_capability_is_named() {
    agent_scenario(Setup::default(), |lab, agent| {
        let program = copy_for_everybody(&lab.gateway, agent.program())?;
        let mut cases = Vec::new();
        for name in ["BPF", "NET_ADMIN", "PERFMON"] {
            // CAP_SYS_ADMIN would stand for them.
            let without = format!("-sys_admin,-{}", name.to_lowercase());
            cases.push((name, vec![format!("--bounding-set={without}")]));
        }
        let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
        cases.push(("BPF", nobody.map(str::to_owned).to_vec()));
        for (name, options) in cases {
            let output = as_setpriv(&lab.gateway, &options, &program)?;
            assert_refused(&output);
            let capability = format!("CAP_{name}");
            assert!(
                output.stderr.contains(&capability),
                "{options:?}: {}",
                output.stderr
            );
            assert!(!Path::new(PINS).exists(), "{options:?}");
        }
        Ok(())
    });
}

/// The directory that the program was built in may be closed to other users.
/// Copied by a process of its own: a file that this one has open for writing, or
/// a child that a test beside this one has just forked, can not be run.
fn copy_for_everybody(gateway: &Host, program: &Path) -> Result<String> {
    let copy = format!("{FILES}/program");
    let mut command = gateway.command("cp");
    run(command.arg(program).arg(&copy), LIMIT)?.success("cp")?;
    Ok(copy)
}

fn as_setpriv(gateway: &Host, options: &[String], program: &str) -> Result<Output> {
    let mut command = gateway.command("setpriv");
    command.args(options).args([program, "run", "-i", "wan0"]);
    run(&mut command, LIMIT)
}

/// One line that names the cause and the next step, and exit code 1.
fn assert_refused(output: &Output) {
    assert_refused_with(1, output);
}

/// The exit code when nothing is loaded.
const NOT_RUNNING: i32 = 4;

/// One line that names the cause and the next step, and this exit code.
fn assert_refused_with(code: i32, output: &Output) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let lines: Vec<_> = output.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{}", output.stderr);
    let message = lines[0].strip_prefix("ftp-helper: error: ");
    assert!(
        message.is_some_and(|message| message.contains(": ")),
        "{}",
        lines[0]
    );
    assert_eq!(output.stdout, "");
}
