//! What `attack` is asked for. `cargo xtask attack` asks for the same, and reads this
//! very file.

/// Attack ftp-helper, and the kernel's own helper beside it, in private networks. Fails
/// when something gets through ftp-helper.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these attacks
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// Name the attacks, and make none
    #[arg(long)]
    pub(crate) list: bool,

    /// Leave the kernel's helper out
    #[arg(long)]
    pub(crate) ours: bool,

    /// Write the table into docs/security.md
    #[arg(long, conflicts_with_all = ["names", "ours"])]
    pub(crate) write: bool,
}
