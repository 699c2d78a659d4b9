//! `ftp-helper explain` in set-ups that are broken for real.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use ftp_helper::{
    datapath::maps::{EXPECTATIONS, Expectations, HANDSHAKES, SESSIONS, Sessions, Table},
    pins::PinDirectory,
};
use ftp_helper_common::session::{Handshake, SessionKey};
use ftp_helper_tests::{
    agent::{Agent, PINS},
    control::Control,
    duet::{Duet, Manner},
    lab::Lab,
    listener::Listener,
    payload,
    scenario::{agent_scenario, helped_scenario},
    server::{DOWNLOADS, Server, ServerKind},
    setup::{ControlPort, Setup},
    wait::wait_for,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use zerocopy::IntoBytes as _;

const LIMIT: Duration = Duration::from_secs(20);

/// `10,0,0,2` for `10.0.0.2`.
fn numbers(address: std::net::IpAddr) -> String {
    address.to_string().replace('.', ",")
}

/// vsftpd, a control connection to it, and a file.
struct Ftp {
    server: Server,
    control: Control,
    remote: String,
}

impl Ftp {
    fn new(lab: &Lab) -> Result<Self> {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let remote = format!("{DOWNLOADS}/file");
        payload::write(&server.file(&remote), 1000, 1)?;
        let control = Control::login(&lab.client, server.endpoint())?;
        Ok(Self {
            server,
            control,
            remote,
        })
    }

    /// Announces a listener and asks for the file, which has to fail with `code`.
    fn fail(&mut self, code: u16) -> Result<()> {
        let listener = self.control.listen()?;
        self.control
            .command(&listener.announcement.to_string())?
            .expect_code(200)?;
        self.control.send(&format!("RETR {}", self.remote))?;
        self.control.reply()?.expect_code(code)?;
        ensure!(listener.is_untouched()?, "the data connection came");
        Ok(())
    }
}

/// What is explained, by the client's address, and the words of the causes.
fn explain(agent: &Agent, target: &str) -> Result<(Value, Vec<String>)> {
    let report = agent.json(&["explain", target])?;
    let causes = report["causes"].as_array().context("no causes")?;
    let words = causes
        .iter()
        .filter_map(|cause| Some(cause["cause"].as_str()?.to_owned()));
    Ok((report.clone(), words.collect()))
}

fn client_of(lab: &Lab) -> String {
    lab.setup.addresses.client.to_string()
}

#[test]
fn a_transfer_that_works_has_no_cause_with_and_without_an_agent() {
    helped_scenario(Setup::default(), |lab, agent, running| {
        let mut ftp = Ftp::new(lab)?;
        ftp.control.retrieve(&ftp.remote.clone())?;
        let received = ftp.server.announcements()?.pop().context("no PORT")?;
        let outside = received.endpoint().context("no endpoint")?;
        let local = ftp.control.local()?;
        running.stop(Signal::SIGKILL)?;

        let whole = format!(
            "{}:{}<->{}:21",
            lab.setup.addresses.wan,
            local.port(),
            lab.setup.addresses.server
        );
        // Each name that it goes by, and that of its data connection.
        for target in [
            client_of(lab),
            local.to_string(),
            whole,
            format!("{}:21", lab.setup.addresses.server),
            outside.to_string(),
        ] {
            let (report, words) = explain(agent, &target)?;
            assert_eq!(words, ["none"], "{target}: {report:#}");
            assert_eq!(report["inside"], local.to_string());
        }
        let (report, _) = explain(agent, &client_of(lab))?;
        assert_eq!(report["data"]["state"], "admitted");
        assert_eq!(report["data"]["syn_came"], true);
        assert_eq!(report["data"]["outside"], outside.to_string());
        let lines: Vec<String> = report["lines"]
            .as_array()
            .context("no lines")?
            .iter()
            .map(|line| {
                let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
                format!("{} {} {}", text("from"), text("line"), text("decision"))
            })
            .collect();
        assert_eq!(
            lines,
            [
                "server 220 ",
                "client USER ",
                "server 331 ",
                "client PASS ",
                "server 230 ",
                "client TYPE ",
                "server 200 ",
                "client PORT announcement_rewritten",
                "server 200 ",
                "client RETR ",
                "network (data connection) expectation_matched",
                "server 150 ",
                "server 226 ",
            ]
        );
        // What was added to the stream is what the numbers differ by.
        let grown = outside.ip().to_string().len() - client_of(lab).len();
        assert_eq!(report["directions"][0]["sequence_delta"], grown);
        assert_eq!(report["directions"][1]["sequence_delta"], 0);

        let text = agent.table(&["explain", &client_of(lab)])?;
        for part in [
            "LAST LINES",
            "announcement_rewritten",
            "LIKELY CAUSE",
            "data SYN came  yes",
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
        Ok(())
    });
}

/// 1: the peer's own firewall keeps it from connecting.
#[test]
fn a_firewall_of_the_server() {
    agent_scenario(Setup::default(), |lab, agent| {
        let _running = agent.start_with(&["run", "-i", "wan0", "--expectation-timeout", "2"])?;
        lab.server.must("nft add table inet own")?;
        lab.server
            .must("nft add chain inet own out { type filter hook output priority 0 ; }")?;
        lab.server.must(
            "nft add rule inet own out tcp flags syn / syn,ack tcp sport 20 reject with tcp reset",
        )?;
        let mut ftp = Ftp::new(lab)?;
        ftp.fail(425)?;
        wait_for("its end", LIMIT, || {
            Ok((agent.count("expectation_expired")? == 1).then_some(()))
        })?;
        let (report, words) = explain(agent, &client_of(lab))?;
        assert_eq!(words, ["no_syn"], "{report:#}");
        assert_eq!(report["data"]["state"], "expired");
        assert_eq!(report["data"]["syn_came"], false);
        let cause = &report["causes"][0];
        let text = cause["text"].as_str().unwrap_or_default();
        assert!(text.contains("and the server said 425"), "{cause:#}");
        let fix = cause["fix"].as_str().unwrap_or_default();
        let server = format!("the server ({})", lab.setup.addresses.server);
        assert!(
            fix.contains(&server) && fix.contains("firewall"),
            "{cause:#}"
        );
        Ok(())
    });
}

/// 2: the gateway's own firewall drops what was admitted.
#[test]
fn a_firewall_of_the_gateway() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let mut ftp = Ftp::new(lab)?;
        lab.gateway.must("nft add table inet own")?;
        lab.gateway.must(
            "nft add chain inet own forwarded { type filter hook forward priority -10 ; policy drop ; }",
        )?;
        lab.gateway
            .must("nft add rule inet own forwarded tcp dport 21 accept")?;
        lab.gateway
            .must("nft add rule inet own forwarded tcp sport 21 accept")?;
        let listener = ftp.control.listen()?;
        ftp.control
            .command(&listener.announcement.to_string())?
            .expect_code(200)?;
        ftp.control.send(&format!("RETR {}", ftp.remote))?;
        wait_for("the SYN", LIMIT, || {
            Ok((agent.count("expectation_matched")? == 1).then_some(()))
        })?;
        // A moment later the transfer may just be slow.
        wait_for("the cause", LIMIT, || {
            let (report, words) = explain(agent, &client_of(lab))?;
            if words[0] == "none" {
                return Ok(None);
            }
            assert_eq!(words[0], "admitted_unanswered", "{report:#}");
            assert_eq!(report["data"]["syn_came"], true);
            // The doctor knows what to look at then.
            assert!(words.contains(&"firewall".to_owned()), "{report:#}");
            Ok(Some(()))
        })?;
        assert!(listener.is_untouched()?);
        Ok(())
    });
}

