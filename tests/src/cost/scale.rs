//! Many sessions at once.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use nix::net::if_::if_nametoindex;

use super::{
    amount::Amount,
    effort,
    fill::{Filled, Probes},
    peer::Peer,
    report::{Better, Section, Table},
    rig::{Rig, rig, words},
    samples::{Head, Samples},
};
use crate::{process::run, setup::Inside, soak::gauge::process_of};

/// The name for `--only`.
pub const NAME: &str = "scale";
/// The table of single packets.
pub const PACKETS: &str = "packets";
/// The table of what entries take.
pub const MEMORY: &str = "memory";

/// Measures.
pub fn measure(amount: &Amount) -> Result<Section> {
    let (agent, probes, remarks) = rig(Inside::Client, |rig| {
        let mut remarks = kernels_limits(rig);
        let (agent, more) = filled(rig, amount)?;
        remarks.extend(more);
        let probes = probe(rig, amount)?;
        Ok((agent, probes, remarks))
    })?;
    Ok(Section {
        name: NAME.to_owned(),
        title: "Scale".to_owned(),
        method: vec![
            "Sessions and expectations are put into the tables through bpf(2), not opened one \
             by one; each has a peer address of its own, and the tables have room for 131072. \
             Memory is what the kernel counts for a map (`memlock` in its `fdinfo`), per entry \
             that was added. The agent's share of a processor is what the scheduler accounts to \
             it while nothing comes or goes, over some seconds; `expect list` and `session list` \
             are whole commands, from their start to their end."
                .to_owned(),
            "Packets among them go through the programs by `BPF_PROG_TEST_RUN`, one run a call, \
             in turns for all fillings, each with tables of its own; an empty program's time is \
             taken off. *Another session each time* touches memory that no cache has held since \
             the table was filled; *the same session* shows the table itself."
                .to_owned(),
        ],
        tables: [agent, vec![probes]].concat(),
        remarks,
        ..Section::default()
    })
}

fn at(entries: u32) -> String {
    super::document::number(f64::from(entries), 0)
}

/// The agent's tables at each filling, and what an operator waits for.
fn filled(rig: &mut Rig, amount: &Amount) -> Result<(Vec<Table>, Vec<String>)> {
    rig.give(Peer::Ours)?;
    let ifindex = rig
        .lab
        .gateway
        .enter(|| if_nametoindex("wan0").context("there is no wan0"))?;
    let (mut memory, mut inserts) = (Samples::default(), Samples::default());
    let (mut share, mut waits) = (Samples::default(), Samples::default());
    let mut remarks = Vec::new();
    let mut before = 0;
    for entries in amount.fill {
        let column = at(*entries);
        let words = words([&"fill", &Rig::pins(), &ifindex, &before, entries]);
        let filled: Filled = rig.task(&rig.lab.gateway, &words, Duration::from_secs(60))?;
        before = *entries;
        memory.note(0, "a session", &column, counted(filled.session_bytes));
        memory.note(
            0,
            "an expectation",
            &column,
            counted(filled.expectation_bytes),
        );
        inserts.add(0, "session", &column, filled.session_insert);
        inserts.add(0, "expectation", &column, filled.expectation_insert);
        if remarks.is_empty() && filled.session_bytes > 0.0 {
            remarks.push(format!(
                "An empty table of sessions takes {} KiB, for its buckets.",
                super::document::number(filled.empty_sessions / 1024.0, 0)
            ));
        }
        let busy = agent_share(rig, amount.watch)?;
        share.add(0, "nothing comes or goes", &column, busy * 100.0);
        for list in ["expect", "session"] {
            for (form, output) in [("table", "table"), ("JSON", "json")] {
                let what = format!("`{list} list`, {form}");
                for round in 0..3 {
                    let taken = command_time(rig, &[list, "list", "-o", output]);
                    let is_long = !taken.as_ref().is_ok_and(|time| *time < LONG);
                    waits.note(round, &what, &column, taken.map(|time| time * 1e3));
                    if is_long {
                        break;
                    }
                }
            }
        }
    }
    let anchor = at(amount.fill.first().copied().unwrap_or_default());
    let head = |name, title, unit, digits| Head {
        name,
        title,
        unit,
        digits,
        better: Better::Lower,
        anchor: &anchor,
    };
    Ok((
        vec![
            memory.table(head(MEMORY, "Memory of an entry", "bytes", 0)),
            inserts.table(head(
                "inserts",
                "Putting an entry into a table, by bpf(2)",
                "ns",
                0,
            )),
            share.table(head("agent", "The agent's share of a processor", "%", 2)),
            waits.table(head("lists", "Commands of an operator", "ms", 1)),
        ],
        remarks,
    ))
}

