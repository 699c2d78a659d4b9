//! `ftp-helper doctor`: each thing that it looks for is brought about, seen, and
//! gone once what the finding says was done.

#[path = "doctor/foreign.rs"]
mod foreign;
#[path = "doctor/report.rs"]
mod report;

use std::{env, fs, net::UdpSocket, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use ftp_helper_common::session::Direction;
use ftp_helper_tests::{
    agent::PINS,
    control::Control,
    docker::bridges_without_iptables,
    kernel::is_before,
    lab::FILES,
    process::{Daemon, run},
    scenario::{agent_scenario, helped_scenario, skip},
    server::{Server, ServerKind},
    setup::{Family, Helper, Inside, Setup, Translation},
    wait::wait_for,
};
use nix::sys::signal::Signal;
use serde_json::Value;

use self::{
    foreign::{Place, Program},
    report::{Report, checks, doctor, follow},
};

const LIMIT: Duration = Duration::from_secs(30);

/// Names of all checks, in the order of the report.
const ALL: [&str; 21] = [
    "capabilities",
    "kernel",
    "bpffs",
    "agent",
    "pins",
    "attachment",
    "order",
    "kernel-helper",
    "flow-offload",
    "zones",
    "cilium",
    "bridge",
    "outside-address",
    "forwarding",
    "rp-filter",
    "firewall",
    "conntrack-table",
    "timeouts",
    "port-range",
    "lro",
    "counters",
];

#[test]
fn all_is_well_on_a_gateway_that_is_helped() {
    for family in Family::ALL {
        let setup = Setup::new(Inside::Client, family, Translation::Nat);
        helped_scenario(setup, |_, agent, running| {
            let report = doctor(agent, &[])?;
            report.all_ok()?;
            let mut names: Vec<&str> = report
                .findings
                .iter()
                .filter_map(|finding| finding["check"].as_str())
                .collect();
            names.dedup();
            assert_eq!(names, ALL);

            let table = agent.table(&["doctor"])?;
            let mut lines = table.lines();
            let header = lines.next().unwrap_or_default();
            let words: Vec<&str> = header.split_whitespace().collect();
            assert_eq!(words, ["CHECK", "STATUS", "SUBJECT", "REASON", "FIX"]);
            assert_eq!(lines.count(), report.findings.len(), "{table}");

            // A start had nothing to say about it.
            let log = running.log()?;
            assert!(!log.contains("WARN") && !log.contains("FAIL"), "{log}");
            Ok(())
        });
    }
}

#[test]
fn it_works_before_the_first_start_and_after_the_agents_end() {
    agent_scenario(Setup::default(), |_, agent| {
        // Nothing that a start needs is missing.
        let report = doctor(agent, &["-i", "wan0"])?;
        assert_eq!(report.code, Some(0));
        let of = |name: &str| -> Vec<&Value> {
            let findings = report.findings.iter();
            findings
                .filter(|finding| finding["check"] == name)
                .collect()
        };
        for name in ALL {
            let expected = match name {
                "agent" | "attachment" => "WARN",
                "counters" => "SKIP",
                _ => "OK",
            };
            for finding in of(name) {
                assert_eq!(finding["status"], expected, "{finding:#}");
            }
        }
        let fix = &of("agent")[0]["fix"];
        assert_eq!(*fix, "ftp-helper run -i wan0");
        assert!(!Path::new(PINS).exists());
        // Without an interface there is nothing to look at on it.
        let report = doctor(agent, &["--checks", "outside-address"])?;
        report.the("SKIP", "-i")?;

        let mut running = agent.start()?;
        doctor(agent, &[])?.all_ok()?;
        running.stop(Signal::SIGKILL)?;
        let report = doctor(agent, &[])?;
        assert_eq!(report.code, Some(0));
        let finding = report.the("WARN", "the programs go on")?;
        assert_eq!(finding["check"], "agent");
        assert_eq!(finding["fix"], "ftp-helper run -i wan0");

        // Looking took no lock with it.
        let _running = agent.start()?;
        doctor(agent, &[])?.all_ok()
    });
}

#[test]
fn what_is_not_understood_is_refused() {
    agent_scenario(Setup::default(), |_, agent| {
        let output = agent.cli(&["doctor", "--checks", "kernel,weather"])?;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stderr.contains("conntrack-table"), "{output:?}");
        let output = agent.cli(&["doctor", "-i", "wan9"])?;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stderr.contains("wan9"), "{output:?}");
        assert_eq!(output.stdout, "");
        Ok(())
    });
}

