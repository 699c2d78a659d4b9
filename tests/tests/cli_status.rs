//! Everything at a glance, and the counters while things happen.

#[path = "doctor/foreign.rs"]
#[expect(dead_code, reason = "shared with the tests of doctor")]
mod foreign;

use std::time::Duration;

use anyhow::{Context as _, Result};
use ftp_helper_common::session::Direction;
use ftp_helper_tests::{
    control::Control,
    duet::{Duet, Manner},
    lab::FILES,
    payload,
    process::{Daemon, run},
    scenario::{agent_scenario, helped_scenario},
    server::{DOWNLOADS, Server, ServerKind},
    setup::{Helper, Setup},
    transcript::Transcript,
    wait::wait_for,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::foreign::{Place, Program};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn at_a_glance() {
    let mut said = String::new();
    helped_scenario(Setup::default(), |lab, agent, running| {
        let duet = Duet::login(lab, Manner::default())?;
        let mut transcript = Transcript::default();
        transcript.run(agent, &["status"])?;
        transcript.run(agent, &["status", "-o", "json"])?;
        running.stop(Signal::SIGTERM)?;
        agent.table(&["nat", "add", "wan0", "198.51.100.9"])?;
        transcript.run(agent, &["status"])?;
        drop(duet);
        said = transcript.finish();
        Ok(())
    });
    insta::assert_snapshot!(said);
}

#[test]
fn places_among_programs_of_others() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let program = Program::load("other")?;
        let attach = |way, place| lab.gateway.enter(|| program.attach("wan0", way, place));
        let first = attach(Direction::Ingress, Place::First)?;
        let last = attach(Direction::Egress, Place::Last)?;
        if first.is_none() {
            ftp_helper_tests::scenario::skip("the kernel has no TCX");
            return Ok(());
        }
        let status = agent.json(&["status"])?;
        let of = |number: usize| status["interfaces"][0]["attachments"][number].clone();
        let (ingress, egress) = (of(0), of(1));
        assert_eq!(ingress["direction"], "ingress", "{status:#}");
        assert_eq!(ingress["position"], 2, "{status:#}");
        assert!(ingress["before"][0].to_string().contains("`other`"));
        assert_eq!(egress["position"], 1, "{status:#}");
        assert!(egress["behind"][0].to_string().contains("`other`"));
        drop((first, last));

        let table = agent.table(&["status"])?;
        assert!(table.contains("1 of 1"), "{table}");
        Ok(())
    });
}

#[test]
fn encrypted_sessions_and_a_second_helper_are_told() {
    let setup = Setup {
        helper: Helper::Kernel,
        ..Setup::default()
    };
    agent_scenario(setup, |lab, agent| {
        let _running = agent.start()?;
        let mut duet = Duet::login(lab, Manner::default())?;
        duet.client_says("AUTH TLS\r\n")?;
        duet.server_says("234 go on\r\n")?;
        wait_for("the encrypted session", LIMIT, || {
            let status = agent.json(&["status"])?;
            Ok((status["sessions"]["encrypted"] == 1).then_some(()))
        })?;
        let list = agent.json(&["session", "list", "--state", "encrypted"])?;
        assert_eq!(list[0]["state"], "encrypted", "{list:#}");
        let status = agent.json(&["status"])?;
        assert_eq!(status["kernel_helper"]["conflict"], true, "{status:#}");
        let table = agent.table(&["status"])?;
        assert!(table.contains("kernel helper  conflict"), "{table}");
        assert!(table.contains("0 open, 1 encrypted"), "{table}");
        Ok(())
    });
}

#[test]
fn rates_are_those_of_what_happens() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let remote = format!("{DOWNLOADS}/file");
        let digest = payload::write(&server.file(&remote), 1000, 1)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let path = std::path::Path::new(FILES).join("watch.jsonl");
        let arguments = [
            "stats",
            "--watch",
            "--interval",
            "0.5",
            "--times",
            "12",
            "-o",
            "jsonl",
        ];
        let mut watch = Daemon::start(&mut agent.command(&arguments), &path)?;
        wait_for("the first time", LIMIT, || {
            Ok((!watch.log()?.is_empty()).then_some(()))
        })?;
        for _ in 0..3 {
            assert_eq!(payload::digest_of(&control.retrieve(&remote)?), digest);
        }
        assert!(watch.wait(LIMIT)?.success());
        let rows = rows(&watch.log()?, "expectation_matched")?;
        assert_eq!(rows.len(), 12, "{rows:?}");
        let number = |row: &Value, key: &str| row[key].as_f64().context("a number");
        let last = rows.last().context("a row")?;
        assert_eq!(last["count"], 3);
        // Half a second each, more on a busy machine.
        let mut happened = 0.0;
        for row in &rows {
            happened += number(row, "per_second")? / 2.0;
        }
        assert!(happened > 0.3 && happened < 3.5, "{rows:?}");
        Ok(())
    });
}

#[test]
fn watching_ends_when_nobody_reads_on() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let program = agent.program().display();
        let line = format!("{program} stats --watch --interval 0.1 | head -n 1");
        // The shell waits for both.
        let output = run(lab.gateway.command("sh").args(["-c", &line]), LIMIT)?;
        assert!(output.stdout.starts_with("REASON"), "{output:?}");
        assert_eq!(output.stderr, "");
        Ok(())
    });
}

#[test]
fn colours_are_for_terminals() {
    const RED: &str = "\u{1b}[31m";

    agent_scenario(Setup::default(), |lab, agent| {
        let line = format!("{} status", agent.program().display());
        let on_terminal = |variable: &str| {
            let mut command = lab.gateway.command("script");
            command
                .args(["-qec", &line, "/dev/null"])
                .env("TERM", "xterm");
            command.env_remove("NO_COLOR").env(variable, "1");
            anyhow::Ok(run(&mut command, LIMIT)?.stdout)
        };
        let shown = on_terminal("OF_NO_MEANING")?;
        assert!(shown.contains(&format!("{RED}programs")), "{shown:?}");
        let plain = on_terminal("NO_COLOR")?;
        assert!(plain.contains("none are loaded"), "{plain:?}");
        assert!(!plain.contains('\u{1b}'), "{plain:?}");
        let plain = agent.cli(&["status"])?.stdout;
        assert!(plain.contains("none are loaded"), "{plain:?}");
        assert!(!plain.contains('\u{1b}'), "{plain:?}");
        Ok(())
    });
}

fn rows(log: &str, reason: &str) -> Result<Vec<Value>> {
    let rows: Vec<Value> = log
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    assert!(rows.iter().all(|row| row["kind"] == "counters"));
    let mut rows = rows;
    rows.retain(|row| row["reason"] == reason);
    Ok(rows)
}
