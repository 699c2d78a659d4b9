//! Programs, filters and qdiscs of others on the same interface: help works beside
//! them, where it is asked to, and they are there as before when it is gone.

#[path = "doctor/foreign.rs"]
#[expect(dead_code, reason = "another user of it pins programs")]
mod foreign;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use ftp_helper::{datapath::chain, device::Device};
use ftp_helper_common::session::Direction;
use ftp_helper_tests::{
    agent::{Agent, PINS},
    check::exchange,
    client::{ClientKind, Mode},
    lab::Lab,
    process::run,
    scenario::agent_scenario,
    server::{Server, ServerKind},
    setup::Setup,
    transfers::Transfers,
};
use nix::sys::signal::Signal;

use self::foreign::{Link, Place, Program};

const BOTH: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// The programs of somebody else, in the order in which they run.
const OTHERS: [&str; 2] = ["their_first", "their_last"];

/// As much of them as the kernel keeps.
const OURS: [&str; 2] = ["ftp_helper_ingr", "ftp_helper_egre"];

/// Attaches them to both directions of `wan0` on the gateway, until what is
/// returned goes away. Nothing when the kernel has no TCX.
fn attach_others(lab: &Lab) -> Result<Vec<Link>> {
    let mut links = Vec::new();
    for (name, place) in OTHERS.into_iter().zip([Place::First, Place::Last]) {
        let program = Program::load(name)?;
        for direction in BOTH {
            let link = lab
                .gateway
                .enter(|| program.attach("wan0", direction, place))?;
            links.extend(link);
        }
    }
    Ok(links)
}

/// Names of the programs on `wan0`, by direction.
fn programs(lab: &Lab) -> Result<[Vec<String>; 2]> {
    let programs = |direction| -> Result<Vec<String>> {
        let found = lab
            .gateway
            .enter(|| chain::tcx(&Device::find("wan0")?, direction))?
            .context("the kernel has no TCX any more")?;
        Ok(found.into_iter().map(|program| program.name).collect())
    };
    Ok([programs(BOTH[0])?, programs(BOTH[1])?])
}

/// A download and an upload in active mode.
fn transfer(lab: &Lab, server: &Server) -> Result<()> {
    let mut transfers = Transfers::new();
    transfers.download(lab, server, 100_000)?;
    transfers.upload(lab, server, 100_000)?;
    exchange(lab, server, ClientKind::Curl, Mode::Active, &transfers)?;
    Ok(())
}

/// A start that has to fail, for a reason in these words. The kernel verifies the
/// programs before anything is attached, which may take long.
fn refused(agent: &Agent, more: &[&str], texts: &[&str]) -> Result<()> {
    let arguments = [&["run", "-i", "wan0"], more].concat();
    let output = run(&mut agent.command(&arguments), Duration::from_secs(300))?;
    ensure!(!output.status.success(), "it started");
    for text in texts {
        ensure!(output.stderr.contains(text), "{text}: {}", output.stderr);
    }
    Ok(())
}

fn no_pin_is_left() -> Result<()> {
    ensure!(!Path::new(PINS).exists(), "{PINS} is left");
    Ok(())
}

#[test]
fn between_tcx_programs_of_others() {
    agent_scenario(Setup::default(), |lab, agent| {
        let links = attach_others(lab)?;
        if links.is_empty() {
            eprintln!("SKIP: this kernel has no TCX");
            return Ok(());
        }
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        let [first, last] = OTHERS;
        let between = [
            "--order",
            "after:their_first",
            "--order",
            "egress=before:their_last",
        ];
        for (order, ingress, egress) in [
            (&[][..], [OURS[0], first, last], [first, last, OURS[1]]),
            (
                &["--order", "last"],
                [first, last, OURS[0]],
                [first, last, OURS[1]],
            ),
            (&between, [first, OURS[0], last], [first, OURS[1], last]),
        ] {
            let arguments = [&["run", "-i", "wan0"], order].concat();
            let mut running = agent.start_with(&arguments)?;
            assert_eq!(programs(lab)?, [ingress, egress], "{order:?}");
            transfer(lab, &server)?;
            running.stop(Signal::SIGINT)?;
            // The next agent takes over, and goes to the same place.
            if !order.is_empty() {
                let _running = agent.start_with(&arguments)?;
                assert_eq!(programs(lab)?, [ingress, egress], "{order:?}");
            }
            agent.cli(&["detach", "--force"])?.success("detach")?;
            assert_eq!(programs(lab)?, [OTHERS, OTHERS], "{order:?}");
        }
        drop(links);
        Ok(())
    });
}