#[test]
fn a_missing_capability_is_named() {
    agent_scenario(Setup::default(), |lab, agent| {
        // The directory that the program was built in may be closed to others.
        let program = format!("{FILES}/ftp-helper");
        let mut copy = lab.gateway.command("cp");
        run(copy.arg(agent.program()).arg(&program), LIMIT)?.success("cp")?;
        for name in ["BPF", "PERFMON", "NET_ADMIN"] {
            let without = format!("--bounding-set=-sys_admin,-{}", name.to_lowercase());
            let mut command = lab.gateway.command("setpriv");
            command.args([&without, &program, "doctor", "-o", "json"]);
            command.args(["--checks", "capabilities,kernel"]);
            let report = Report::of(&run(&mut command, LIMIT)?)?;
            assert_eq!(report.code, Some(1));
            report.the("FAIL", &format!("CAP_{name} is missing"))?;
            // Not guessed from what the process may not do.
            report.the("SKIP", "capabilities")?;
        }
        checks(agent, "capabilities,kernel")?.all_ok()
    });
}

#[test]
fn a_missing_bpffs_fails() {
    agent_scenario(Setup::default(), |lab, agent| {
        lab.gateway.must("umount /sys/fs/bpf")?;
        let report = checks(agent, "bpffs")?;
        let finding = report.the("FAIL", "/sys/fs/bpf")?;
        // The lab's own /sys has no place for one.
        assert_eq!(
            finding["fix"]
                .as_str()
                .and_then(|fix| fix.split('`').nth(1)),
            Some("mount -t bpf bpf /sys/fs/bpf")
        );
        follow(&lab.gateway, finding)?;
        checks(agent, "bpffs")?.all_ok()
    });
}

#[test]
fn settings_of_the_kernel() {
    agent_scenario(Setup::default(), |lab, agent| {
        let set = |setting: &str| lab.gateway.must(&format!("sysctl -qw {setting}"));
        for (check, status, bad) in [
            ("forwarding", "FAIL", "net.ipv4.ip_forward=0"),
            ("forwarding", "FAIL", "net.ipv4.conf.wan0.forwarding=0"),
            (
                "timeouts",
                "WARN",
                "net.netfilter.nf_conntrack_tcp_timeout_established=600",
            ),
        ] {
            checks(agent, check)?.all_ok()?;
            set(bad)?;
            let report = checks(agent, check)?;
            let (name, _) = bad.split_once('=').context("a setting has a value")?;
            follow(&lab.gateway, report.the(status, name)?)?;
            checks(agent, check)?.all_ok()?;
        }

        let reserved = "net.ipv4.ip_local_reserved_ports=";
        set(&format!("{reserved}49152-65535"))?;
        checks(agent, "port-range")?.the("FAIL", "49152-65535")?;
        set(&format!("{reserved}49152-65000"))?;
        checks(agent, "port-range")?.the("WARN", "535 ports")?;
        set(&format!("{reserved}50000"))?;
        let mut running = agent.start()?;
        doctor(agent, &[])?.all_ok()?;
        set(&format!("{reserved}50001"))?;
        let report = checks(agent, "port-range")?;
        let finding = report.the("WARN", "50000")?;
        assert_eq!(finding["fix"], "start the agent again");
        running.stop(Signal::SIGTERM)?;
        let _running = agent.start()?;
        doctor(agent, &[])?.all_ok()
    });
}

#[test]
fn forwarding_of_the_other_family() {
    let setup = Setup::new(Inside::Client, Family::V6, Translation::Nat);
    agent_scenario(setup, |lab, agent| {
        checks(agent, "forwarding,outside-address")?.all_ok()?;
        lab.gateway
            .must("sysctl -qw net.ipv6.conf.all.forwarding=0")?;
        let report = checks(agent, "forwarding")?;
        let finding = report.the("FAIL", "net.ipv6.conf.all.forwarding")?;
        assert_eq!(finding["subject"], "wan0 IPv6");
        follow(&lab.gateway, finding)?;
        checks(agent, "forwarding")?.all_ok()
    });
}

