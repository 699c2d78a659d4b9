//! What `soak` is asked for. `cargo xtask soak` asks for the same, and reads this very
//! file.

use std::path::PathBuf;

use clap::value_parser;

/// Make sessions of all kinds for an hour, in private networks: active and passive, IPv4
/// and IPv6, encrypted, over wires that lose and reorder, with real servers. Fails when
/// a session fails, when anything is left of them, or when the agent's memory grows.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Take half a minute, for a look
    #[arg(long)]
    pub(crate) quick: bool,

    /// So many minutes [default: 60]
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u64).range(1..=10_000))]
    pub(crate) minutes: Option<u64>,

    /// So many sessions [default: 100000]
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u64).range(200..))]
    pub(crate) sessions: Option<u64>,

    /// What is drawn follows from this number
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Write what was measured to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the figures into docs/security.md
    #[arg(long)]
    pub(crate) write: bool,
}
