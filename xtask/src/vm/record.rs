//! What goes into the machine and what comes out of it, both as JSON.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The name of the serial port for records.
pub(super) const RECORD_PORT: &str = "vm-test.records";
/// The name of the serial port for everything that the tests print.
pub(super) const LOG_PORT: &str = "vm-test.log";

/// What to do in the machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Plan {
    /// The agent.
    pub(super) agent: PathBuf,
    /// The tests.
    pub(super) binaries: Vec<TestBinary>,
    /// How many tests of a binary run side by side.
    pub(super) threads: usize,
    /// Seconds after which a binary is ended.
    pub(super) limit: u64,
    /// Environment of the tests.
    pub(super) environment: BTreeMap<String, String>,
}

/// A test binary and which of its tests to run.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct TestBinary {
    /// Its name without what cargo adds to it.
    pub(super) name: String,
    /// Where it is.
    pub(super) path: PathBuf,
    /// Only tests whose names contain one of these words, if there are any.
    pub(super) filters: Vec<String>,
    /// Whether the words are whole names.
    pub(super) exact: bool,
}

/// A line of the machine's report.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum Record {
    /// The machine is up.
    Ready,
    /// How the agent works here.
    Facts(Facts),
    /// A test binary begins.
    Started(String),
    /// A test binary has ended.
    Finished(Finished),
    /// Everything has been done.
    Done,
}

/// How the agent works on a kernel.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Facts {
    /// How the programs were attached.
    pub(super) technique: Option<String>,
    /// Where the kernel functions of conntrack come from.
    pub(super) kfuncs: Option<String>,
    /// How many instructions the verifier looked at: direction and number.
    pub(super) instructions: Vec<(String, u64)>,
    /// From the start of the agent until it was ready.
    pub(super) seconds: f64,
    /// Why the agent does not work here.
    pub(super) error: Option<String>,
}

/// How a test binary ended.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(super) struct Finished {
    pub(super) name: String,
    pub(super) passed: u32,
    pub(super) ignored: u32,
    /// The names of the tests that failed.
    pub(super) failed: Vec<String>,
    pub(super) seconds: f64,
    /// What went wrong apart from, or instead of, single tests.
    pub(super) trouble: Option<String>,
}

impl Finished {
    /// Whether everything went well.
    pub(super) fn is_good(&self) -> bool {
        self.failed.is_empty() && self.trouble.is_none()
    }
}