#[test]
fn dropped_by_the_test_of_source_addresses() {
    agent_scenario(Setup::default(), |lab, agent| {
        lab.gateway
            .must("sysctl -qw net.ipv4.conf.all.rp_filter=0")?;
        lab.gateway
            .must("sysctl -qw net.ipv4.conf.wan0.rp_filter=1")?;
        // Strict alone is what many distributions start with.
        checks(agent, "rp-filter")?.all_ok()?;
        // From the outside, with an address of the inside network.
        lab.server.must("ip address add 10.0.0.77/32 dev lo")?;
        lab.server.enter(|| {
            let socket = UdpSocket::bind("10.0.0.77:0")?;
            socket.send_to(b"stray", (lab.setup.addresses.wan, 9))?;
            Ok(())
        })?;
        let report = checks(agent, "rp-filter")?;
        let finding = report.the("WARN", "1 packet was dropped")?;
        follow(&lab.gateway, finding)?;
        checks(agent, "rp-filter")?.all_ok()?;

        lab.gateway
            .must("sysctl -qw net.ipv4.conf.wan0.rp_filter=1")?;
        lab.gateway.must("ip route add default via 10.0.0.2")?;
        let report = checks(agent, "rp-filter")?;
        report.the("WARN", "the default route leads through lan0")?;
        Ok(())
    });
}

#[test]
fn a_second_translation_in_front() {
    agent_scenario(Setup::default(), |lab, agent| {
        for (address, kind) in [("100.64.0.5", "RFC 6598"), ("192.168.7.1", "RFC 1918")] {
            lab.gateway.must("ip -4 address flush dev wan0")?;
            lab.gateway
                .must(&format!("ip address add {address}/24 dev wan0"))?;
            let report = checks(agent, "outside-address")?;
            let finding = report.the("WARN", address)?;
            let said = finding.to_string();
            assert!(said.contains(kind), "{finding:#}");
            assert!(said.contains("--advertise wan0=ADDRESS"), "{finding:#}");
        }
        let mut running = agent.start()?;
        let log = running.log()?;
        let told: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("192.168.7.1"))
            .collect();
        assert_eq!(told.len(), 1, "{log}");
        assert!(told[0].contains("WARN outside-address"), "{log}");
        running.stop(Signal::SIGTERM)?;

        let before = log.len();
        let advertise = ["run", "-i", "wan0", "--advertise", "wan0=203.0.113.9"];
        let running = agent.start_with(&advertise)?;
        let log = running.log()?;
        assert!(!log[before..].contains("outside-address"), "{log}");
        let report = doctor(agent, &["--checks", "outside-address"])?;
        report.all_ok()?;
        report.the("OK", "203.0.113.9")?;
        Ok(())
    });
}

