//! Starts that are refused change nothing.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt as _, path::Path};

use anyhow::{Result, ensure};
use ftp_helper_common::SCHEMA_VERSION;
use ftp_helper_tests::{
    agent::{Agent, PINS},
    check::is_helped,
    duet::{Duet, Manner},
    lab::Lab,
    scenario::agent_scenario,
    server::{Server, ServerKind},
    setup::Setup,
};

/// Everything that is pinned, by name, and which object of the kernel's it is:
/// each has an inode of its own.
fn pins() -> Result<BTreeMap<String, u64>> {
    fs::read_dir(PINS)?
        .map(|entry| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((name, entry.metadata()?.ino()))
        })
        .collect()
}

/// The same, but of filters only the names: such a pin is that of a program, which may have
/// been replaced and put back.
fn pins_and_filters() -> Result<BTreeMap<String, u64>> {
    let pins = pins()?.into_iter();
    let pins = pins.map(|(name, inode)| {
        let is_filter = name.starts_with("filter_");
        (name, if is_filter { 0 } else { inode })
    });
    Ok(pins.collect())
}

/// A start with these arguments is refused with one line that says `reasons`, and
/// everything stays as it was.
fn is_refused(agent: &Agent, arguments: &[&str], reasons: &[&str]) -> Result<()> {
    is_refused_with(agent, arguments, reasons, pins)
}

/// The same; `pins` tells what stays.
fn is_refused_with(
    agent: &Agent,
    arguments: &[&str],
    reasons: &[&str],
    pins: impl Fn() -> Result<BTreeMap<String, u64>>,
) -> Result<()> {
    let before = pins()?;
    let output = agent.cli(arguments)?;
    ensure!(output.status.code() == Some(1), "{output:?}");
    let last = output.stderr.lines().last().unwrap_or_default();
    for reason in reasons {
        ensure!(last.contains(reason), "no {reason:?} in {last}");
    }
    ensure!(pins()? == before, "{before:?} became {:?}", pins()?);
    Ok(())
}

#[test]
fn a_second_agent_on_the_same_pins() {
    agent_scenario(Setup::default(), |lab, agent| {
        let running = agent.start()?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let arguments = ["run", "-i", "wan0", "--deny-ports", "1024-65535"];
        is_refused(agent, &arguments, &["another ftp-helper is at work", PINS])?;
        ensure!(is_helped(lab, &server)?, "not helped any more");
        // Another place is another matter.
        let other = Path::new("/sys/fs/bpf/other");
        let mut second =
            agent.start_with(&["--pin-dir", &other.to_string_lossy(), "run", "-i", "lan0"])?;
        second.stop(nix::sys::signal::Signal::SIGKILL)?;
        agent.table(&["--pin-dir", &other.to_string_lossy(), "detach"])?;
        // The lock goes with its holder, however that ends.
        drop(running);
        let _running = agent.start()?;
        ensure!(is_helped(lab, &server)?, "not helped by the next one");
        Ok(())
    });
}

/// A version of ftp-helper with other types of maps.
const OTHER: u32 = SCHEMA_VERSION - 1;

/// Makes what is pinned look like what such a version has left.
fn rename_maps() -> Result<()> {
    let place = Path::new(PINS);
    for (name, _) in pins()? {
        if let Some(base) = name.strip_suffix(&format!("_v{SCHEMA_VERSION}")) {
            fs::rename(place.join(&name), place.join(format!("{base}_v{OTHER}")))?;
        }
    }
    Ok(())
}

#[test]
fn maps_of_another_schema() {
    agent_scenario(Setup::default(), |lab, agent| {
        drop(agent.start()?);
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        rename_maps()?;
        let reasons = [
            &format!("schema version {OTHER}")[..],
            &format!("needs {SCHEMA_VERSION}"),
            "--on-other-version replace",
            "ftp-helper detach",
        ];
        is_refused(agent, &["run", "-i", "wan0"], &reasons)?;
        // The programs that are there know nothing of names, and go on.
        ensure!(is_helped(lab, &server)?, "not helped any more");
        // What the message says is the way out.
        agent.table(&["detach"])?;
        ensure!(!Path::new(PINS).exists(), "{:?}", pins()?);
        let _running = agent.start()?;
        ensure!(is_helped(lab, &server)?, "not helped by the next one");
        Ok(())
    });
}

