//! What the commands say about a session with an open expectation, word for word.
//!
//! `INSTA_UPDATE=always` writes what they say now.

use anyhow::Result;
use ftp_helper_tests::{
    agent::Agent,
    control::{Control, DataListener},
    lab::Lab,
    scenario::{agent_scenario, helped_scenario},
    server::{Server, ServerKind},
    setup::Setup,
    transcript::Transcript,
};
use nix::sys::signal::Signal;

/// A client that has announced a port of its choice and goes no further.
struct Waiting {
    server: Server,
    control: Control,
    _listener: DataListener,
}

/// None that the kernel chooses by itself.
const ANNOUNCED: u16 = 20000;

impl Waiting {
    fn new(lab: &Lab) -> Result<Self> {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let listener = control.listen_on(ANNOUNCED)?;
        control
            .command(&listener.announcement.to_string())?
            .expect_code(200)?;
        Ok(Self {
            server,
            control,
            _listener: listener,
        })
    }

    /// The port that the kernel chose for the control connection goes by a name.
    fn transcript(&self) -> Result<Transcript> {
        let mut transcript = Transcript::default();
        let port = self.control.local()?.port();
        transcript.call(format!(":{port}"), ":CONTROL");
        transcript.call(format!("={port} "), "=CONTROL ");
        Ok(transcript)
    }
}

/// The transcript of what `commands` say while a data connection is awaited.
fn waiting(commands: &[&[&str]]) -> String {
    let mut text = String::new();
    helped_scenario(Setup::default(), |lab, agent, running| {
        let waiting = Waiting::new(lab)?;
        let said = say(agent, &waiting, commands)?;
        // The agent has no part in it.
        running.stop(Signal::SIGKILL)?;
        assert_eq!(said, say(agent, &waiting, commands)?);
        // Who logged in with what is nobody's business.
        for secret in ["anonymous", "lab@example.net"] {
            assert!(!said.contains(secret), "{said}");
        }
        text = said;
        drop(waiting.server);
        Ok(())
    });
    text
}

fn say(agent: &Agent, waiting: &Waiting, commands: &[&[&str]]) -> Result<String> {
    let mut transcript = waiting.transcript()?;
    let local = waiting.control.local()?.to_string();
    for command in commands {
        let command: Vec<&str> = command
            .iter()
            .map(|word| if *word == "CLIENT" { &local } else { *word })
            .collect();
        transcript.run(agent, &command)?;
    }
    Ok(transcript.finish())
}

#[test]
fn sessions() {
    let said = waiting(&[
        &["session", "list"],
        &["session", "list", "-o", "wide"],
        &["session", "list", "-o", "json"],
        &["session", "list", "-o", "jsonl"],
        &["session", "list", "-o", "yaml"],
        &["session", "list", "--count"],
        &["session", "list", "--count", "-o", "json"],
        &["session", "show", "CLIENT"],
        &["session", "show", "203.0.113.2:21", "-o", "json"],
        &[
            "session",
            "list",
            "--src",
            "10.0.0.0/24",
            "--dst",
            "203.0.113.2",
            "--count",
        ],
        &["session", "list", "--src", "203.0.113.2", "--count"],
        &[
            "session", "list", "--port", "21", "--mode", "port", "--count",
        ],
        &["session", "list", "--mode", "EPSV", "--count"],
        &["session", "list", "--state", "logged_in,greeted", "--count"],
        &["session", "list", "--state", "closed", "--count"],
        &["session", "list", "--iface", "w*", "--count"],
        &["session", "list", "--iface", "lan0", "--count"],
        &["session", "show", "203.0.113.2:22"],
        &["session", "list", "--src", "10.0.0.1/24"],
        &["session", "list", "--state", "tired"],
    ]);
    insta::assert_snapshot!(said);
}

#[test]
fn expectations() {
    let said = waiting(&[
        &["expect", "list"],
        &["expect", "list", "-o", "wide"],
        &["expect", "list", "-o", "json"],
        &["expect", "list", "-o", "jsonl"],
        &["expect", "list", "-o", "yaml"],
        &["expect", "list", "--compat", "conntrack"],
        &["expect", "show", "203.0.113.1:20000"],
        &[
            "expect",
            "show",
            "10.0.0.2:20000",
            "203.0.113.2",
            "-o",
            "yaml",
        ],
        &["expect", "list", "--count"],
        &[
            "expect",
            "list",
            "--src",
            "203.0.113.2",
            "--port",
            "20000",
            "--count",
        ],
        &[
            "expect", "list", "--dst", "10.0.0.2", "--mode", "PORT", "--count",
        ],
        &["expect", "list", "--mode", "pasv", "--count"],
        &[
            "expect", "list", "--state", "waiting", "--iface", "wan?", "--count",
        ],
        &["expect", "list", "--state", "unapproved,expired", "--count"],
        &["expect", "show", "203.0.113.1:20001"],
        &["expect", "delete", "203.0.113.1:20001"],
    ]);
    insta::assert_snapshot!(said);
}

#[test]
fn mappings_and_ports() {
    let said = waiting(&[
        &["nat", "list"],
        &["nat", "list", "-o", "wide"],
        &["nat", "list", "-o", "json"],
        &["port", "list"],
        &["port", "list", "-o", "yaml"],
        &["nat", "del", "wan0"],
        &["nat", "add", "wan0", "127.0.0.1"],
        &["nat", "add", "lan0", "198.51.100.9"],
        &["nat", "add", "wan9", "198.51.100.9"],
        &["port", "del", "2121"],
    ]);
    insta::assert_snapshot!(said);
}

#[test]
fn nothing_is_loaded() {
    let mut text = String::new();
    agent_scenario(Setup::default(), |_, agent| {
        let mut transcript = Transcript::default();
        for command in [
            &["status"][..],
            &["status", "-o", "json"],
            &["session", "list"],
            &["session", "show", "10.0.0.2:20000"],
            &["expect", "list", "--compat", "conntrack"],
            &["expect", "flush"],
            &[
                "expect",
                "add",
                "--src",
                "10.0.0.3",
                "--dst",
                "10.0.0.2:20000",
            ],
            &["nat", "list"],
            &["nat", "add", "wan0", "198.51.100.9"],
            &["port", "list"],
            &["stats"],
            &["stats", "--interval", "2"],
            &["expect"],
        ] {
            transcript.run(agent, command)?;
        }
        text = transcript.finish();
        Ok(())
    });
    insta::assert_snapshot!(text);
}
