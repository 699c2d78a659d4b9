//! What `bench` is asked for. `cargo xtask bench` asks for the same, and reads this very
//! file.

use std::path::PathBuf;

/// Measure what ftp-helper costs, next to others that could do its work, on this
/// machine and as root.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Take about two minutes instead of thirty
    #[arg(long)]
    pub(crate) quick: bool,

    /// Measure only this; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,

    /// Write what was measured to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write docs/benchmarks.md, its plots and docs/benchmarks/latest.json
    #[arg(long)]
    pub(crate) write: bool,

    /// What was measured earlier, for the document's section on before and after
    /// [default: docs/benchmarks/before.json, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) before: Option<PathBuf>,

    /// Fail when the programs are too large for the verifier, or ftp-helper is worse
    /// than it may be next to what was measured beside it
    #[arg(long)]
    pub(crate) check: bool,
}
