//! What the lab prints.

use anyhow::Result;
use ftp_helper_tests::{
    agent::{Agent, RunningAgent},
    check::Rewrite,
    host::Host,
    lab::Lab,
    server::{DOWNLOADS, Server},
};

/// Width of the words in front of quoted lines.
const WIDTH: usize = 16;

/// Lines of the agent's log that are shown when a step failed.
const LOG: usize = 20;

/// The verdicts on the steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    verdicts: Vec<(&'static str, bool)>,
}

impl Report {
    /// A heading, what `work` prints, and its verdict. What it returns, if all
    /// went well.
    pub(crate) fn step<T>(
        &mut self,
        title: &'static str,
        work: impl FnOnce() -> Result<T>,
    ) -> Option<T> {
        println!("{title}");
        let outcome = work();
        if let Err(error) = &outcome {
            note(&format!("{error:#}"));
        }
        println!("    {}\n", verdict(outcome.is_ok()));
        self.verdicts.push((title, outcome.is_ok()));
        outcome.ok()
    }

    /// One line per step; true when every step did what it should.
    pub(crate) fn summary(&self) -> bool {
        println!("Summary");
        for (title, good) in &self.verdicts {
            println!("    {}  {title}", verdict(*good));
        }
        self.verdicts.iter().all(|(_, good)| *good)
    }
}

/// What the lab looks like.
pub(crate) fn network(lab: &Lab, server: &Server) {
    let addresses = lab.setup.addresses;
    println!("A private network:\n");
    println!(
        "    client {} --- {} [gateway] {} --- server {}",
        addresses.client, addresses.lan, addresses.wan, addresses.server
    );
    println!("    gateway: masquerade on wan0; forward policy drop, accepted is only what");
    println!("             starts inside, and \"ct state established,related\"");
    println!("    server:  {}, anonymous\n", server.kind.name());
}

/// Text that belongs to a step.
pub(crate) fn note(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}

/// A line with what somebody said.
pub(crate) fn quote(who: &str, line: &str) {
    println!("    {who:WIDTH$} {line}");
}

/// What became of each announcement.
pub(crate) fn rewrites(names: &[&str], rewrites: &[Rewrite]) {
    for (name, Rewrite { sent, received }) in names.iter().zip(rewrites) {
        println!("    {name}");
        println!("      {:WIDTH$} {sent}", "client sent");
        println!("      {:WIDTH$} {received}", "server received");
    }
}

/// What a command printed.
pub(crate) fn command(line: &str, output: &str) {
    println!("    $ {line}");
    note(output);
}

/// The end of the agent's log, for a step that failed.
pub(crate) fn log_of(running: &RunningAgent) -> Result<()> {
    let log = running.log()?;
    let lines: Vec<_> = log.lines().collect();
    println!("Log of ftp-helper, last lines");
    note(&lines[lines.len().saturating_sub(LOG)..].join("\n"));
    println!();
    Ok(())
}

fn verdict(good: bool) -> &'static str {
    if good { "PASS" } else { "FAIL" }
}

/// For a lab that is left up.
pub(crate) fn how_to_enter(lab: &Lab, agent: &Agent, server: &Server) {
    let enter = |host: &Host| format!("nsenter -t {} -n -m -p", host.holder());
    let agent = agent.program().display();
    let address = server.endpoint().ip();
    println!("\nThe lab is up. A shell on each host:");
    for host in lab.hosts() {
        println!("    {:WIDTH$} {}", host.name(), enter(host));
    }
    println!("Try:");
    let client = enter(&lab.client);
    println!("    {client} curl -v -P - --disable-eprt ftp://{address}/{DOWNLOADS}/");
    println!("    {} {agent} session list", enter(&lab.gateway));
    println!(
        "    {} tail -f {}/ftp-helper.log",
        enter(&lab.gateway),
        lab.logs().display()
    );
    println!("Remove it:");
    println!("    kill -9 {}", lab.init());
}
