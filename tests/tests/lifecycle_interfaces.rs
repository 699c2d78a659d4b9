//! Interfaces that come, go, and come back.

use std::{collections::BTreeSet, fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use ftp_helper::{
    datapath::chain::{is_own_name, tcx},
    device::Device,
};
use ftp_helper_common::session::Direction;
use ftp_helper_tests::{
    agent::{Agent, PINS},
    check::is_helped,
    host::Host,
    lab::Lab,
    process,
    scenario::{agent_scenario, skip},
    server::{Server, ServerKind},
    setup::Setup,
    wait::wait_for,
};
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(20);
const METRICS: [&str; 2] = ["--metrics", "21021"];

/// Interfaces with control ports, as the table has them: a device that is gone
/// shows by its index.
fn helped(agent: &Agent) -> Result<BTreeSet<String>> {
    let ports = agent.json(&["port", "list"])?;
    let rows = ports.as_array().context("no rows")?;
    let names = rows.iter().filter_map(|row| row["interface"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// Waits until exactly these are helped, have attachments, and settings.
fn are_helped(agent: &Agent, names: &[&str]) -> Result<()> {
    let expected: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    wait_for(&format!("help on {names:?}"), LIMIT, || {
        Ok((helped(agent)? == expected && attached()? == expected).then_some(()))
    })
    .with_context(|| format!("helped: {:?}, attached: {:?}", helped(agent), attached()))
}

/// Devices with attachments in both directions, by the names of the pins; a `?`
/// for one without.
fn attached() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut number = 0;
    for entry in fs::read_dir(PINS)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let rest = name.strip_prefix("link_").or(name.strip_prefix("filter_"));
        if let Some(rest) = rest {
            let device = rest.split('_').next().context("a pin without a device")?;
            names.insert(device.to_owned());
            number += 1;
        }
    }
    if number != 2 * names.len() {
        names.insert("?".to_owned());
    }
    Ok(names)
}

/// The answer to a question whether the agent is ready.
fn readiness(lab: &Lab) -> Result<String> {
    lab.gateway.must("curl -sS http://127.0.0.1:21021/readyz")
}

#[test]
fn globs_mean_what_is_there() {
    agent_scenario(Setup::default(), |lab, agent| {
        let gateway = &lab.gateway;
        gateway.must("ip link add dmz0 type bridge")?;
        let arguments = ["run", "-i", "wan0", "-i", "dmz*", "-i", "!dmz9"];
        let mut running = agent.start_with(&[&arguments[..], &METRICS].concat())?;
        ensure!(running.log()?.contains("ready: helping FTP on wan0, dmz0"));
        are_helped(agent, &["wan0", "dmz0"])?;
        for device in ["dmz9", "other0", "dmz1"] {
            gateway.must(&format!("ip link add {device} type bridge"))?;
        }
        are_helped(agent, &["wan0", "dmz0", "dmz1"])?;
        gateway.must("ip link del dmz0")?;
        are_helped(agent, &["wan0", "dmz1"])?;
        running.says("interface dmz0 is gone")?;
        // Back, as another device.
        gateway.must("ip link add dmz0 type bridge")?;
        are_helped(agent, &["wan0", "dmz0", "dmz1"])?;
        gateway.must("ip link set dmz1 name dmz2")?;
        are_helped(agent, &["wan0", "dmz0", "dmz2"])?;
        gateway.must("ip link set dmz2 name other1")?;
        are_helped(agent, &["wan0", "dmz0"])?;
        wait_for("ready with dmz0", LIMIT, || {
            let ready = readiness(lab)?;
            Ok((ready.starts_with("ready\n") && ready.contains("dmz0")).then_some(()))
        })?;

        // Gone while nobody looked.
        running.stop(Signal::SIGKILL)?;
        gateway.must("ip link del dmz0")?;
        let _running = agent.start_with(&arguments)?;
        are_helped(agent, &["wan0"])
    });
}

/// What somebody has changed on one interface is not undone because another one comes or
/// goes.
#[test]
fn what_was_changed_by_hand_outlasts_other_interfaces() {
    agent_scenario(Setup::default(), |lab, agent| {
        let _running = agent.start_with(&["run", "-i", "wan0", "-i", "dmz*"])?;
        agent.table(&["nat", "add", "wan0", "198.51.100.9"])?;
        agent.table(&["port", "add", "-i", "wan0", "2121"])?;
        agent.table(&["port", "del", "-i", "wan0", "21"])?;
        let is_as_it_was = || -> Result<()> {
            let mappings = agent.json(&["nat", "list"])?;
            let rows = mappings.as_array().context("no rows")?;
            let own = rows.iter().find(|row| row["interface"] == "wan0");
            let address = &own.context("no wan0")?["advertised"]["address"];
            ensure!(address == "198.51.100.9", "{mappings:#}");
            let ports = agent.json(&["port", "list"])?;
            let rows = ports.as_array().context("no rows")?;
            let open: Vec<_> = rows
                .iter()
                .filter(|row| row["interface"] == "wan0" && row["state"] != "draining")
                .filter_map(|row| row["port"].as_u64())
                .collect();
            ensure!(open == [2121], "{ports:#}");
            Ok(())
        };
        is_as_it_was()?;
        lab.gateway.must("ip link add dmz0 type bridge")?;
        are_helped(agent, &["wan0", "dmz0"])?;
        is_as_it_was()?;
        lab.gateway.must("ip link del dmz0")?;
        are_helped(agent, &["wan0"])?;
        is_as_it_was()
    });
}

/// One that is there and can not be helped is told of once, and tried again.
#[test]
fn an_interface_that_can_not_be_helped_yet() {
    const FAULT: &str = "can not help dmz0 now";
    const THERE: &str = "interface dmz0 is there";
    agent_scenario(Setup::default(), |lab, agent| {
        let arguments = ["run", "-i", "wan0", "-i", "dmz0", "--attach", "clsact"];
        let running = agent.start_with(&arguments)?;
        for line in [
            "ip link add other0 type bridge",
            // It has the place of clsact, and no way out.
            "tc qdisc add dev other0 ingress",
            "ip link set other0 name dmz0",
        ] {
            lab.gateway.must(line)?;
        }
        running.says(FAULT)?;
        // Longer than until the next try.
        thread::sleep(Duration::from_secs(12));
        let log = running.log()?;
        ensure!(log.matches(FAULT).count() == 1, "{log}");
        ensure!(!log.contains(THERE), "{log}");
        are_helped(agent, &["wan0"])?;
        lab.gateway.must("tc qdisc del dev dmz0 ingress")?;
        are_helped(agent, &["wan0", "dmz0"])?;
        running.says(THERE)
    });
}

/// Whether this kernel attaches programs in this way.
fn has(technique: &str) -> bool {
    let lo = Device::find("lo").unwrap();
    let has = technique != "tcx" || tcx(&lo, Direction::Ingress).unwrap().is_some();
    if !has {
        skip("the kernel has no TCX");
    }
    has
}

fn waits_for_a_name(technique: &str) {
    if !has(technique) {
        return;
    }
    agent_scenario(Setup::default(), |lab, agent| {
        let gateway = &lab.gateway;
        for line in ["down", "name old0"] {
            gateway.must(&format!("ip link set wan0 {line}"))?;
        }
        let arguments = ["run", "-i", "wan0", "--attach", technique];
        let running = agent.start_with(&[&arguments[..], &METRICS].concat())?;
        let log = running.log()?;
        ensure!(log.contains("no interface yet; waiting for wan0"), "{log}");
        ensure!(log.contains("there is no interface wan0 now"), "{log}");
        are_helped(agent, &[])?;
        let ready = readiness(lab)?;
        ensure!(
            ready.starts_with("not ready\nwan0 ingress: there is no such"),
            "{ready}"
        );

        gateway.must("ip link set old0 name wan0")?;
        gateway.must("ip link set wan0 up")?;
        are_helped(agent, &["wan0"])?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        ensure!(is_helped(lab, &server)?, "not helped");
        ensure!(readiness(lab)?.starts_with("ready\n"));

        // A name is a name: under another one it is not the interface that is meant.
        gateway.must("ip link set wan0 down")?;
        gateway.must("ip link set wan0 name old0")?;
        are_helped(agent, &[])?;
        ensure!(readiness(lab)?.starts_with("not ready\n"));
        has_no_program(gateway, "old0")?;
        gateway.must("ip link set old0 name wan0")?;
        gateway.must("ip link set wan0 up")?;
        are_helped(agent, &["wan0"])?;
        ensure!(is_helped(lab, &server)?, "not helped any more");
        Ok(())
    });
}

#[test]
fn an_interface_that_comes_later() {
    waits_for_a_name("tcx");
}

#[test]
fn an_interface_that_comes_later_with_clsact() {
    waits_for_a_name("clsact");
}

/// No program of ours is on a device of this host.
fn has_no_program(host: &Host, device: &str) -> Result<()> {
    host.enter(|| {
        let device = Device::find(device)?;
        for direction in [Direction::Ingress, Direction::Egress] {
            let programs = tcx(&device, direction)?.unwrap_or_default();
            ensure!(
                programs.iter().all(|program| !is_own_name(&program.name)),
                "{programs:?} on {device:?}"
            );
        }
        Ok(())
    })?;
    let filters = host.must(&format!("tc filter show dev {device} egress"))?;
    ensure!(!filters.contains("ftp_helper"), "{filters}");
    Ok(())
}

/// An interface that is given to a container and comes back, with the same index.
fn moves_away_and_back(technique: &str) {
    if !has(technique) {
        return;
    }
    let setup = Setup {
        spares: 1,
        ..Setup::default()
    };
    agent_scenario(setup, |lab, agent| {
        let arguments = ["run", "-i", "wan0", "--attach", technique];
        let running = agent.start_with(&[&arguments[..], &METRICS].concat())?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        ensure!(is_helped(lab, &server)?, "not helped");
        let (spare, pid) = lab.spare(0).context("a spare host")?;
        lab.gateway.must(&format!("ip link set wan0 netns {pid}"))?;
        are_helped(agent, &[])?;
        running.says("interface wan0 is gone")?;
        ensure!(readiness(lab)?.starts_with("not ready\n"));
        // Ours must not work where nobody asked for it.
        has_no_program(spare, "wan0")?;

        let home = lab.gateway_pid();
        spare.must(&format!("ip link set wan0 netns {home}"))?;
        let address = lab.setup.addresses.wan;
        lab.gateway
            .must(&format!("ip address add {address}/24 dev wan0"))?;
        lab.gateway.must("ip link set wan0 up")?;
        are_helped(agent, &["wan0"])?;
        ensure!(is_helped(lab, &server)?, "not helped any more");
        Ok(())
    });
}

#[test]
fn an_interface_in_another_namespace() {
    moves_away_and_back("tcx");
}

#[test]
fn an_interface_in_another_namespace_with_clsact() {
    moves_away_and_back("clsact");
}

/// Away and back before anybody looked.
#[test]
fn an_interface_that_was_away_for_a_moment() {
    let setup = Setup {
        spares: 1,
        ..Setup::default()
    };
    agent_scenario(setup, |lab, agent| {
        let running = agent.start_with(&["run", "-i", "wan0", "--attach", "clsact"])?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        running.signal(Signal::SIGSTOP)?;
        let (spare, pid) = lab.spare(0).context("a spare host")?;
        let index = || lab.gateway.must("cat /sys/class/net/wan0/ifindex");
        let before = index()?;
        lab.gateway.must(&format!("ip link set wan0 netns {pid}"))?;
        spare.must(&format!("ip link set wan0 netns {}", lab.gateway_pid()))?;
        let address = lab.setup.addresses.wan;
        lab.gateway
            .must(&format!("ip address add {address}/24 dev wan0"))?;
        lab.gateway.must("ip link set wan0 up")?;
        ensure!(
            index()? == before,
            "it has another index now, which shows nothing"
        );
        ensure!(!is_helped(lab, &server)?, "its filters did not go");
        running.signal(Signal::SIGCONT)?;
        wait_for("help again", LIMIT, || {
            Ok(is_helped(lab, &server)?.then_some(()))
        })
    });
}

/// More changes than the kernel keeps for one that does not listen.
#[test]
fn changes_that_nobody_could_keep_up_with() {
    agent_scenario(Setup::default(), |lab, agent| {
        let arguments = ["--log-level", "debug", "run", "-i", "wan0", "-i", "dmz*"];
        lab.gateway.must("ip link add dmz0 type bridge")?;
        let running = agent.start_with(&arguments)?;
        are_helped(agent, &["wan0", "dmz0"])?;
        running.signal(Signal::SIGSTOP)?;
        let batch = lab.logs().join("batch");
        fs::write(&batch, "link add x0 type bridge\nlink del x0\n".repeat(400))?;
        let mut command = lab.gateway.command("ip");
        process::run(command.arg("-batch").arg(&batch), Duration::from_secs(300))?
            .success("ip -batch")?;
        lab.gateway.must("ip link del dmz0")?;
        lab.gateway.must("ip link add dmz1 type bridge")?;
        running.signal(Signal::SIGCONT)?;
        are_helped(agent, &["wan0", "dmz1"])?;
        // The look around at a tick may come before the socket is read.
        running.says("more changes of interfaces than")
    });
}
