//! `ftp-helper watch` and `ftp-helper reload`: the agent's socket.

use std::{
    fs,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    agent::Agent,
    control::Control,
    duet::{Duet, Manner},
    lab::Lab,
    listener::Listener,
    payload,
    process::run,
    scenario::{agent_scenario, helped_scenario},
    server::{DOWNLOADS, Server, ServerKind},
    setup::Setup,
    wait::wait_for,
};
use nix::sys::signal::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(20);

/// The socket that follows from the usual directories.
const SOCKET: &str = "/run/ftp-helper/sys-fs-bpf-ftp%2dhelper.sock";

/// `10,0,0,2` for `10.0.0.2`.
fn numbers(address: std::net::IpAddr) -> String {
    address.to_string().replace('.', ",")
}

#[test]
fn a_real_transfer_is_seen_from_its_beginning_to_its_end() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let addresses = lab.setup.addresses;
        let mut people = Listener::start(lab, agent, "people", &["--timestamp"])?;
        let mut programs = Listener::start(lab, agent, "programs", &["-o", "jsonl"])?;

        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let remote = format!("{DOWNLOADS}/file");
        let digest = payload::write(&server.file(&remote), 1000, 1)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let listener = control.listen()?;
        let data = control.begin(&listener, &remote)?;
        assert_eq!(payload::digest_of(&control.receive(data)?), digest);
        control.command("QUIT")?.expect_code(221)?;
        let local = control.local()?;
        drop(control);

        // What the server received is what is told.
        let received = server.announcements()?.pop().context("no PORT arrived")?;
        let outside = received.endpoint().context("PORT names an address")?;
        let inside = format!("{}:{}", addresses.client, listener.announcement.port);
        let session = format!(
            "session={}:{}<->{}:21",
            addresses.wan,
            local.port(),
            addresses.server
        );
        people.wait_for("CLOSE")?;
        let lines = people.lines()?;
        let words: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.split_whitespace().nth(1))
            .collect();
        assert_eq!(
            words,
            ["OPEN", "REWRITE", "NEW", "USED", "CLOSE"],
            "{lines:#?}"
        );
        for line in &lines {
            assert!(
                line.contains(&session) && line.ends_with("iface=wan0"),
                "{line}"
            );
            let time = line.split_whitespace().next().unwrap_or_default();
            assert!(time.starts_with("20") && time.ends_with('Z'), "{line}");
        }
        let rewrite = format!("PORT {inside} -> {outside} ");
        assert!(lines[1].contains(&rewrite), "no {rewrite} in {}", lines[1]);
        let used = format!("PORT {} -> {outside} to {inside} ", addresses.server);
        assert!(lines[3].contains(&used), "no {used} in {}", lines[3]);

        programs.wait_for("CLOSE")?;
        let events: Vec<Value> = programs
            .lines()?
            .iter()
            .map(|line| serde_json::from_str(line))
            .collect::<Result<_, _>>()?;
        assert_eq!(events.len(), 5, "{events:#?}");
        for event in &events {
            assert_eq!(event["schema_version"], 1);
            assert_eq!(event["kind"], "event");
            assert_eq!(event["session"]["inside"], local.to_string());
        }
        assert_eq!(events[1]["event"], "REWRITE");
        assert_eq!(events[1]["inside"], inside);
        assert_eq!(events[1]["outside"], outside.to_string());

        // Ctrl-C is how it is meant to end.
        people.signal(Signal::SIGINT)?;
        assert_eq!(people.wait()?.code(), Some(0));
        Ok(())
    });
}

