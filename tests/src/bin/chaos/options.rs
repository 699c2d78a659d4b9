//! What `chaos` is asked for. `cargo xtask chaos` asks for the same, and reads this very
//! file.

use std::path::PathBuf;

use clap::value_parser;

/// Make things go wrong while transfers are under way, with ftp-helper and with the
/// kernel's own helper, in private networks: the agent is killed, tables are full,
/// interfaces go down. Fails when a transfer is lost that the kernel's helper keeps, or
/// one that nothing was counted for.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(crate) struct Options {
    /// Only this fault; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,

    /// Name the faults, and make none
    #[arg(long)]
    pub(crate) list: bool,

    /// Take about two minutes instead of a quarter of an hour
    #[arg(long)]
    pub(crate) quick: bool,

    /// What is drawn follows from this number [default: another one each time, which is
    /// said]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,

    /// So many sessions while the agent is killed, in proportion for other faults
    /// [default: 1000, with --quick 100]
    #[arg(long, value_name = "NUMBER", value_parser = value_parser!(u64).range(40..))]
    pub(crate) sessions: Option<u64>,

    /// Leave the kernel's helper out
    #[arg(long)]
    pub(crate) ours: bool,

    /// Write what was found to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the table into docs/security.md
    #[arg(long, conflicts_with_all = ["only", "ours"])]
    pub(crate) write: bool,
}
