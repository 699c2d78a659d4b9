//! Sessions of all kinds for a long time, and whether anything is left of them:
//! `cargo xtask soak`.
//!
//! * [`wing`]: the networks that sessions are made in, side by side. [`run`]: one of them
//!   from its start to its end.
//! * [`traffic`]: the sessions. [`gauge`]: what is measured meanwhile.
//! * [`amount`], [`report`]: how much, and what came of it. [`document`]: its figures as
//!   a part of the documentation.

pub mod amount;
pub mod document;
pub mod gauge;
pub mod report;
pub mod run;
pub mod traffic;
pub mod wing;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::Instant,
};

use anyhow::Result;

use self::{
    amount::Amount,
    report::{Report, SCHEMA, Wing as WingReport},
    traffic::task::Starter,
    wing::{WINGS, Wing},
};
use crate::{agent::find_binary, cost::machine::Machine};

/// Makes the sessions, in all wings at once. Needs root.
pub fn soak(amount: &Amount, seed: u64) -> Result<Report> {
    let begin = Instant::now();
    let machine = Machine::here();
    // Both are looked for before a lab hides where they are.
    let starter = Starter::new()?;
    let agent = find_binary()?;
    let wings = thread::scope(|scope| {
        let wings: Vec<_> = WINGS
            .iter()
            .map(|wing| {
                let (starter, agent) = (&starter, &agent);
                let work = move || run::run(wing, amount, seed, starter, agent);
                (wing, scope.spawn(move || outcome(wing, work)))
            })
            .collect();
        wings
            .into_iter()
            .map(|(wing, thread)| {
                let lost = || failed(wing, "its thread ended in a panic");
                thread.join().unwrap_or_else(|_| lost())
            })
            .collect()
    });
    Ok(Report {
        schema_version: SCHEMA,
        amount: amount.name.to_owned(),
        seed,
        machine,
        seconds: begin.elapsed().as_secs_f64(),
        wings,
    })
}

/// What a wing came to; a fault when it did not come to its end.
fn outcome(wing: &Wing, work: impl FnOnce() -> Result<WingReport>) -> WingReport {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(report)) => report,
        Ok(Err(error)) => failed(wing, &format!("{error:#}")),
        Err(_) => failed(wing, "it ended in a panic; what it said is in the output"),
    }
}

fn failed(wing: &Wing, fault: &str) -> WingReport {
    WingReport {
        name: wing.name.to_owned(),
        faults: vec![fault.to_owned()],
        ..WingReport::default()
    }
}