#[test]
fn what_goes_wrong_is_seen_with_its_reason() {
    agent_scenario(Setup::default(), |lab, agent| {
        let running = agent.start_with(&["run", "-i", "wan0", "--expectation-timeout", "2"])?;
        let mut all = Listener::start(lab, agent, "all", &[])?;
        let mut some = Listener::start(lab, agent, "some", &["--event", "rejected,tls"])?;
        let mut none = Listener::start(lab, agent, "none", &["--src", "192.0.2.1"])?;
        let mut duet = Duet::login(lab, Manner::default())?;
        let addresses = lab.setup.addresses;
        let (said, heard) = (numbers(addresses.client), numbers(addresses.wan));

        duet.client_says(&format!("PORT {said},0,80\r\n"))?;
        duet.server_says("500 no\r\n")?;
        let line = all.wait_for("REJECTED(low_port)")?;
        assert!(
            line.contains(&format!("PORT {}:80 ", addresses.client)),
            "{line}"
        );

        // Nobody connects: the agent itself removes it.
        duet.client.write(&format!("PORT {said},195,80\r\n"))?;
        duet.server.expect(&format!("PORT {heard},195,80\r\n"))?;
        duet.server_says("200 yes\r\n")?;
        let line = all.wait_for("EXPIRED")?;
        let wanted = format!(
            "PORT {} -> {}:50000 to {}:50000 ",
            addresses.server, addresses.wan, addresses.client
        );
        assert!(line.contains(&wanted), "no {wanted} in {line}");

        // One that the server refuses, and one that takes its place.
        duet.client.write(&format!("PORT {said},195,81\r\n"))?;
        duet.server.expect(&format!("PORT {heard},195,81\r\n"))?;
        duet.server_says("501 no\r\n")?;
        all.wait_for("EVICTED(expectation_torn_down)")?;

        duet.client_says("AUTH TLS\r\n")?;
        duet.server_says("234 go ahead\r\n")?;
        all.wait_for("TLS ")?;
        some.wait_for("TLS ")?;
        let words: Vec<String> = some
            .lines()?
            .iter()
            .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
            .collect();
        assert_eq!(words, ["REJECTED(low_port)", "TLS"]);
        assert_eq!(none.lines()?, [""; 0]);

        // The end of the agent is told, and the last lines come before it.
        drop(running);
        for listener in [&mut all, &mut some, &mut none] {
            assert_eq!(listener.wait()?.code(), Some(4));
            assert!(listener.text()?.contains("the agent has ended"));
        }
        Ok(())
    });
}

#[test]
fn without_an_agent_there_is_nothing_to_watch() {
    agent_scenario(Setup::default(), |lab, agent| {
        for command in ["watch", "reload"] {
            let output = agent.cli(&[command])?;
            assert_eq!(output.status.code(), Some(4), "{}", output.stderr);
            assert!(
                output.stderr.contains("ftp-helper run -i IFACE"),
                "{}",
                output.stderr
            );
            assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        }
        // Or one waits for it, and for the one behind it.
        let log = lab.logs().join("follow.log");
        let mut command = agent.command(&["watch", "--follow"]);
        let mut follower = ftp_helper_tests::process::Daemon::start(&mut command, &log)?;
        wait_for("it waits", LIMIT, || {
            let log = follower.log()?;
            Ok(log.contains("waiting for the next one").then_some(()))
        })?;
        for number in 1..=2 {
            let mut running = agent.start()?;
            wait_for("the agent found", LIMIT, || {
                let found = follower.log()?.matches("the next agent is there").count();
                Ok((found == number).then_some(()))
            })?;
            Duet::login(lab, Manner::default())?;
            wait_for("its events", LIMIT, || {
                let found = follower.log()?.matches("OPEN ").count();
                Ok((found == number).then_some(()))
            })?;
            // Killed, it leaves its socket, which is no obstacle to the next one.
            running.stop(if number == 1 {
                Signal::SIGKILL
            } else {
                Signal::SIGTERM
            })?;
            assert_eq!(Path::new(SOCKET).exists(), number == 1);
        }
        follower.signal(Signal::SIGTERM)?;
        assert_eq!(follower.wait(LIMIT)?.code(), Some(0));
        Ok(())
    });
}

/// A client that asks to watch, and reads nothing behind the answer.
fn sleeper() -> Result<UnixStream> {
    const HELLO: &str = "{\"message\":\"hello\",\"version\":\"0.1.0\"}\n";
    let mut stream = UnixStream::connect(SOCKET).context("the agent's socket")?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"{\"request\":\"watch\"}\n")?;
    let mut hello = [0; HELLO.len()];
    stream
        .read_exact(&mut hello)
        .context("the agent's answer")?;
    ensure!(
        hello == HELLO.as_bytes(),
        "{}",
        String::from_utf8_lossy(&hello)
    );
    Ok(stream)
}

/// Memory of the running agent, in KiB.
fn memory(agent: &Agent) -> Result<u64> {
    let program = agent.program().to_string_lossy();
    for process in fs::read_dir("/proc")? {
        let path = process?.path();
        let Ok(line) = fs::read_to_string(path.join("cmdline")) else {
            continue;
        };
        if !line.starts_with(&format!("{program}\0run\0")) {
            continue;
        }
        let status = fs::read_to_string(path.join("status"))?;
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("a process without memory")?;
        let number = resident.trim().trim_end_matches(" kB");
        return number.parse().with_context(|| format!("VmRSS:{resident}"));
    }
    anyhow::bail!("no process of the agent")
}

