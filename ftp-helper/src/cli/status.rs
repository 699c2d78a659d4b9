//! `ftp-helper status`

use anyhow::Result;

use super::Output;
use crate::{
    admin::RunDirectory, failure::Failure, inspect::status::Status, output, pins::PinDirectory,
};

/// Shows everything at a glance; a failure when nothing is loaded.
pub(super) fn run(output: &Output, pins: &PinDirectory, run: &RunDirectory) -> Result<()> {
    let status = Status::look(pins, run)?;
    output::print_object(&status, output.output)?;
    if !status.is_loaded() {
        return Err(Failure::not_running(format!(
            "nothing is loaded under {}: start it with `ftp-helper run -i IFACE`",
            pins.path().display()
        ))
        .into());
    }
    Ok(())
}
