//! What everybody else pays: packets that are none of FTP's.

use std::{panic::AssertUnwindSafe, sync::Mutex};

use anyhow::{Context as _, Result};

use super::{
    EMPTY, NET, OURS,
    amount::Amount,
    empty::Empty,
    packet::{plain_lines, steady},
    peer::Peer,
    report::{Better, Section},
    samples::{Head, Samples},
    sections::{OWN_METHOD, own_head},
    traffic,
};
use crate::packets::bench::{Bench, bench};

/// The name for `--only`.
pub const NAME: &str = "tax";
/// The name of the part that goes through a gateway.
pub const TRAFFIC: &str = "traffic";
/// The table of packets that go on as they are.
pub const PACKETS: &str = "packets";
/// The table of connections that are none of FTP's.
pub const REQUESTS: &str = "requests";
/// The table of iperf3.
pub const BULK: &str = "bulk";

/// Measures.
pub fn measure(amount: &Amount) -> Result<Section> {
    let (mut samples, mut lines) = (Samples::default(), Samples::default());
    on_bench(|bench| {
        let empty = Empty::load()?;
        for kind in steady() {
            kind.measure(bench, &empty, amount, &mut samples)?;
        }
        for line in plain_lines() {
            for round in 0..amount.singles {
                let (ours, nothing) = line.single(bench, &empty)?;
                lines.add(round, &line.what, EMPTY, nothing);
                lines.add(round, &line.what, OURS, ours);
                lines.add(round, &line.what, NET, ours - nothing);
            }
        }
        Ok(())
    })?;
    let head = |name, title| Head {
        name,
        title,
        unit: "ns",
        digits: 0,
        better: Better::Lower,
        anchor: EMPTY,
    };
    Ok(Section {
        name: NAME.to_owned(),
        title: "Tax on everybody else".to_owned(),
        method: vec![
            format!(
                "`BPF_PROG_TEST_RUN`: the kernel runs the program {} times on one packet and \
                 tells the mean; such calls take turns with calls for a program of two \
                 instructions that does nothing, on the same packet. That program's time is what \
                 the kernel takes to repeat and time runs of any program there, which no packet \
                 on a wire pays; the difference is ftp-helper's own, and what the goal is about. \
                 What it costs to have any program attached is below, as *empty programs*. The \
                 kernel counts whole nanoseconds.",
                amount.runs
            ),
            "A line changes its session, so it is run once and the session is put back; the time \
             of a single run is mostly that of caches that have forgotten the program, and of \
             the kernel's look at the clock, which the empty program shows."
                .to_owned(),
        ],
        tables: vec![
            samples.table(head(PACKETS, "One packet")),
            lines.table(head("lines", "A line that announces nothing")),
        ],
        ..Section::default()
    })
}

/// Measures what goes through a gateway and is none of FTP's.
pub fn measure_traffic(amount: &Amount) -> Result<Section> {
    let [requests, bulk, own] = traffic::others(amount)?;
    let head = |name, title, unit, digits| Head {
        name,
        title,
        unit,
        digits,
        better: Better::Higher,
        anchor: Peer::Masquerade.name(),
    };
    Ok(Section {
        name: TRAFFIC.to_owned(),
        title: "Tax on everybody else, through a gateway".to_owned(),
        method: vec![
            format!(
                "Connect, a request of 64 bytes, an answer of 1 KiB, close, again and again for {} \
                 ms; then iperf3 ({} {}), with and without offloads. The gateway changes hands \
                 behind each turn: the same lab, the same wires, other rules and programs. {} rounds \
                 are of all; {} more are of those alone that differ in attached programs only, which \
                 come and go between two turns, as does the agent (`SIGSTOP`). *Masquerade, once more* is the same thing a second \
                 time: how far its ratio is from 1 tells how fine these numbers are. *Empty \
                 programs* has programs of two instructions in the places of ftp-helper's, which \
                 do nothing: what the kernel takes to run any.",
                amount.fine_turn.as_millis(),
                amount.bulk[0].trim_start_matches('-'),
                amount.bulk[1],
                amount.rounds,
                amount.fine_rounds
            ),
            OWN_METHOD.to_owned(),
        ],
        tables: vec![
            requests.table(head(
                REQUESTS,
                "Connect, request, close",
                "connections/s",
                0,
            )),
            bulk.table(head(BULK, "One connection of iperf3", "Gbit/s", 2)),
            own.table(own_head("What of a connection is ftp-helper's", 2)),
        ],
        ..Section::default()
    })
}

/// Runs `body` with the programs loaded, on a thread and in a network namespace of
/// their own.
pub(super) fn on_bench(body: impl FnOnce(&mut Bench) -> Result<()> + Send) -> Result<()> {
    let outcome = Mutex::new(None);
    // The bench is one for tests: what fails there panics.
    let ran = std::panic::catch_unwind(AssertUnwindSafe(|| {
        bench(|bench| {
            let result = body(bench);
            if let Ok(mut outcome) = outcome.lock() {
                *outcome = Some(result);
            }
            Ok(())
        });
    }));
    let said = outcome.into_inner().ok().flatten();
    match (said, ran) {
        (Some(result), _) => result,
        (None, _) => None.context("the programs could not be loaded; what was said is above"),
    }
}
