//! `expect list --compat conntrack` beside conntrack(8) and the kernel's own
//! helper: the same lines, word for word.

use anyhow::{Result, ensure};
use ftp_helper_tests::{
    control::Control,
    lab::Lab,
    process::Output,
    scenario::{helped_scenario, scenario},
    server::{Server, ServerKind},
    setup::{Helper, Inside, Setup},
    transcript::redacted,
};

/// What `list` says while a client in active mode waits on port 20000, without
/// what differs from run to run.
fn awaiting(lab: &Lab, list: impl FnOnce() -> Result<Output>) -> Result<(String, String)> {
    let server = Server::start(lab, ServerKind::Vsftpd)?;
    let mut control = Control::login(&lab.client, server.endpoint())?;
    let listener = control.listen_on(20000)?;
    control
        .command(&listener.announcement.to_string())?
        .expect_code(200)?;
    let output = list()?;
    ensure!(output.status.success(), "{output:?}");
    let port = control.local()?.port();
    let lines = redacted(&output.stdout).replace(&format!("={port} "), "=CONTROL ");
    Ok((lines, output.stderr))
}

/// Behind the word that names the program.
fn summary(stderr: &str) -> &str {
    stderr.split_once("): ").map_or(stderr, |(_, rest)| rest)
}

#[test]
fn the_lines_are_those_of_conntrack() {
    let setup = Setup {
        inside: Inside::Client,
        ..Setup::default()
    };
    let kernels = Setup {
        helper: Helper::Kernel,
        ..setup
    };
    let mut theirs = (String::new(), String::new());
    scenario(kernels, |lab| {
        theirs = awaiting(lab, || lab.gateway.run("conntrack", ["-L", "expect"]))?;
        Ok(())
    });
    let mut ours = (String::new(), String::new());
    helped_scenario(setup, |lab, agent, _| {
        ours = awaiting(lab, || {
            agent.cli(&["expect", "list", "--compat", "conntrack"])
        })?;
        Ok(())
    });
    assert!(theirs.0.starts_with("TIME proto=6 src="), "{theirs:?}");
    assert_eq!(ours.0, theirs.0);
    assert_eq!(summary(&ours.1), summary(&theirs.1));
    assert_eq!(summary(&ours.1), "1 expectations have been shown.\n");
}