#[test]
fn a_place_that_is_not_there_is_refused() {
    agent_scenario(Setup::default(), |lab, agent| {
        let links = attach_others(lab)?;
        if !links.is_empty() {
            let order = ["--order", "ingress=before:nobody"];
            refused(
                agent,
                &order,
                &["ingress of interface wan0", "no program nobody"],
            )?;
            // What was attached before the error is gone as well.
            let order = ["--order", "egress=after:4294967295"];
            refused(
                agent,
                &order,
                &["egress of interface wan0", "no program 4294967295"],
            )?;
            assert_eq!(programs(lab)?, [OTHERS, OTHERS]);
        }
        let order = ["--order", "after:their_first", "--attach", "clsact"];
        refused(agent, &order, &["TCX (Linux 6.6)", "--order first"])?;
        let qdiscs = lab.gateway.must("tc qdisc show dev wan0")?;
        assert!(!qdiscs.contains("clsact"), "{qdiscs}");
        no_pin_is_left()
    });
}

/// A filter that lets everything go on to the next one (TC_ACT_UNSPEC).
fn add_filter(lab: &Lab, direction: &str, priority: &str) -> Result<()> {
    let words = [
        "filter",
        "add",
        "dev",
        "wan0",
        direction,
        "prio",
        priority,
        "protocol",
        "all",
        "bpf",
        "direct-action",
        "bytecode",
        "1,6 0 0 4294967295,",
    ];
    lab.gateway.run("tc", words)?.success("tc filter add")?;
    Ok(())
}

/// Priorities of the filters of `wan0`, and whether they are ours.
fn filters(lab: &Lab, direction: &str) -> Result<Vec<(String, bool)>> {
    let text = lab
        .gateway
        .must(&format!("tc filter show dev wan0 {direction}"))?;
    let filters = text.lines().filter(|line| line.contains(" handle "));
    filters
        .map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| *word != "pref");
            let priority = words.nth(1).with_context(|| text.clone())?;
            Ok((priority.to_owned(), line.contains("ftp_helper")))
        })
        .collect()
}

#[test]
fn between_clsact_filters_of_others() {
    agent_scenario(Setup::default(), |lab, agent| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        lab.gateway.must("tc qdisc add dev wan0 clsact")?;
        let theirs = ["1", "49152", "65535"];
        for direction in ["ingress", "egress"] {
            for priority in theirs {
                add_filter(lab, direction, priority)?;
            }
        }
        let with = |ours: Option<&str>| {
            let mut all: Vec<(String, bool)> = theirs
                .into_iter()
                .map(|priority| (priority.to_owned(), false))
                .chain(ours.map(|priority| (priority.to_owned(), true)))
                .collect();
            all.sort_by_key(|(priority, _)| priority.parse().unwrap_or(0_u32));
            all
        };
        for (more, ingress, egress) in [
            (&["--attach", "clsact"][..], Some("2"), Some("65534")),
            (
                &["--attach", "clsact", "--order", "last"],
                Some("65534"),
                Some("65534"),
            ),
            (
                &["--attach", "clsact", "--order", "first"],
                Some("2"),
                Some("2"),
            ),
        ] {
            let arguments = [&["run", "-i", "wan0"], more].concat();
            let mut running = agent.start_with(&arguments)?;
            assert_eq!(filters(lab, "ingress")?, with(ingress), "{more:?}");
            assert_eq!(filters(lab, "egress")?, with(egress), "{more:?}");
            transfer(lab, &server)?;
            running.stop(Signal::SIGINT)?;
            agent.cli(&["detach", "--force"])?.success("detach")?;
            assert_eq!(filters(lab, "ingress")?, with(None), "{more:?}");
            assert_eq!(filters(lab, "egress")?, with(None), "{more:?}");
            let qdiscs = lab.gateway.must("tc qdisc show dev wan0")?;
            assert!(qdiscs.contains("clsact"), "{qdiscs}");
        }
        Ok(())
    });
}

/// An `ingress` qdisc has its own filters in the place where clsact would be.
#[test]
fn beside_an_ingress_qdisc() {
    agent_scenario(Setup::default(), |lab, agent| {
        let server = Server::start(lab, ServerKind::Vsftpd)?;
        lab.gateway.must("tc qdisc add dev wan0 ingress")?;
        add_filter(lab, "ingress", "7")?;
        let theirs = [("7".to_owned(), false)];
        let clsact = ["--attach", "clsact"];
        refused(agent, &clsact, &["no clsact", "tc qdisc show dev wan0"])?;
        assert_eq!(filters(lab, "ingress")?, theirs);
        no_pin_is_left()?;

        let links = attach_others(lab)?;
        if !links.is_empty() {
            let _running = agent.start()?;
            transfer(lab, &server)?;
            agent.cli(&["detach", "--force"])?.success("detach")?;
            assert_eq!(filters(lab, "ingress")?, theirs);
        }
        let qdiscs = lab.gateway.must("tc qdisc show dev wan0")?;
        assert!(qdiscs.contains("qdisc ingress"), "{qdiscs}");
        Ok(())
    });
}