/// 3: another router in front of the gateway.
#[test]
fn another_translation_further_out() {
    let mut setup = Setup::default();
    setup.addresses.wan = [192, 168, 7, 1].into();
    setup.addresses.server = [192, 168, 7, 2].into();
    helped_scenario(setup, |lab, agent, _| {
        // The way out leads through the host outside, which translates once more
        // and has the server of the outer world behind it.
        let outer = "198.51.100.7";
        lab.server
            .must(&format!("ip address add {outer}/32 dev lo"))?;
        lab.gateway.must(&format!(
            "ip route add {outer} via {}",
            setup.addresses.server
        ))?;
        let server: SocketAddr = format!("{outer}:21").parse()?;
        let listener = lab
            .server
            .enter(|| Ok(std::net::TcpListener::bind(server)?))?;
        let stream = lab
            .client
            .enter(|| Ok(std::net::TcpStream::connect_timeout(&server, LIMIT)?))?;
        let (mut far, _) = listener.accept()?;
        let mut near = stream;
        let mut say = |from_client: bool, text: &str| -> Result<()> {
            use std::io::{Read as _, Write as _};
            let (from, to) = if from_client {
                (&mut near, &mut far)
            } else {
                (&mut far, &mut near)
            };
            from.write_all(text.as_bytes())?;
            to.set_read_timeout(Some(LIMIT))?;
            let mut arrived = vec![0; 200];
            let count = to.read(&mut arrived)?;
            ensure!(count > 0, "nothing arrived");
            Ok(())
        };
        say(false, "220 ready\r\n")?;
        say(
            true,
            &format!("PORT {},195,80\r\n", numbers(setup.addresses.client)),
        )?;
        say(false, "200 yes\r\n")?;
        say(true, "RETR file\r\n")?;
        let (report, words) = explain(agent, &client_of(lab))?;
        assert_eq!(words, ["another_translation", "no_syn"], "{report:#}");
        let cause = &report["causes"][0];
        assert!(
            cause["text"]
                .as_str()
                .unwrap_or_default()
                .contains("192.168.7.1 was announced"),
            "{cause:#}"
        );
        assert!(
            cause["fix"]
                .as_str()
                .unwrap_or_default()
                .contains("--advertise"),
            "{cause:#}"
        );
        Ok(())
    });
}

