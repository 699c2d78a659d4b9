//! What goes wrong on a gateway, done on purpose while sessions are made through it:
//! `cargo xtask chaos`.
//!
//! Each fault is made in a lab of its own, with the agent and its programs, and once more
//! with the kernel's own helper in its place. A transfer that ftp-helper loses and the
//! kernel's helper keeps is a failure, and so is one that is lost without a counter that
//! says why. What is done when is drawn from a seed, which is said.
//!
//! * [`Fault`], [`all`]: what goes wrong. [`Stage`]: where, and with what.
//! * [`outcome`]: what came of it. [`report`]: of all of them, as a table.
//! * [`group`]: a limit for the agent's memory. [`crowd`]: a full connection table.

mod crowd;
pub mod group;
pub mod outcome;
pub mod report;
mod scenarios;
mod stage;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use anyhow::{Context as _, Result, anyhow};

use self::{group::MemoryGroup, stage::Tools};
pub use self::{
    outcome::{Found, Row},
    stage::{Amount, Stage},
};
use crate::{
    agent::find_binary,
    lab::Lab,
    setup::{Family, Helper, Inside, Setup, Translation},
    soak::traffic::task::Starter,
};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// For the command line, and the name of its test.
    pub name: &'static str,
    /// What it is, as a table of results says it.
    pub title: &'static str,
    /// Whether the same is done with the kernel's helper. It has no agent, so of what is
    /// done to one the sessions are left.
    pub kernel: bool,
    /// Whether it needs a limit for the agent's memory.
    pub grouped: bool,
    run: fn(&Stage<'_>) -> Result<()>,
}

/// Every fault, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    scenarios::ALL.iter()
}

/// The fault with this name.
pub fn find(name: &str) -> Option<&'static Fault> {
    all().find(|fault| fault.name == name)
}

impl Fault {
    /// Makes the fault, with ftp-helper and, unless `ours` is set, with the kernel's
    /// helper, and judges. Needs root.
    pub fn make(&self, amount: &Amount, seed: u64, ours: bool) -> Row {
        let own = self.with(Helper::Nobody, amount, seed);
        let is_compared = self.kernel && !ours;
        let kernels = is_compared.then(|| self.with(Helper::Kernel, amount, seed));
        Row::new(self, own, kernels)
    }

    fn with(&self, helper: Helper, amount: &Amount, seed: u64) -> Result<Found> {
        let tools = Tools {
            // Both are looked for before a lab hides where they are.
            starter: Starter::new()?,
            program: find_binary()?,
            group: (self.grouped && helper == Helper::Nobody)
                .then(MemoryGroup::new)
                .transpose()?
                .flatten(),
        };
        let setup = Setup {
            helper,
            ..Setup::new(Inside::Client, Family::V4, Translation::Nat)
        };
        let work = || {
            let lab = Lab::new(setup)?;
            let stage = Stage::new(&lab, &tools, amount, seed);
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.run)(&stage)));
            let outcome = outcome.unwrap_or_else(|_| Err(anyhow!("it ended in a panic")));
            let outcome = outcome.and_then(|()| stage.found());
            if outcome.is_err() {
                eprintln!("{}", crate::scenario::logs(&lab.logs()));
            }
            outcome
        };
        let outcome = thread::scope(|scope| scope.spawn(work).join());
        outcome
            .map_err(|_| anyhow!("its thread ended in a panic"))
            .flatten()
            .with_context(|| format!("{}, {helper:?}", self.name))
    }
}