#[test]
fn the_kernels_helper_on_the_same_port() {
    let setup = Setup {
        helper: Helper::Kernel,
        ..Setup::default()
    };
    agent_scenario(setup, |lab, agent| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let mut control = Control::login(&lab.client, server.endpoint())?;

        // A start says so, or does not happen.
        let output = agent.cli(&["run", "-i", "wan0", "--on-conflict", "refuse"])?;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert!(output.stderr.contains("WARN kernel-helper"), "{output:?}");
        assert!(!Path::new(PINS).exists());
        let told = |log: &str| {
            let lines = log.lines().filter(|line| line.contains("kernel-helper"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let mut running = agent.start()?;
        if told(&running.log()?).len() < 2 {
            // A tool took longer than a start waits for it.
            running.stop(Signal::SIGTERM)?;
            running = agent.start()?;
        }
        let log = running.log()?;
        // The rule, and the connection that it was attached to.
        assert_eq!(told(&log).len(), 2, "{log}");
        assert!(
            log.contains("nft delete rule inet helper prerouting handle"),
            "{log}"
        );

        let report = checks(agent, "kernel-helper")?;
        assert_eq!(report.code, Some(0));
        let of = |text: &str| {
            let mut findings = report.findings.iter();
            findings
                .find(|finding| {
                    finding["subject"]
                        .as_str()
                        .is_some_and(|s| s.starts_with(text))
                })
                .with_context(|| format!("nothing about {text}: {report:#?}"))
        };
        let rule = of("nft inet helper prerouting")?;
        assert_eq!(rule["status"], "WARN");
        let connection = of("conntrack")?;
        assert_eq!(connection["status"], "WARN");
        assert!(
            connection.to_string().contains("1 connection is there"),
            "{connection:#}"
        );

        follow(&lab.gateway, rule)?;
        checks(agent, "kernel-helper")?.the("WARN", "conntrack")?;
        control.command("QUIT")?.expect_code(221)?;
        drop(control);
        lab.gateway.must("conntrack -F")?;
        checks(agent, "kernel-helper")?.all_ok()?;

        // It is another matter on another port.
        let table = "table inet other { ct helper h { type \"ftp\" protocol tcp; }; chain c { type \
                     filter hook prerouting priority 0; tcp dport 2121 ct helper set \"h\"; }; }";
        let output = lab.gateway.run("nft", [table])?;
        output.success("nft")?;
        checks(agent, "kernel-helper")?.all_ok()?;
        agent.cli(&["port", "add", "2121"])?.success("port add")?;
        let report = checks(agent, "kernel-helper")?;
        follow(&lab.gateway, report.the("WARN", "port 2121")?)?;
        checks(agent, "kernel-helper")?.all_ok()?;
        running.stop(Signal::SIGTERM)?;
        let before = log.len();
        let running = agent.start_with(&["run", "-i", "wan0", "--on-conflict", "refuse"])?;
        assert_eq!(told(&running.log()?[before..]), Vec::<String>::new());
        Ok(())
    });
}

#[test]
fn the_kernels_helper_attached_with_iptables() {
    agent_scenario(Setup::default(), |lab, agent| {
        checks(agent, "kernel-helper")?.all_ok()?;
        for tool in [
            "iptables-nft",
            "ip6tables-nft",
            "iptables-legacy",
            "ip6tables-legacy",
        ] {
            lab.gateway.must(&format!(
                "{tool} -t raw -A PREROUTING -i lan0 -p tcp --dport 21 -j CT --helper ftp"
            ))?;
            let report = checks(agent, "kernel-helper")?;
            let finding = report.the("WARN", &format!("{tool} raw PREROUTING"))?;
            let output = agent.cli(&["run", "-i", "wan0", "--on-conflict", "refuse"])?;
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(output.stderr.contains(tool), "{output:?}");
            follow(&lab.gateway, finding)?;
            checks(agent, "kernel-helper")?.all_ok()?;
        }
        Ok(())
    });
}

#[test]
fn tools_that_are_missing_are_skipped_and_no_start_fails() {
    agent_scenario(Setup::default(), |lab, agent| {
        // Hidden by an empty directory, for the lab alone.
        let places: Vec<&str> = ["/usr/sbin", "/usr/local/sbin"]
            .into_iter()
            .filter(|place| Path::new(place).is_dir())
            .collect();
        for place in &places {
            lab.gateway.must(&format!("mount -t tmpfs none {place}"))?;
        }
        let report = checks(agent, "kernel-helper,firewall");
        let started = agent.start();
        for place in &places {
            lab.gateway.must(&format!("umount {place}"))?;
        }
        let report = report?;
        assert_eq!(report.code, Some(0));
        let skipped = |check: &str| {
            report.findings.iter().any(|finding| {
                finding["check"] == check
                    && finding["status"] == "SKIP"
                    && finding.to_string().contains("there is no `nft`")
            })
        };
        assert!(
            skipped("kernel-helper") && skipped("firewall"),
            "{report:#?}"
        );
        started?;
        Ok(())
    });
}

#[test]
fn firewalls_that_know_nothing_of_established() {
    agent_scenario(Setup::default(), |lab, agent| {
        checks(agent, "firewall")?.all_ok()?;
        lab.gateway.must("nft flush chain inet filter forward")?;
        let report = checks(agent, "firewall")?;
        follow(&lab.gateway, report.the("WARN", "inet filter forward")?)?;
        checks(agent, "firewall")?.all_ok()?;
        for tool in ["iptables-nft", "iptables-legacy"] {
            lab.gateway.must(&format!("{tool} -P FORWARD DROP"))?;
            let report = checks(agent, "firewall")?;
            follow(&lab.gateway, report.the("WARN", tool)?)?;
            checks(agent, "firewall")?.all_ok()?;
        }
        Ok(())
    });
}

#[test]
fn programs_of_others_on_the_interface() {
    helped_scenario(Setup::default(), |lab, agent, _| {
        let look = || checks(agent, "order,attachment,cilium");
        look()?.all_ok()?;
        let program = Program::load("somebody")?;
        let attach = |program: &Program, way, place| {
            lab.gateway.enter(|| program.attach("wan0", way, place))
        };
        let Some(link) = attach(&program, Direction::Ingress, Place::First)? else {
            println!("SKIP: this kernel has no TCX");
            return Ok(());
        };
        let report = look()?;
        let finding = report.the("WARN", "`somebody` runs before ours")?;
        assert_eq!(finding["subject"], "wan0 ingress");
        drop(link);
        look()?.all_ok()?;

        // Behind ours it sees what ours leaves on the way in, which is fine.
        let link = attach(&program, Direction::Ingress, Place::Last)?;
        look()?.all_ok()?;
        drop(link);
        let link = attach(&program, Direction::Egress, Place::Last)?;
        let report = look()?;
        let finding = report.the("WARN", "`somebody` runs behind ours")?;
        assert_eq!(finding["subject"], "wan0 egress");
        drop(link);

        let cilium = Program::load("cil_to_netdev")?;
        let link = attach(&cilium, Direction::Egress, Place::First)?;
        let report = checks(agent, "cilium")?;
        report.the("WARN", "`cil_to_netdev`")?;
        drop(link);
        look()?.all_ok()?;

        // A filter of the qdisc, which packets pass behind all links.
        program.pin("/sys/fs/bpf/somebody")?;
        lab.gateway.must("tc qdisc add dev wan0 clsact")?;
        lab.gateway.must(
            "tc filter add dev wan0 egress prio 1 bpf da object-pinned /sys/fs/bpf/somebody",
        )?;
        look()?.the("WARN", "runs behind ours")?;
        lab.gateway.must("tc qdisc del dev wan0 clsact")?;
        look()?.all_ok()
    });
}

#[test]
fn filters_of_others_beside_ours() {
    agent_scenario(Setup::default(), |lab, agent| {
        let arguments = ["run", "-i", "wan0", "--attach", "clsact"];
        let running = agent.start_with(&arguments)?;
        let look = || checks(agent, "order,attachment");
        look()?.all_ok()?;
        Program::load("somebody")?.pin("/sys/fs/bpf/somebody")?;
        let filter = |priority: u16| {
            lab.gateway.must(&format!(
                "tc filter add dev wan0 ingress prio {priority} bpf da object-pinned \
                 /sys/fs/bpf/somebody"
            ))
        };
        filter(1)?;
        look()?.the("WARN", "runs before ours")?;
        lab.gateway.must("tc filter del dev wan0 ingress prio 1")?;
        filter(9)?;
        look()?.all_ok()?;

        // Somebody removes ours.
        lab.gateway.must("tc filter del dev wan0 egress")?;
        let report = look()?;
        let finding = report.the("FAIL", "somebody removed it")?;
        assert_eq!(finding["subject"], "wan0 egress");
        drop(running);
        let _running = agent.start_with(&arguments)?;
        look()?.all_ok()
    });
}

#[test]
fn pins_that_do_not_fit() {
    agent_scenario(Setup::default(), |lab, agent| {
        lab.gateway
            .must("ip link add dummy0 type veth peer name dummy1")?;
        let mut running = agent.start_with(&["run", "-i", "wan0", "-i", "dummy0"])?;
        checks(agent, "pins,attachment")?.all_ok()?;

        // A running agent would clean up. The other end of a pair goes with it.
        running.stop(Signal::SIGTERM)?;
        lab.gateway.must("ip link del dummy1")?;
        let report = doctor(agent, &["--checks", "attachment"])?;
        let gone = |finding: &&Value| {
            finding["reason"]
                .as_str()
                .is_some_and(|r| r.contains("gone"))
        };
        let gone: Vec<&Value> = report.findings.iter().filter(gone).collect();
        assert_eq!(gone.len(), 2, "{report:#?}");
        assert!(gone.iter().all(|finding| finding["status"] == "FAIL"));
        let mut running = agent.start()?;
        checks(agent, "pins,attachment,order")?.all_ok()?;

        // A second one works on the same lines.
        let second = ["--pin-dir", "/sys/fs/bpf/second", "run", "-i", "wan0"];
        let mut other = agent.start_with(&second)?;
        let report = checks(agent, "pins,order")?;
        report.the("WARN", "/sys/fs/bpf/second")?;
        let failed = |finding: &&Value| finding["status"] == "FAIL";
        assert_eq!(
            report.findings.iter().filter(failed).count(),
            2,
            "{report:#?}"
        );
        other.stop(Signal::SIGTERM)?;
        agent.table(&["--pin-dir", "/sys/fs/bpf/second", "detach"])?;
        checks(agent, "pins,order")?.all_ok()?;

        // What another version may have left.
        running.stop(Signal::SIGTERM)?;
        let counters = fs::read_dir(PINS)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().contains("map_COUNTERS_v"))
            .context("the counters are pinned")?;
        fs::rename(counters, format!("{PINS}/map_COUNTERS_v4711"))?;
        let report = checks(agent, "pins")?;
        report.the("FAIL", "schema version 4711")?;
        agent.table(&["detach"])?;
        checks(agent, "pins")?.all_ok()
    });
}

#[test]
fn what_was_counted() {
    agent_scenario(Setup::default(), |lab, agent| {
        let _running = agent.start_with(&["run", "-i", "wan0", "--client-limit", "1"])?;
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let _first = Control::login(&lab.client, server.endpoint())?;
        checks(agent, "counters")?.all_ok()?;
        let _second = Control::login(&lab.client, server.endpoint())?;
        let report = checks(agent, "counters")?;
        let finding = report.the("WARN", "client_limit")?;
        assert!(
            finding["fix"].to_string().contains("--client-limit"),
            "{finding:#}"
        );
        Ok(())
    });
}

#[test]
fn flow_tables() {
    agent_scenario(Setup::default(), |lab, agent| {
        let rules = |device: &str| {
            format!(
                "table inet short {{ flowtable f {{ hook ingress priority 0; devices = {{ {device} \
                 }}; }}; chain c {{ type filter hook forward priority 0; ip protocol tcp flow add \
                 @f; }}; }}"
            )
        };
        let add = |device: &str| lab.gateway.run("nft", [rules(device)]);
        if !add("wan0")?.status.success() {
            println!("SKIP: this kernel has no flow tables (CONFIG_NF_FLOW_TABLE)");
            return Ok(());
        }
        // In software and on the interface itself it takes no packet past TC.
        let report = checks(agent, "flow-offload")?;
        report.all_ok()?;
        report.the("OK", "works in software")?;
        let vlan = "ip link add link wan0 name wan0.7 type vlan id 7";
        if !lab
            .gateway
            .run("ip", vlan.split(' ').skip(1))?
            .status
            .success()
        {
            println!("SKIP: this kernel has no VLANs");
            return Ok(());
        }
        let look = || doctor(agent, &["-i", "wan0.7", "--checks", "flow-offload"]);
        let report = look()?;
        let finding = report.the("FAIL", "at wan0 beneath wan0.7")?;
        let output = agent.cli(&["run", "-i", "wan0.7", "--on-conflict", "refuse"])?;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stderr.contains("FAIL flow-offload"), "{output:?}");
        let fix = finding["fix"].as_str().context("a fix")?;
        let (command, _) = fix.split_once(" (").context("the rest of the rule")?;
        lab.gateway.must(command)?;
        look()?.all_ok()
    });
}