/// 4: the control connection is encrypted.
#[test]
fn encryption() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let mut duet = Duet::connect(lab, Manner::default())?;
        duet.server_says("220 ready\r\n")?;
        duet.client_says("AUTH TLS\r\n")?;
        duet.server_says("234 go ahead\r\n")?;
        duet.client_says("\u{16}\u{3}\u{1} not for us\r\n")?;
        let (report, words) = explain(agent, &client_of(lab))?;
        assert_eq!(words, ["encrypted"], "{report:#}");
        assert_eq!(report["state"], "encrypted");
        Ok(())
    });
}

/// 5: the announcement breaks a rule.
#[test]
fn a_refused_announcement() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let mut duet = Duet::login(lab, Manner::default())?;
        duet.client_says("PORT 198,51,100,9,195,80\r\n")?;
        duet.server_says("500 no\r\n")?;
        let (report, words) = explain(agent, &client_of(lab))?;
        assert_eq!(words, ["third_party"], "{report:#}");
        assert_eq!(report["data"]["state"], "refused");
        let line = &report["lines"][5];
        assert_eq!(line["decision"], "third_party");
        assert_eq!(line["inside"], "198.51.100.9:50000");
        Ok(())
    });
}

/// 6: a server on another port. 7: nobody like that.
#[test]
fn what_is_not_known_has_causes_too() {
    let setup = Setup {
        control_port: ControlPort {
            served: 2121,
            dialled: 2121,
        },
        ..Setup::default()
    };
    helped_scenario(setup, |lab, agent, _| {
        let _duet = Duet::login(lab, Manner::default())?;
        let target = format!("{}:2121", lab.setup.addresses.server);
        let output = agent.cli(&["explain", &target])?;
        assert_eq!(output.status.code(), Some(3), "{}", output.stderr);
        for part in ["port 2121 is no control port", "ftp-helper port add"] {
            assert!(output.stderr.contains(part), "{}", output.stderr);
        }
        let output = agent.cli(&["explain", "192.0.2.1"])?;
        assert_eq!(output.status.code(), Some(3), "{}", output.stderr);
        assert!(output.stderr.contains("session list"), "{}", output.stderr);
        let output = agent.cli(&["explain", "nonsense"])?;
        assert_eq!(output.status.code(), Some(2), "{}", output.stderr);
        Ok(())
    });
}

/// 8: the kernel's own helper works on the same lines. 9: a withdrawn port.
#[test]
fn somebody_else_at_work_and_a_port_withdrawn() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        lab.gateway.must("nft add table inet own")?;
        lab.gateway
            .must("nft add ct helper inet own ftp { type \"ftp\" protocol tcp ; }")?;
        lab.gateway
            .must("nft add chain inet own pre { type filter hook prerouting priority 0 ; }")?;
        lab.gateway
            .must("nft add rule inet own pre tcp dport 21 ct helper set \"ftp\"")?;
        let _duet = Duet::login(lab, Manner::default())?;
        let (report, words) = explain(agent, &client_of(lab))?;
        assert_eq!(words[0], "not_announced", "{report:#}");
        assert!(words.contains(&"kernel-helper".to_owned()), "{report:#}");
        agent.table(&["port", "del", "21"])?;
        let (report, words) = explain(agent, &client_of(lab))?;
        assert!(words.contains(&"draining_port".to_owned()), "{report:#}");
        Ok(())
    });
}

