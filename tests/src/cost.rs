//! What ftp-helper costs, next to others that could do its work, on one machine and
//! in one run: `cargo xtask bench`.
//!
//! * [`tax`]: what everybody else pays. [`announcement`]: what one announcement takes.
//! * [`sections`], [`latency`], [`scale`]: sessions, files and transfers; how much later
//!   a data connection comes; many sessions at once.
//! * [`peer`]: who is compared. [`task`], [`load`], [`stamps`], [`fill`]: what runs on
//!   the lab's hosts.
//! * [`amount`]: how much is measured. [`statistics`], [`samples`], [`report`]: what is
//!   said of it.
//! * [`document`], [`plot`], [`output`]: how it is shown. [`goals`]: what it should be.

pub mod amount;
pub mod announcement;
mod bpf;
mod conntrackd;
pub mod document;
mod effort;
pub mod empty;
pub mod fill;
pub mod goals;
pub mod latency;
mod links;
pub mod load;
pub mod machine;
mod open_vswitch;
pub mod output;
mod own;
mod packet;
pub mod peer;
pub mod plot;
pub mod report;
mod rig;
#[cfg(test)]
mod sample;
pub mod samples;
pub mod scale;
pub mod sections;
pub mod stamps;
pub mod statistics;
pub mod task;
pub mod tax;
mod traffic;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use ftp_helper_common::session::Direction;

use self::{
    amount::Amount,
    machine::Machine,
    report::{Report, SCHEMA, Section, Verified},
};

/// A program that does nothing.
pub const EMPTY: &str = "empty program";
/// This project.
pub const OURS: &str = "ftp-helper";
/// What ftp-helper takes more than the empty program.
pub const NET: &str = "difference";

/// Measures one question.
type Measure = fn(&Amount) -> Result<Section>;

/// All questions, in the order of the document.
pub const QUESTIONS: [(&str, Measure); 7] = [
    (tax::NAME, tax::measure),
    (tax::TRAFFIC, tax::measure_traffic),
    (announcement::NAME, announcement::measure),
    (sections::SESSIONS, sections::sessions),
    (sections::TRANSFER, sections::transfers),
    (scale::NAME, scale::measure),
    (latency::NAME, latency::measure),
];

/// Measures the questions of these names, or all of them. One that can not be answered
/// says so in its section. Needs root.
pub fn measure(amount: &Amount, only: &[String]) -> Result<Report> {
    let begin = Instant::now();
    let names = || QUESTIONS.iter().map(|(name, _)| *name);
    if let Some(unknown) = only.iter().find(|it| !names().any(|name| name == **it)) {
        let known: Vec<_> = names().collect();
        bail!(
            "nothing to measure is called {unknown:?}, but {}",
            known.join(", ")
        );
    }
    let machine = Machine::here();
    let verified_instructions = verified()?;
    let mut sections = Vec::new();
    for (name, measure) in QUESTIONS {
        if only.is_empty() || only.iter().any(|it| it == name) {
            sections.push(answer(name, measure, amount));
        }
    }
    Ok(Report {
        schema_version: SCHEMA,
        amount: amount.name.to_owned(),
        machine,
        seconds: statistics::tidy(begin.elapsed().as_secs_f64()),
        verified_instructions,
        sections,
    })
}

fn answer(name: &str, measure: Measure, amount: &Amount) -> Section {
    eprintln!("== {name}");
    let begin = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| measure(amount)));
    let mut section = match outcome {
        Ok(Ok(section)) => section,
        Ok(Err(error)) => unanswered(name, &format!("{error:#}")),
        Err(_) => unanswered(name, "it ended in a panic; what it said is in the output"),
    };
    section.seconds = statistics::tidy(begin.elapsed().as_secs_f64());
    eprintln!("   {:.0} s", section.seconds);
    section
}

fn unanswered(name: &str, reason: &str) -> Section {
    eprintln!("   {reason}");
    Section {
        name: name.to_owned(),
        title: name.to_owned(),
        remarks: vec![format!("Not measured: {}", samples::one_line(reason))],
        ..Section::default()
    }
}

fn verified() -> Result<Vec<Verified>> {
    let mut verified = Vec::new();
    tax::on_bench(|bench| {
        for (program, direction) in [
            ("ingress", Direction::Ingress),
            ("egress", Direction::Egress),
        ] {
            if let Some(instructions) = bench.datapath.verified_instructions(direction)? {
                verified.push(Verified {
                    program: program.to_owned(),
                    instructions,
                });
            }
        }
        Ok(())
    })
    .context("the programs do not load")?;
    Ok(verified)
}