/// Rules that put control connections where they are not looked for, and the connections.
#[test]
fn zones_of_conntrack() {
    agent_scenario(Setup::default(), |lab, agent| {
        checks(agent, "zones")?.all_ok()?;
        let rules = "table inet zones { chain c { type filter hook prerouting priority raw; ct zone \
                     set 7; }; }";
        if !lab.gateway.run("nft", [rules])?.status.success() {
            println!("SKIP: this kernel has no zones (CONFIG_NF_CONNTRACK_ZONES)");
            return Ok(());
        }
        let told = |subject| -> Result<()> {
            let report = checks(agent, "zones")?;
            let finding = report.the("WARN", subject)?;
            assert_eq!(finding["fix"], "ftp-helper run --ct-zone 7");
            Ok(())
        };
        told("nft inet zones c")?;
        // A start says so too.
        let mut running = agent.start()?;
        running.says("WARN zones, nft inet zones c")?;
        running.stop(Signal::SIGTERM)?;

        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let control = Control::login(&lab.client, server.endpoint())?;
        lab.gateway.must("nft delete table inet zones")?;
        told("1 control connection is in zone 7")?;
        if is_before(6, 11)? {
            println!("SKIP: programs can not look into a zone (before Linux 6.11)");
            return Ok(());
        }
        let _running = agent.start_with(&["run", "-i", "wan0", "--ct-zone", "7"])?;
        checks(agent, "zones")?.all_ok()?;
        drop(control);
        for tool in ["iptables-nft", "ip6tables-legacy"] {
            let rule = "PREROUTING -t raw -p tcp --dport 21 -j CT --zone 9";
            lab.gateway.must(&format!("{tool} -A {rule}"))?;
            let report = checks(agent, "zones")?;
            let finding = report.the("WARN", &format!("{tool} raw PREROUTING"))?;
            assert_eq!(finding["fix"], "ftp-helper run --ct-zone 9");
            lab.gateway.must(&format!("{tool} -D {rule}"))?;
        }
        checks(agent, "zones")?.all_ok()
    });
}

