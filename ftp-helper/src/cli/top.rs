//! `ftp-helper top`

use std::time::Duration;

use anyhow::Result;
use clap::{Args, value_parser};

use super::interrupt;
use crate::{
    pins::PinDirectory,
    top::{sample::Source, terminal},
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Seconds between two looks
    #[arg(
        short,
        long,
        value_name = "SECONDS",
        default_value_t = 1,
        value_parser = value_parser!(u64).range(1..=3600)
    )]
    interval: u64,
}

pub(super) fn run(arguments: &Arguments, pins: &PinDirectory) -> Result<()> {
    let source = Source::open(pins)?;
    interrupt::is_success(terminal::restore)?;
    terminal::run(&source, Duration::from_secs(arguments.interval))
}