/// Bytes that the kernel counts for an entry.
fn counted(bytes: f64) -> Result<f64> {
    ensure!(
        bytes > 0.0,
        "this kernel counts every table as if it were full (before Linux 6.4)"
    );
    Ok(bytes)
}

/// Seconds after which once is enough.
const LONG: f64 = 5.0;

/// Seconds that a command of the agent's takes.
fn command_time(rig: &Rig, words: &[&str]) -> Result<f64> {
    const LIMIT: Duration = Duration::from_secs(30);

    let begin = Instant::now();
    let output = run(&mut rig.agent().command(words), LIMIT)
        .map_err(|_| anyhow!("it takes longer than {} s", LIMIT.as_secs()))?;
    let taken = begin.elapsed().as_secs_f64();
    output.success(&words.join(" "))?;
    Ok(taken)
}

/// Which part of a processor the agent uses.
fn agent_share(rig: &Rig, time: Duration) -> Result<f64> {
    let agent = process_of(rig.agent())?;
    let begin = Instant::now();
    let before = effort::running_time(&agent)?;
    sleep(time);
    let used = effort::running_time(&agent)?.saturating_sub(before);
    Ok(used.as_secs_f64() / begin.elapsed().as_secs_f64())
}

/// Single packets among many sessions.
fn probe(rig: &mut Rig, amount: &Amount) -> Result<Table> {
    // The agent is not needed, and would take time of its own.
    rig.give(Peer::Masquerade)?;
    let fill = amount.fill.iter().map(u32::to_string).collect::<Vec<_>>();
    let mut words = words([&"probe", &"/sys/fs/bpf", &amount.probes]);
    words.extend(fill);
    let found: Vec<Probes> = rig.task(&rig.lab.gateway, &words, Duration::from_secs(120))?;
    let mut samples = Samples::default();
    for (entries, probes) in amount.fill.iter().zip(found) {
        for (what, times) in [
            ("the same session each time", probes.same),
            ("another session each time", probes.another),
            ("a new session", probes.new),
            (
                "an announcement, of another session each time",
                probes.announcement,
            ),
            (
                "a first packet at a port where none is awaited",
                probes.elsewhere,
            ),
            (
                "a first packet that nobody awaits, at the port of all others",
                probes.stranger,
            ),
        ] {
            for (round, time) in times.into_iter().enumerate() {
                samples.add(round, what, &at(*entries), time);
            }
        }
    }
    let anchor = at(amount.fill.first().copied().unwrap_or_default());
    Ok(samples.table(Head {
        name: PACKETS,
        title: "A packet among so many sessions and expectations",
        unit: "ns",
        digits: 0,
        better: Better::Lower,
        anchor: &anchor,
    }))
}

/// What the kernel's own helper has room for.
fn kernels_limits(rig: &Rig) -> Vec<String> {
    let read = |name: &str| {
        let path = format!("/proc/sys/net/netfilter/{name}");
        let text = rig
            .lab
            .gateway
            .enter(|| fs::read_to_string(&path).with_context(|| path.clone()));
        text.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
    };
    let slab = |name: &str| {
        let text = fs::read_to_string("/proc/slabinfo").ok()?;
        let line = text
            .lines()
            .find(|line| line.split(' ').next() == Some(name))?;
        line.split_whitespace().nth(3).map(str::to_owned)
    };
    let bytes = |name| slab(name).map_or_else(String::new, |size| format!(" of {size} bytes"));
    vec![format!(
        "Beside it: the kernel's helpers share `nf_conntrack_expect_max` = {} expectations{} here, \
         in a hash of a quarter of that; `nf_conntrack_max` = {} entries{}, of which every \
         connection needs one, with ftp-helper as well.",
        read("nf_conntrack_expect_max"),
        bytes("nf_conntrack_expect"),
        read("nf_conntrack_max"),
        bytes("nf_conntrack"),
    )]
}
