//! The agent works with three capabilities, and keeps no more than those.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    agent::Agent,
    check::is_helped,
    process::run,
    scenario::agent_scenario,
    server::{Server, ServerKind},
    setup::Setup,
    wait::wait_for,
};

/// CAP_NET_ADMIN, CAP_PERFMON and CAP_BPF, by their numbers.
const THREE: [u32; 3] = [12, 38, 39];

/// CAP_SYS_ADMIN
const SYS_ADMIN: u32 = 21;

const LIMIT: Duration = Duration::from_secs(20);

fn mask(numbers: &[u32]) -> u64 {
    numbers.iter().fold(0, |mask, number| mask | 1 << number)
}

/// The words for `setpriv` that leave these capabilities, whoever starts it.
fn only(numbers: &[u32]) -> Vec<String> {
    let names: Vec<String> = numbers
        .iter()
        .map(|number| format!("+cap_{number}"))
        .collect();
    let list = format!("-all,{}", names.join(","));
    ["--inh-caps", &list, "--bounding-set", &list]
        .map(str::to_owned)
        .to_vec()
}

/// A line of the `status` of every thread of the agent, as a number.
fn of_threads(agent: &Agent, field: &str) -> Result<Vec<u64>> {
    let mut values = Vec::new();
    for process in fs::read_dir("/proc")? {
        let path = process?.path();
        if !fs::read_link(path.join("exe")).is_ok_and(|exe| exe == agent.program()) {
            continue;
        }
        for thread in fs::read_dir(path.join("task"))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(field)?.strip_prefix(":\t"))
                .with_context(|| format!("no {field} in {status}"))?;
            values.push(u64::from_str_radix(line, 16)?);
        }
    }
    ensure!(!values.is_empty(), "no agent runs");
    Ok(values)
}

fn every_thread_has(agent: &Agent, field: &str, expected: u64) -> Result<()> {
    let values = of_threads(agent, field)?;
    ensure!(
        values.iter().all(|value| *value == expected),
        "{field} is {values:x?}, not {expected:x}"
    );
    Ok(())
}

#[test]
fn what_is_not_needed_any_more_is_given_up() {
    agent_scenario(Setup::default(), |lab, agent| {
        let path = lab.logs().join("ftp-helper.toml");
        let name = path.to_string_lossy().into_owned();
        fs::write(&path, "interface = ['wan0', 'dmz*']\nmetrics = '21021'\n")?;
        let running = agent.start_with(&["run", "--config", &name])?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        // Requests are answered on threads of their own.
        let ready = lab.gateway.must("curl -sS http://127.0.0.1:21021/readyz")?;
        ensure!(ready.starts_with("ready"), "{ready}");
        for field in ["CapPrm", "CapEff", "CapBnd"] {
            every_thread_has(agent, field, mask(&THREE))?;
        }
        for field in ["CapInh", "CapAmb"] {
            every_thread_has(agent, field, 0)?;
        }
        every_thread_has(agent, "NoNewPrivs", 1)?;

        // Enough for everything that comes later.
        lab.gateway.must("ip link add dmz0 type bridge")?;
        wait_for("help on dmz0", LIMIT, || {
            let ports = agent.table(&["port", "list"])?;
            Ok(ports.contains("dmz0").then_some(()))
        })?;
        fs::write(
            &path,
            "interface = ['wan0', 'lan0']\ncontrol-port = [21, 2121]\n",
        )?;
        running.reload("helping FTP on wan0, lan0")?;
        ensure!(is_helped(lab, &server)?, "not helped");
        Ok(())
    });
}

#[test]
fn three_capabilities_are_enough() {
    agent_scenario(Setup::default(), |lab, agent| {
        // The functions of a module can be called only by who may do more.
        let more = Path::new("/sys/kernel/btf/nf_conntrack").exists();
        let numbers = [&THREE[..], if more { &[SYS_ADMIN] } else { &[] }].concat();
        let words = only(&numbers);
        let running = agent.start_through("setpriv", &words, &["run", "-i", "wan0"])?;
        every_thread_has(agent, "CapPrm", mask(&THREE))?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        ensure!(is_helped(lab, &server)?, "not helped");
        // The next one takes over what this one has made.
        drop(running);
        let _running = agent.start_through("setpriv", &words, &["run", "-i", "wan0"])?;
        ensure!(is_helped(lab, &server)?, "not helped by the next one");
        Ok(())
    });
}

#[test]
fn a_missing_one_is_named() {
    agent_scenario(Setup::default(), |lab, agent| {
        for (missing, name) in THREE
            .iter()
            .zip(["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"])
        {
            let rest: Vec<u32> = THREE.into_iter().filter(|it| it != missing).collect();
            let mut command = lab.gateway.command("setpriv");
            command.args(only(&rest)).arg(agent.program());
            command.args(["run", "-i", "wan0"]);
            let output = run(&mut command, LIMIT)?;
            ensure!(output.status.code() == Some(1), "{output:?}");
            let expected = format!("missing {name}: run as root");
            ensure!(output.stderr.contains(&expected), "{}", output.stderr);
        }
        Ok(())
    });
}
