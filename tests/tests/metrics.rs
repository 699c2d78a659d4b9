//! What the agent serves for monitoring.

#[path = "metrics/promql.rs"]
mod promql;
#[path = "metrics/scrape.rs"]
mod scrape;

use std::{
    collections::BTreeMap,
    env,
    ffi::CString,
    fs::{self, OpenOptions},
    io::{Read as _, Write as _},
    net::TcpListener,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use ftp_helper_tests::{
    agent::{Agent, PINS},
    check::exchange,
    client::{ClientKind, Mode},
    control::Control,
    duet::{Duet, Manner},
    lab::Lab,
    scenario::{agent_scenario, skip},
    server::{Server, ServerKind},
    setup::Setup,
    transfers::Transfers,
    wait::{patient, wait_for},
};
use serde_json::Value;

use self::scrape::{ADDRESS, Answer, Scrape, get, request, say};

const RUN: &[&str] = &["run", "-i", "wan0", "--metrics"];

/// The agent reads what the programs report a little later.
const LIMIT: Duration = Duration::from_secs(5);

fn counted<const N: usize>(expected: [(&str, f64); N]) -> BTreeMap<String, f64> {
    expected
        .into_iter()
        .map(|(reason, count)| (reason.to_owned(), count))
        .collect()
}

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

#[test]
fn numbers_move_by_what_happened() {
    agent_scenario(Setup::default(), |lab, agent| {
        let started = now()?;
        let _running = agent.start_with(RUN)?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let before = Scrape::new(&lab.gateway)?;
        for (name, value) in [
            ("ftp_helper_sessions{state=\"open\"}", 0.0),
            ("ftp_helper_clients", 0.0),
            ("ftp_helper_expectation_match_seconds_count", 0.0),
            ("ftp_helper_map_max_entries{map=\"sessions\"}", 16384.0),
            ("ftp_helper_map_entries{map=\"interfaces\"}", 1.0),
            ("ftp_helper_map_max_entries{map=\"clients\"}", 16384.0),
            (
                "ftp_helper_control_ports{interface=\"wan0\",state=\"open\"}",
                1.0,
            ),
            ("ftp_helper_port_pool_size{interface=\"wan0\"}", 16384.0),
            ("ftp_helper_port_pool_used{interface=\"wan0\"}", 0.0),
            (
                "ftp_helper_program_attached{interface=\"wan0\",direction=\"egress\"}",
                1.0,
            ),
            (
                "ftp_helper_program_attached{interface=\"wan0\",direction=\"ingress\"}",
                1.0,
            ),
            (
                concat!(
                    "ftp_helper_build_info{version=\"",
                    env!("CARGO_PKG_VERSION"),
                    "\"}"
                ),
                1.0,
            ),
        ] {
            assert!(
                (before.value(name) - value).abs() < 0.5,
                "{name}\n{}",
                before.text
            );
        }

        let mut transfers = Transfers::new();
        transfers.download(lab, &server, 100_000)?;
        transfers.upload(lab, &server, 100_000)?;
        transfers.download(lab, &server, 1)?;
        exchange(lab, &server, ClientKind::Curl, Mode::Active, &transfers)?;
        wait_for("the end of the session", LIMIT, || {
            Ok((agent.count("session_closed")? == 1).then_some(()))
        })?;
        let after = Scrape::new(&lab.gateway)?;
        let expected = counted([
            ("announcement_rewritten", 3.0),
            ("expectation_created", 3.0),
            ("expectation_matched", 3.0),
            ("session_closed", 1.0),
            ("session_opened", 1.0),
        ]);
        assert_eq!(after.events_since(&before), expected);
        assert!((after.value("ftp_helper_expectation_match_seconds_count") - 3.0).abs() < 0.5);
        let sum = after.value("ftp_helper_expectation_match_seconds_sum");
        let longest = patient(Duration::from_secs(3)).as_secs_f64();
        assert!(sum > 0.0 && sum < longest, "{sum}");
        assert!(
            after
                .value("ftp_helper_expectation_match_untimed_total")
                .abs()
                < 0.5
        );
        assert!((after.value("ftp_helper_sessions{state=\"closed\"}") - 1.0).abs() < 0.5);

        // It goes on cleaning up.
        for table in ["expectations", "sessions"] {
            let name = format!("ftp_helper_last_cleanup_timestamp_seconds{{table=\"{table}\"}}");
            let time = after.value(&name);
            assert!(time > started - 2.0 && time < now()? + 2.0, "{name} {time}");
        }
        let start = after.value("ftp_helper_start_time_seconds");
        assert!(start > started - 2.0 && start < now()?, "{start}");
        is_what_stats_shows(agent, &after)
    });
}

/// Each reason has the number that the command line shows.
fn is_what_stats_shows(agent: &Agent, scrape: &Scrape) -> Result<()> {
    let stats = agent.json(&["stats"])?;
    let rows = stats.as_array().context("a list")?;
    assert!(rows.len() > 40, "{stats}");
    for row in rows {
        let word = |field: &str| row[field].as_str().unwrap_or_default();
        let (class, reason) = (word("class"), word("reason"));
        let name = format!("ftp_helper_events_total{{class=\"{class}\",reason=\"{reason}\"}}");
        let count = row["count"].as_f64().context("a number")?;
        assert!((scrape.value(&name) - count).abs() < 0.5, "{name}: {count}");
    }
    Ok(())
}

#[test]
fn what_is_open_is_shown_and_goes_away() {
    agent_scenario(Setup::default(), |lab, agent| {
        let _running = agent.start_with(RUN)?;
        // It connects when a transfer is asked for, and not before.
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let before = Scrape::new(&lab.gateway)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;
        let session = Scrape::new(&lab.gateway)?;
        let opened = counted([("session_opened", 1.0)]);
        assert_eq!(session.events_since(&before), opened);

        control.command("PORT 10,0,0,99,200,1")?;
        let refused = Scrape::new(&lab.gateway)?;
        let third_party = counted([("third_party", 1.0)]);
        assert_eq!(refused.events_since(&session), third_party);
        let name = "ftp_helper_events_total{class=\"refusal\",reason=\"third_party\"}";
        assert!((refused.value(name) - 1.0).abs() < 0.5);

        // Of the pool, free, and so announced as it is.
        let listener = control.listen_on(61_000)?;
        let announcement = listener.announcement.to_string();
        control.command(&announcement)?.expect_code(200)?;
        let open = Scrape::new(&lab.gateway)?;
        for name in [
            "ftp_helper_sessions{state=\"open\"}",
            "ftp_helper_clients",
            "ftp_helper_expectations{kind=\"PORT\"}",
            "ftp_helper_map_entries{map=\"sessions\"}",
            "ftp_helper_map_entries{map=\"expectations\"}",
            "ftp_helper_port_pool_used{interface=\"wan0\"}",
        ] {
            let grown = open.value(name) - before.value(name);
            assert!(
                (grown - 1.0).abs() < 0.5,
                "{name} grew by {grown}\n{}",
                open.text
            );
        }
        drop(control);
        wait_for("the end of the session", LIMIT, || {
            Ok((agent.count("session_closed")? == 1).then_some(()))
        })?;
        let closed = Scrape::new(&lab.gateway)?;
        for name in [
            "ftp_helper_sessions{state=\"open\"}",
            "ftp_helper_expectations{kind=\"PORT\"}",
            "ftp_helper_map_entries{map=\"expectations\"}",
            "ftp_helper_port_pool_used{interface=\"wan0\"}",
        ] {
            assert!(closed.value(name).abs() < 0.5, "{name}\n{}", closed.text);
        }
        Ok(())
    });
}

#[test]
fn encrypted_sessions_are_counted_apart() {
    agent_scenario(Setup::default(), |lab, agent| {
        let _running = agent.start_with(RUN)?;
        let mut duet = Duet::login(lab, Manner::default())?;
        duet.client_says("AUTH TLS\r\n")?;
        duet.server_says("234 go on\r\n")?;
        let scrape = Scrape::new(&lab.gateway)?;
        assert!((scrape.value("ftp_helper_sessions{state=\"opaque\"}") - 1.0).abs() < 0.5);
        assert!(scrape.value("ftp_helper_sessions{state=\"open\"}").abs() < 0.5);
        Ok(())
    });
}

/// A filter that somebody removes by hand.
#[test]
fn a_removed_filter_is_missed_at_once() {
    agent_scenario(Setup::default(), |lab, agent| {
        let gateway = &lab.gateway;
        let _running = agent.start_with(&[RUN, &["--attach", "clsact"]].concat())?;
        let ready = get(gateway, "/readyz")?;
        assert_eq!(ready.status, 200, "{ready:?}");
        assert_eq!(
            ready.body,
            "ready\nwan0 ingress: attached\nwan0 egress: attached\n"
        );

        gateway.must("tc filter del dev wan0 egress")?;
        let missing = get(gateway, "/readyz")?;
        assert_eq!(missing.status, 503, "{missing:?}");
        let said = "not ready\nwan0 ingress: attached\n\
                    wan0 egress: the program is not attached with clsact any more\n";
        assert_eq!(missing.body, said);
        let scrape = Scrape::new(gateway)?;
        let attached = |direction| {
            let labels = format!("interface=\"wan0\",direction=\"{direction}\"");
            scrape.value(&format!("ftp_helper_program_attached{{{labels}}}"))
        };
        assert!(attached("egress").abs() < 0.5 && attached("ingress") > 0.5);
        // The agent itself is well.
        assert_eq!(get(gateway, "/healthz")?.body, "ok\n");
        Ok(())
    });
}

#[test]
fn a_link_that_is_told_to_detach_is_missed_at_once() {
    agent_scenario(Setup::default(), |lab, agent| {
        let running = agent.start_with(RUN)?;
        let links: Vec<PathBuf> = pinned("link_wan0_")?;
        if links.is_empty() {
            skip("this kernel has no TCX");
            return Ok(());
        }
        assert_eq!(get(&lab.gateway, "/readyz")?.status, 200);
        let ingress = links.iter().find(|path| path.ends_with_word("_ingress"));
        detach_link(ingress.context("a link of ingress")?)?;
        let missing = get(&lab.gateway, "/readyz")?;
        assert_eq!(missing.status, 503, "{missing:?}");
        assert!(
            missing
                .body
                .contains("\nwan0 ingress: the program is not attached with tcx")
        );
        assert!(missing.body.contains("\nwan0 egress: attached\n"));

        // Everything is detached, behind the agent's back.
        agent.cli(&["detach", "--force"])?.success("detach")?;
        let gone = get(&lab.gateway, "/readyz")?;
        assert_eq!(gone.status, 503, "{gone:?}");
        for direction in ["ingress", "egress"] {
            let line = format!("wan0 {direction}: no program is pinned for it\n");
            assert!(gone.body.contains(&line), "{gone:?}");
        }
        assert!(
            running
                .log()?
                .contains("metrics on http://127.0.0.1:21021/metrics")
        );
        // The numbers are there still, as the agent has the maps open.
        assert_eq!(get(&lab.gateway, "/metrics")?.status, 200);
        Ok(())
    });
}

#[test]
fn an_interface_that_is_gone_is_named() {
    agent_scenario(Setup::default(), |lab, agent| {
        let _running = agent.start_with(RUN)?;
        lab.gateway.must("ip link del wan0")?;
        // At first it is gone; then the agent knows, and waits for it.
        wait_for("the interface awaited", LIMIT, || {
            let missing = get(&lab.gateway, "/readyz")?;
            ensure!(missing.status == 503, "{missing:?}");
            let is_awaited = missing
                .body
                .contains("wan0 egress: there is no such interface now");
            Ok(is_awaited.then_some(()))
        })
    });
}

trait EndsWithWord {
    fn ends_with_word(&self, word: &str) -> bool;
}

impl EndsWithWord for Path {
    fn ends_with_word(&self, word: &str) -> bool {
        self.as_os_str().as_bytes().ends_with(word.as_bytes())
    }
}

fn pinned(prefix: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(PINS)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// What `bpftool link detach` does: the pin and the link stay, and hold nothing.
fn detach_link(path: &Path) -> Result<()> {
    const OBJ_GET: libc::c_long = 7;
    const LINK_DETACH: libc::c_long = 34;

    #[repr(C)]
    #[derive(Default)]
    struct ObjGet {
        pathname: u64,
        bpf_fd: u32,
        file_flags: u32,
    }

    let path = CString::new(path.as_os_str().as_bytes())?;
    let get = ObjGet {
        pathname: path.as_ptr() as u64,
        ..ObjGet::default()
    };
    // SAFETY: the attribute of the command, with a path that lives across the call.
    let link =
        unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET, &raw const get, size_of::<ObjGet>()) };
    ensure!(
        link >= 0,
        "the link is not opened: {}",
        std::io::Error::last_os_error()
    );
    // SAFETY: a new descriptor that nobody else has.
    let link = unsafe { OwnedFd::from_raw_fd(i32::try_from(link)?) };
    let attribute = link.as_raw_fd().cast_unsigned();
    // SAFETY: the attribute of the command, which is one descriptor.
    let done = unsafe { libc::syscall(libc::SYS_bpf, LINK_DETACH, &raw const attribute, 4) };
    ensure!(
        done == 0,
        "the link is not detached: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

#[test]
fn who_is_slow_blocks_nobody() {
    agent_scenario(Setup::default(), |lab, agent| {
        let gateway = &lab.gateway;
        let running = agent.start_with(RUN)?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        // Half a request, and nothing more.
        let start = Instant::now();
        let slow = |_| say(gateway, "GET /metrics HTTP/1.1\r\nHost: g");
        let mut idle = (0..20).map(slow).collect::<Result<Vec<_>>>()?;
        assert_eq!(get(gateway, "/healthz")?.status, 200);
        assert_eq!(get(gateway, "/metrics")?.status, 200);
        let took = start.elapsed();
        assert!(
            took < patient(Duration::from_millis(2500)),
            "it took {took:?}"
        );
        let mut transfers = Transfers::new();
        transfers.download(lab, &server, 1000)?;
        exchange(lab, &server, ClientKind::Curl, Mode::Active, &transfers)?;
        running.says("expectation_matched")?;

        // More than there is room for: the others have their turn all the same. One after
        // the other would take minutes.
        let start = Instant::now();
        idle.extend((0..50).map(slow).collect::<Result<Vec<_>>>()?);
        assert_eq!(get(gateway, "/healthz")?.status, 200);
        for mut stream in idle {
            // Sent away, with or without a word.
            stream.read_to_end(&mut Vec::new())?;
        }
        let took = start.elapsed();
        assert!(took < patient(Duration::from_secs(30)), "it took {took:?}");
        Ok(())
    });
}

#[test]
fn what_is_asked_otherwise() {
    agent_scenario(Setup::default(), |lab, agent| {
        let gateway = &lab.gateway;
        let _running = agent.start_with(RUN)?;
        assert_eq!(get(gateway, "/")?.status, 404);
        assert_eq!(request(gateway, "POST", "/metrics", "*/*")?.status, 405);
        let head = request(gateway, "HEAD", "/metrics", "*/*")?;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        let Answer {
            content_type, body, ..
        } = get(gateway, "/metrics")?;
        assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
        assert!(
            body.contains("# TYPE ftp_helper_events_total counter"),
            "{body}"
        );
        let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        let Answer {
            content_type, body, ..
        } = request(gateway, "GET", "/metrics", accept)?;
        assert_eq!(
            content_type,
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
        assert!(body.contains("# TYPE ftp_helper_events counter"), "{body}");
        assert!(body.ends_with("# EOF\n"), "{body}");
        Ok(())
    });
}

#[test]
fn a_port_that_is_taken_ends_the_start_before_anything_is_changed() {
    agent_scenario(Setup::default(), |lab, agent| {
        let taken = lab.gateway.enter(|| Ok(TcpListener::bind(ADDRESS)?))?;
        let output = agent.cli(RUN)?;
        assert!(!output.status.success(), "{output:?}");
        for part in [
            "can not serve metrics on 127.0.0.1:21021",
            "another program has this port",
        ] {
            assert!(output.stderr.contains(part), "{output:?}");
        }
        assert_eq!(pins()?, 0);
        drop(taken);
        let _running = agent.start_with(RUN)?;
        assert!(pins()? > 0);
        Ok(())
    });
}

fn pins() -> Result<usize> {
    match fs::read_dir(PINS) {
        Ok(entries) => Ok(entries.count()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Nothing listens unless it is asked for.
#[test]
fn off_unless_it_is_asked_for() {
    agent_scenario(Setup::default(), |lab: &Lab, agent| {
        let _running = agent.start()?;
        assert!(say(&lab.gateway, "").is_err());
        let listeners = lab.gateway.must("ss -Hltn")?;
        assert_eq!(listeners.trim(), "");
        Ok(())
    });
}

const RULES: &str = include_str!("../../deploy/prometheus/ftp-helper.rules.yml");
const DASHBOARD: &str = include_str!("../../deploy/grafana/ftp-helper.json");

#[test]
fn dashboard_and_alerts_name_what_there_is() {
    agent_scenario(Setup::default(), |lab, agent| {
        let _running = agent.start_with(RUN)?;
        let scrape = Scrape::new(&lab.gateway)?;

        let (named, faults) = promql::check(RULES, &scrape);
        assert_eq!(faults, [""; 0], "in the alerts");
        assert!(named > 10, "{named} in the alerts");

        let mut texts = Vec::new();
        promql::texts(&serde_json::from_str::<Value>(DASHBOARD)?, &mut texts);
        let mut named = 0;
        for text in texts {
            let (more, faults) = promql::check(&text, &scrape);
            assert_eq!(faults, [""; 0], "in {text}");
            named += more;
        }
        assert!(named > 30, "{named} in the dashboard");

        check_metrics(&scrape)
    });
}

/// The check above can fail.
#[test]
fn what_there_is_not_is_found() -> Result<()> {
    let scrape = "ftp_helper_sessions{state=\"open\"} 1\nftp_helper_clients 2\n";
    let scrape = Scrape::parse(scrape.to_owned())?;
    for (text, fault) in [
        ("sum(ftp_helper_sesions)", "no metric ftp_helper_sesions"),
        (
            "ftp_helper_sessions{state=\"opened\"}",
            "has no state=\"opened\"",
        ),
        (
            "ftp_helper_sessions{state!=\"opened\"}",
            "has no state=\"opened\"",
        ),
        (
            "ftp_helper_sessions{state=~\"open|shut\"}",
            "has no state=\"shut\"",
        ),
        ("ftp_helper_clients{state=\"open\"}", "has no label state"),
        ("sum by (kind) (ftp_helper_clients)", "no label kind"),
        ("{{ $labels.kind }}", "no label kind"),
        ("{{kind}}", "no label kind"),
    ] {
        let (_, faults) = promql::check(text, &scrape);
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert!(faults[0].contains(fault), "{text}: {faults:?}");
    }
    let fine = "sum by (state, instance) (ftp_helper_sessions{state=~\"open\",job=\"x\"})";
    assert_eq!(promql::check(fine, &scrape), (1, Vec::new()));
    Ok(())
}

/// Prometheus' own tool, where it is.
fn promtool() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|directory| directory.join("promtool"))
        .find(|path| path.is_file());
    if found.is_none() {
        skip("there is no promtool (package prometheus)");
    }
    found
}

#[test]
fn promtool_likes_the_alerts() -> Result<()> {
    let Some(promtool) = promtool() else {
        return Ok(());
    };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus");
    for arguments in [
        ["check", "rules", "ftp-helper.rules.yml"],
        ["test", "rules", "ftp-helper.test.yml"],
    ] {
        let output = Command::new(&promtool)
            .args(arguments)
            .current_dir(&directory)
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?}:\n{said}{complained}"
        );
    }
    Ok(())
}

/// Syntax, and names as they are usual.
fn check_metrics(scrape: &Scrape) -> Result<()> {
    let Some(promtool) = promtool() else {
        return Ok(());
    };
    let mut output = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open("/run")?;
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .spawn()?;
    let mut input = child.stdin.take().context("it has an input")?;
    input.write_all(scrape.text.as_bytes())?;
    drop(input);
    let status = child.wait()?;
    let mut said = String::new();
    std::io::Seek::rewind(&mut output)?;
    output.read_to_string(&mut said)?;
    assert!(status.success() && said.is_empty(), "{status}: {said}");
    Ok(())
}