#[test]
fn a_slow_reader_is_told_what_it_has_lost_and_holds_nobody_up() {
    helped_scenario(Setup::default(), |lab, agent, running| {
        let stream = sleeper()?;
        let mut duet = Duet::login(lab, Manner::default())?;
        let line = format!("PORT {},0,80\r\n", numbers(lab.setup.addresses.client));
        let before = memory(agent)?;
        let mut said = 0;
        for _ in 0..200 {
            // Refused lines go on untouched, and make an event each.
            let text = line.repeat(50);
            duet.client_says(&text)?;
            said += 50;
        }
        wait_for("all of it counted", LIMIT, || {
            Ok((agent.count("low_port")? == said).then_some(()))
        })?;
        // The agent goes on with its work, and has kept none of it.
        wait_for("all of it in the log", LIMIT, || {
            let logged = running.log()?.matches("low_port").count() as u64;
            let lost = agent.count("event_lost")?;
            Ok((logged + lost >= said).then_some(()))
        })?;
        let grown = memory(agent)?.saturating_sub(before);
        assert!(grown < 4096, "the agent grew by {grown} KiB");

        // What it reads at last: events, the gap, events.
        let (mut events, mut lost, mut in_ring) = (0, 0, 0);
        let mut lines = BufReader::new(stream).lines();
        // What was lost in the ring is told a little later.
        while events + lost + in_ring < said {
            let line = lines.next().context("the agent went away")?;
            let line = line.with_context(|| format!("{events} + {lost} + {in_ring} of {said}"))?;
            let message: Value = serde_json::from_str(&line)?;
            let count = message["count"].as_u64().unwrap_or(0);
            match (message["message"].as_str(), message["place"].as_str()) {
                (Some("event"), _) if message["reason"] == "low_port" => events += 1,
                (Some("lost"), Some("client")) => lost += count,
                (Some("lost"), Some("ring")) => in_ring += count,
                _ => {}
            }
        }
        assert!(lost > 0, "nothing was lost: {events} events");
        // Nothing is told twice: but for the session's own event and what tells of the
        // ring.
        assert!(
            (said..=said + 10).contains(&(events + lost + in_ring)),
            "{events} + {lost} + {in_ring} of {said}"
        );
        Ok(())
    });
}

/// Sends these bytes and reads what comes, at most one message.
fn answer(bytes: &[u8]) -> Result<String> {
    let mut stream = UnixStream::connect(SOCKET)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(bytes)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        // It did not want to hear all of it.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => {
            read?;
        }
    }
    Ok(String::from_utf8(text)?)
}

#[test]
fn nonsense_is_answered_and_harms_nobody() {
    helped_scenario(Setup::default(), |lab, agent, running| {
        let long = vec![b'x'; 100_000];
        for bytes in [
            &b"\n"[..],
            b"watch\n",
            b"{}\n",
            b"{\"request\":\"stop\"}\n",
            b"{\"request\":[1,2]}\n",
            b"\xff\xfe\n",
            b"{\"request\":\"watch\"}",
            b"",
            &[0; 5000],
        ] {
            let text = answer(bytes)?;
            let message: Value = serde_json::from_str(&text).with_context(|| {
                format!(
                    "{:?} was answered by {text:?}",
                    String::from_utf8_lossy(bytes)
                )
            })?;
            assert_eq!(message["message"], "error", "{text}");
        }
        // It may be cut off before all of it is written.
        let _ = answer(&long);
        // Clients that say nothing, and many that watch and do not read.
        let silent: Vec<UnixStream> = (0..10)
            .map(|_| UnixStream::connect(SOCKET))
            .collect::<Result<_, _>>()?;
        let watching = (0..48).map(|_| sleeper()).collect::<Result<Vec<_>>>()?;
        wait_for("one too many", LIMIT, || {
            let text = answer(b"{\"request\":\"watch\"}\n")?;
            Ok(text.contains("48 clients watch already").then_some(()))
        })?;
        // There is still room for who wants something else.
        let said = agent.table(&["reload"])?;
        assert!(said.contains("helping FTP on wan0"), "{said}");
        drop((silent, watching));
        wait_for("room again", LIMIT, || Ok(sleeper().is_ok().then_some(())))?;
        Duet::login(lab, Manner::default())?;
        running.says("session_opened")
    });
}