/// An upgrade that the administrator wants without a hand of his own.
#[test]
fn maps_of_another_schema_that_are_to_be_replaced() {
    const REPLACE: [&str; 5] = ["run", "-i", "wan0", "--on-other-version", "replace"];

    agent_scenario(Setup::default(), |lab, agent| {
        drop(agent.start()?);
        let mut open = Duet::login(lab, Manner::default())?;
        rename_maps()?;
        let attachments = || -> Result<BTreeMap<String, u64>> {
            let mut pins = pins_and_filters()?;
            pins.retain(|name, _| !name.starts_with("map_"));
            Ok(pins)
        };
        let before = attachments()?;
        let running = agent.start_with(&REPLACE)?;
        let log = running.log()?;
        ensure!(log.contains(&format!("schema version {OTHER}")), "{log}");
        // The same attachments: at no time was there none.
        ensure!(attachments()? == before, "{before:?}, {:?}", pins()?);
        let old = format!("_v{OTHER}");
        ensure!(
            pins()?.keys().all(|name| !name.ends_with(&old)),
            "{:?}",
            pins()?
        );
        announce(lab, &mut Duet::login(lab, Manner::default())?, 102)?;
        // One that is older than the tables is taken on at its next line.
        open.client_says("NOOP\r\n")?;
        open.server_says("200 yes\r\n")?;
        announce(lab, &mut open, 100)?;
        // The next start has nothing to replace.
        drop(running);
        let running = agent.start_with(&REPLACE)?;
        let told = running.log()?.matches("schema version").count();
        ensure!(told == 1, "told {told} times");
        announce(lab, &mut open, 101)
    });
}

/// An announcement, as the client says it and as it has to arrive when it is
/// helped.
fn announce(lab: &Lab, duet: &mut Duet, port: usize) -> Result<()> {
    let addresses = &lab.setup.addresses;
    let [said, heard] = [addresses.client, addresses.wan].map(|address| {
        let octets = address.to_string().replace('.', ",");
        format!("PORT {octets},195,{port}\r\n")
    });
    duet.client.write(&said)?;
    duet.server.expect(&heard)?;
    duet.server_says("200 yes\r\n")
}

#[test]
fn tables_that_are_too_small_for_what_is_there() {
    agent_scenario(Setup::default(), |lab, agent| {
        drop(agent.start_with(&["run", "-i", "wan0", "--session-limit", "100"])?);
        let mut sessions = Vec::new();
        for number in 0..20 {
            let mut duet = Duet::login(lab, Manner::default())?;
            announce(lab, &mut duet, 100 + number)?;
            sessions.push(duet);
        }
        is_refused(
            agent,
            &["run", "-i", "wan0", "--session-limit", "19"],
            &["20 entries of SESSIONS", "--session-limit of at least 20"],
        )?;
        for (number, duet) in sessions.iter_mut().enumerate() {
            announce(lab, duet, 150 + number)?;
        }
        let running = agent.start_with(&["run", "-i", "wan0", "--session-limit", "20"])?;
        ensure!(running.log()?.contains("room for 20 sessions now"));
        for (number, duet) in sessions.iter_mut().enumerate() {
            announce(lab, duet, 200 + number)?;
        }
        Ok(())
    });
}

/// The programs of one interface work on the new tables already when those of
/// another one can not be replaced.
#[test]
fn a_move_to_other_tables_that_fails_in_the_middle() {
    agent_scenario(Setup::default(), |lab, agent| {
        drop(agent.start_with(&["run", "-i", "wan0", "--session-limit", "100"])?);
        let mut duet = Duet::login(lab, Manner::default())?;
        announce(lab, &mut duet, 100)?;
        // What should be the link of another interface is something else.
        let index = lab.gateway.must("cat /sys/class/net/lan0/ifindex")?;
        let place = Path::new(PINS);
        let wrong = place.join(format!("link_lan0_{}_ingress", index.trim()));
        fs::hard_link(place.join(format!("map_CLIENTS_v{SCHEMA_VERSION}")), &wrong)?;
        let arguments = ["run", "-i", "wan0", "-i", "lan0", "--session-limit", "500"];
        is_refused_with(
            agent,
            &arguments,
            &["can not attach to ingress of interface lan0"],
            pins_and_filters,
        )?;
        announce(lab, &mut duet, 101)?;
        fs::remove_file(wrong)?;
        // What came since is in the tables that the next start finds.
        let running = agent.start_with(&["run", "-i", "wan0", "--session-limit", "500"])?;
        ensure!(running.log()?.contains("room for 500 sessions now"));
        announce(lab, &mut duet, 102)?;
        ensure!(
            agent.count("session_picked_up")? == 0,
            "the session was lost"
        );
        Ok(())
    });
}