#[test]
fn several_sessions_of_a_client_are_listed() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let one = Control::login(&lab.client, server.endpoint())?;
        let two = Control::login(&lab.client, server.endpoint())?;
        let output = agent.cli(&["explain", &client_of(lab)])?;
        assert_eq!(output.status.code(), Some(2), "{}", output.stderr);
        for control in [&one, &two] {
            let local = control.local()?;
            let end = format!(":{}<->{}:21", local.port(), lab.setup.addresses.server);
            assert!(output.stderr.contains(&end), "{}", output.stderr);
            let (report, _) = explain(agent, &local.to_string())?;
            assert_eq!(report["inside"], local.to_string());
        }
        Ok(())
    });
}

#[test]
fn a_password_is_nowhere() {
    const SECRETS: [&str; 4] = ["hunter2.Xyzzy", "Plugh", "PLUGH", "ZQXV"];
    helped_scenario(Setup::default(), |lab, agent, running| {
        let mut listener = Listener::start(lab, agent, "secret", &["-o", "jsonl"])?;
        let mut duet = Duet::connect(lab, Manner::default())?;
        duet.server_says("220 ready\r\n")?;
        duet.client_says("USER anonymous\r\n")?;
        duet.server_says("331 password\r\n")?;
        duet.client_says("PASS hunter2.Xyzzy\r\n")?;
        duet.server_says("530 no\r\n")?;
        // A command that is none, in pieces, and one in front of an announcement
        // in the same segment.
        for piece in ["PASS hun", "ter2.Xy", "zzy\r\n"] {
            duet.client_says(piece)?;
        }
        duet.server_says("530 no, hunter2.Xyzzy is none\r\n")?;
        duet.client_says("Plugh\r\n")?;
        duet.server_says("500 what\r\n")?;
        duet.client_says("zqxv\r\n")?;
        duet.server_says("500 what\r\n")?;
        let port = format!("PORT {},195,80\r\n", numbers(lab.setup.addresses.client));
        duet.client
            .write(&format!("PASS hunter2.Xyzzy\r\n{port}"))?;
        duet.server.expect("PASS hunter2.Xyzzy\r\n")?;
        duet.server.line()?;
        duet.server_says("230 welcome\r\n200 yes\r\n")?;
        listener.wait_for("REWRITE")?;

        let client = client_of(lab);
        let mut seen = String::new();
        for words in [
            &["explain", &client][..],
            &["explain", &client, "-o", "json"],
            &["session", "list", "-o", "json"],
            &["session", "list", "-o", "wide"],
            &[
                "session",
                "show",
                &format!("{}:21", lab.setup.addresses.server),
                "-o",
                "json",
            ],
            &["expect", "list", "-o", "json"],
            &["stats", "-o", "json"],
        ] {
            write!(seen, "{}", agent.table(words)?)?;
        }
        assert!(seen.contains("(unknown verb)"), "{seen}");
        assert!(seen.contains("PASS"), "{seen}");
        write!(seen, "{}{}", listener.text()?, running.log()?)?;
        for secret in SECRETS {
            assert!(!seen.contains(secret), "{secret} in\n{seen}");
        }

        // The maps themselves.
        let pins = PinDirectory::new(PINS);
        let mut bytes = Vec::new();
        for (key, session) in Sessions::open(&pins, SESSIONS)?.entries()? {
            bytes.extend([key.as_bytes(), session.as_bytes()].concat());
        }
        for (key, expectation) in Expectations::open(&pins, EXPECTATIONS)?.entries()? {
            bytes.extend([key.as_bytes(), expectation.as_bytes()].concat());
        }
        let handshakes = Table::<SessionKey, Handshake>::open(&pins, HANDSHAKES)?;
        for (key, handshake) in handshakes.entries()? {
            bytes.extend([key.as_bytes(), handshake.as_bytes()].concat());
        }
        // What is announced is there: the dump is one.
        let numbers = numbers(lab.setup.addresses.wan);
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(has(numbers.as_bytes()), "no announcement in the maps");
        for secret in ["hunter2", "Xyzzy", "unter2.X", "Plugh", "PLUGH"] {
            assert!(!has(secret.as_bytes()), "{secret} is in a map");
        }
        Ok(())
    });
}