fn file(lab: &Lab, text: &str) -> Result<String> {
    let path = lab.logs().join("ftp-helper.toml");
    fs::write(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}

#[test]
fn reload_tells_what_became_of_it() {
    agent_scenario(Setup::default(), |lab, agent| {
        let path = file(lab, "interface = 'wan0'\n")?;
        let running = agent.start_with(&["run", "--config", &path])?;
        assert_eq!(
            agent.table(&["reload"])?,
            "settings read again: helping FTP on wan0\nno setting is another one than before\n"
        );
        file(
            lab,
            "interface = 'wan0'\ndeny-ports = '50000'\nexpectation-timeout = 5\nmetrics = '21021'\n",
        )?;
        assert_eq!(
            agent.table(&["reload"])?,
            "settings read again: helping FTP on wan0\n\
             changed: expectation-timeout, deny-ports, metrics\n\
             not yet: metrics stay where they are served until the next start\n"
        );
        // They count at once.
        let mut duet = Duet::login(lab, Manner::default())?;
        let line = format!("PORT {},195,80\r\n", numbers(lab.setup.addresses.client));
        duet.client_says(&line)?;
        assert_eq!(agent.count("denied_port")?, 1);

        file(lab, "interface = 'wan0'\n\nstrickt = true\n")?;
        let output = agent.cli(&["reload"])?;
        assert_eq!(output.status.code(), Some(1));
        for part in [
            "the settings stay as they are",
            "line 3",
            "did you mean `strict`?",
        ] {
            assert!(output.stderr.contains(part), "{}", output.stderr);
        }
        assert_eq!(output.stdout, "");
        duet.server_says("500 no\r\n")?;
        duet.client_says(&line)?;
        assert_eq!(agent.count("denied_port")?, 2);
        let log = running.log()?;
        assert!(log.contains("the settings stay as they are"), "{log}");
        Ok(())
    });
}

#[test]
fn others_may_not_connect_and_a_group_may_watch_but_not_change() {
    agent_scenario(Setup::default(), |lab, agent| {
        let path = Path::new(SOCKET);
        let mode = || Ok::<_, anyhow::Error>(fs::metadata(path)?.permissions().mode() & 0o777);
        let as_user = |groups: &str, words: &str| {
            let program = agent.program().to_string_lossy().into_owned();
            let line = format!("--reuid 65534 --regid 65534 {groups} {program} {words}");
            run(
                lab.gateway.command("setpriv").args(line.split_whitespace()),
                LIMIT,
            )
        };
        let mut running = agent.start()?;
        assert_eq!(mode()?, 0o600);
        let output = as_user("--clear-groups", "watch")?;
        assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
        assert!(output.stderr.contains("use sudo"), "{}", output.stderr);
        running.stop(Signal::SIGTERM)?;
        assert!(!path.exists());

        // Group 12345 needs no name.
        let mut running = agent.start_with(&["run", "-i", "wan0", "--group", "12345"])?;
        assert_eq!(mode()?, 0o660);
        let output = as_user("--groups 12345", "reload")?;
        assert_eq!(output.status.code(), Some(1), "{}", output.stderr);
        assert!(
            output.stderr.contains("may watch, but not change"),
            "{}",
            output.stderr
        );
        let log = running.log()?;
        assert!(!log.contains("settings read again"), "{log}");
        let watch = "timeout -s INT 3 ";
        let program = agent.program().to_string_lossy().into_owned();
        let line = format!("--reuid 65534 --regid 65534 --groups 12345 {watch} {program} watch");
        let mut command = lab.gateway.command("setpriv");
        let output = run(command.args(line.split_whitespace()), LIMIT)?;
        assert!(output.stderr.contains("watching"), "{}", output.stderr);
        running.stop(Signal::SIGTERM)?;
        Ok(())
    });
}

/// There is no event of a session that is not taken on.
#[test]
fn what_is_only_counted_is_told() {
    agent_scenario(Setup::default(), |lab, agent| {
        let _running = agent.start_with(&["run", "-i", "wan0", "--client-limit", "1"])?;
        let mut listener = Listener::start(lab, agent, "counted", &["--event", "rejected"])?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let _first = Control::login(&lab.client, server.endpoint())?;
        // Once a second it is looked at.
        std::thread::sleep(Duration::from_secs(2));
        let _second = Control::login(&lab.client, server.endpoint())?;
        let line = listener.wait_for("REJECTED(client_limit)")?;
        assert!(line.ends_with(" times"), "{line}");
        Ok(())
    });
}

/// Two agents with pins of their own have sockets of their own.
#[test]
fn two_agents_do_not_meet() {
    helped_scenario(Setup::default(), |_, agent: &Agent, _| {
        let pins = ["--pin-dir", "/sys/fs/bpf/other"];
        let arguments = [&["run", "-i", "lan0"], &pins[..]].concat();
        let _second = agent.start_with(&arguments)?;
        let first = agent.table(&["reload"])?;
        let second = agent.table(&[&["reload"], &pins[..]].concat())?;
        assert!(first.contains("on wan0"), "{first}");
        assert!(second.contains("on lan0"), "{second}");
        Ok(())
    });
}
