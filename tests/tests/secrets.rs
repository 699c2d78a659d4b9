//! Nothing that a user typed gets out of a control connection but verbs and announced
//! endpoints: not into a log, a command's output, a metric or a file.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    agent::{Agent, PINS},
    announcement::Announcement,
    duet::{Duet, Manner},
    lab::{FILES, Lab},
    listener::Listener,
    scenario::agent_scenario,
    setup::Setup,
};

/// What must not be seen again. Each is looked for without regard to case.
const SECRETS: [&str; 6] = [
    "gwendolyn",
    "Tr0ub4dor",
    "salaries",
    "blueprint",
    "budget.ods",
    "landlord",
];

/// Where commands that look at a running agent find it.
const RUN: &str = "/run/ftp-helper";

/// A user's session: secrets in the arguments of commands and in the texts of replies,
/// also in lines that are refused, cut, or too long, and so give reason for a message.
fn confide(lab: &Lab, duet: &mut Duet) -> Result<()> {
    duet.server_says("220 landlord's server\r\n")?;
    duet.client_says("USER gwendolyn\r\n")?;
    duet.server_says("331 password for gwendolyn\r\n")?;
    for piece in ["PASS Tr0u", "b4dor&3\r\n"] {
        duet.client_says(piece)?;
    }
    duet.server_says("230-welcome gwendolyn\r\n227 salaries (1,2,3,4,5,6)\r\n230 go on\r\n")?;
    for line in [
        "CWD /home/gwendolyn/salaries",
        "MKD blueprint",
        "PORT blueprint",
        "PORT 10,0,0,2,200,Tr0ub4dor",
        "EPRT |1|blueprint|salaries|",
        "PORT 10,0,0,99,200,1",
        "SITE EXEC salaries PORT 10,0,0,2,200,1",
        "salaries blueprint",
    ] {
        duet.client_says(&format!("{line}\r\n"))?;
        duet.server_says(&format!("550 {line}: no such blueprint\r\n"))?;
    }
    duet.client_says(&format!("SITE {}salaries\r\n", "x".repeat(3000)))?;
    duet.server_says("500 salaries\r\n")?;

    let listener = duet.client.listen()?;
    let at = listener.local_addr()?;
    duet.client.write(&format!(
        "{}\r\n",
        Announcement::command(at.ip(), at.port(), false)
    ))?;
    let told: Announcement = duet.server.line()?.trim_end().parse()?;
    let told = told.endpoint().context("no address")?;
    ensure!(told.ip() == lab.setup.known_as(), "it is told {told}");
    duet.server_says("200 salaries follow\r\n")?;
    duet.client_says("RETR budget.ods\r\n")?;
    duet.active_data(told, &listener)?;
    duet.server_says("226 budget.ods sent\r\n")?;
    duet.client.write(&format!(
        "{}\r\n",
        Announcement::command(at.ip(), at.port(), false)
    ))?;
    duet.server.line()?;
    Ok(())
}

/// What every command that shows anything prints, in every form.
fn shown(lab: &Lab, agent: &Agent) -> Result<String> {
    let client = lab.setup.addresses.client.to_string();
    let mut text = String::new();
    let commands = [
        &["status"][..],
        &["session", "list"],
        &["expect", "list"],
        &["nat", "list"],
        &["port", "list"],
        &["stats"],
        &["explain", &client],
    ];
    for command in commands {
        for form in ["table", "wide", "json", "jsonl", "yaml"] {
            let output = agent.cli(&[command, &["-o", form]].concat())?;
            // Not each of them has each form.
            text += &output.stdout;
            text += &output.stderr;
        }
    }
    let sessions = agent.json(&["session", "list"])?;
    ensure!(sessions[0]["refused"].as_u64() > Some(0), "{sessions:#}");
    text += &lab
        .gateway
        .must("curl -sS http://127.0.0.1:21021/metrics")?;
    text += &agent.cli(&["doctor"])?.stdout;
    Ok(text)
}

/// An error that says where a secret is.
fn has_none(place: &str, text: &str) -> Result<()> {
    let lower = text.to_lowercase();
    for secret in SECRETS {
        let found = lower.find(&secret.to_lowercase());
        let line = found.and_then(|at| text.get(at.saturating_sub(80)..at + 40));
        ensure!(found.is_none(), "{secret:?} is in {place}: {line:?}");
    }
    Ok(())
}

#[test]
fn what_users_type_is_shown_nowhere() {
    agent_scenario(Setup::default(), |lab, agent| {
        let arguments = [
            "--log-level",
            "trace",
            "run",
            "-i",
            "wan0",
            "--metrics",
            "21021",
        ];
        let running = agent.start_with(&arguments)?;
        let mut table = Listener::start(lab, agent, "table", &[])?;
        let lines = Listener::start(lab, agent, "json", &["-o", "json"])?;
        let mut duet = Duet::connect(lab, Manner::default())?;
        confide(lab, &mut duet)?;

        table.wait_for("third_party")?;
        running.says("third_party")?;
        // The programs log each segment at this level: what is looked through is the
        // most that there is.
        running.says("segment: egress")?;
        let log = running.log()?;
        has_none("the log", &log)?;
        has_none("`watch`", &table.text()?)?;
        has_none("`watch -o json`", &lines.text()?)?;
        has_none("a command's output", &shown(lab, agent)?)?;
        // The same search finds what is there.
        ensure!(has_none("this very text", "a Blueprint of it").is_err());
        Ok(())
    });
}

/// Everything below `path`, itself included.
fn tree(path: &Path, found: &mut Vec<(String, fs::Metadata)>) -> Result<()> {
    let metadata = fs::symlink_metadata(path).with_context(|| path.display().to_string())?;
    let is_directory = metadata.is_dir();
    found.push((path.display().to_string(), metadata));
    if is_directory {
        for entry in fs::read_dir(path)? {
            tree(&entry?.path(), found)?;
        }
    }
    Ok(())
}

/// Maps have addresses in them, programs and links are the way to change what happens.
#[test]
fn nobody_else_may_open_what_is_pinned_or_listened_on() {
    agent_scenario(Setup::default(), |_, agent| {
        let group = "users";
        for (with_group, most) in [(false, 0o600), (true, 0o660)] {
            let arguments: &[&str] = if with_group {
                &["run", "-i", "wan0", "--group", group]
            } else {
                &["run", "-i", "wan0"]
            };
            let _running = agent.start_with(arguments)?;
            let mut pins = Vec::new();
            tree(Path::new(PINS), &mut pins)?;
            ensure!(pins.len() > 10, "only {} pins", pins.len());
            for (path, metadata) in &pins {
                let mode = metadata.permissions().mode() & 0o777;
                let read = if with_group { 0o040 } else { 0 };
                let allowed = if metadata.is_dir() {
                    0o700 | if with_group { 0o050 } else { 0 }
                } else {
                    0o600 | read
                };
                ensure!(mode & !allowed == 0, "{path} has mode {mode:o}");
            }
            let mut sockets = Vec::new();
            tree(Path::new(RUN), &mut sockets)?;
            let is_socket = |it: &&(String, fs::Metadata)| it.1.file_type().is_socket();
            let (path, socket) = sockets
                .iter()
                .find(is_socket)
                .with_context(|| format!("no socket in {RUN} of {FILES}"))?;
            let mode = socket.permissions().mode() & 0o777;
            ensure!(mode == most, "{path} has mode {mode:o}");
        }
        Ok(())
    });
}