/// Packets of a bridge are translated before a program on it sees them.
#[test]
fn a_bridge_in_place_of_its_port() {
    if let Some(why) = bridges_without_iptables() {
        skip(&why);
        return;
    }
    agent_scenario(Setup::default(), |lab, agent| {
        lab.gateway.must("ip link add br7 type bridge")?;
        lab.gateway.must("ip link add port7 type veth")?;
        lab.gateway.must("ip link set port7 master br7")?;
        let set = |value: u8| {
            lab.gateway.must(&format!(
                "sysctl -qw net.bridge.bridge-nf-call-iptables={value} \
                 net.bridge.bridge-nf-call-ip6tables={value}"
            ))
        };
        let look = |name: &str| doctor(agent, &["-i", name, "--checks", "bridge"]);
        set(1)?;
        let report = look("br7")?;
        let finding = report.the("FAIL", "before a program on it sees them")?;
        let fix = finding["fix"].as_str().unwrap_or_default();
        assert!(fix.contains("-i port7"), "{fix}");
        look("port7")?.all_ok()?;
        set(0)?;
        look("br7")?.all_ok()
    });
}

#[test]
fn large_receive_offload() {
    agent_scenario(Setup::default(), |lab, agent| {
        checks(agent, "lro")?.all_ok()?;
        // A kernel that forwards turns it off by itself; others can turn it on again.
        lab.gateway
            .must("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0")?;
        for kind in ["team", "bond"] {
            let made = lab
                .gateway
                .run("ip", ["link", "add", "lro0", "type", kind])?;
            if !made.status.success() {
                continue;
            }
            let look = || doctor(agent, &["-i", "lro0", "--checks", "lro"]);
            let report = look()?;
            follow(&lab.gateway, report.the("WARN", "lro0")?)?;
            return look()?.all_ok();
        }
        println!("SKIP: no device of this kernel has large receive offload");
        Ok(())
    });
}

/// A start waits for the tools of the firewall for a moment, not longer.
#[test]
fn slow_tools_do_not_hold_up_a_start() {
    agent_scenario(Setup::default(), |lab, agent| {
        let place = format!("{FILES}/slow");
        fs::create_dir(&place)?;
        // By a process of its own: what this one has open for writing, a program that another
        // test starts has open as well, and then it can not be run.
        let line =
            format!("printf '#!/bin/sh\\nexec sleep 60\\n' >{place}/nft && chmod 755 {place}/nft");
        lab.gateway.run("sh", ["-c", &line])?.success("sh")?;
        let path = env::var("PATH").unwrap_or_default();
        let mut command = agent.command(&["--log-level", "debug", "run", "-i", "wan0"]);
        command.env("PATH", format!("{place}:{path}"));
        // Half as long as the tool takes.
        let daemon = Daemon::start(&mut command, &lab.logs().join("slow.log"))?;
        wait_for("a start", LIMIT, || {
            Ok(daemon.log()?.contains("ready: ").then_some(()))
        })?;
        let log = daemon.log()?;
        assert!(
            log.contains("`nft -j -t list ruleset` took too long"),
            "{log}"
        );
        Ok(())
    });
}
