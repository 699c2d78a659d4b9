//! `ftp-helper doctor`

use anyhow::{Result, bail};
use clap::{Args, builder::PossibleValuesParser};

use super::Output;
use crate::{
    doctor::{CHECKS, Check, Gateway, Status, examine},
    output,
    pins::PinDirectory,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Outside interface; may be given several times. Without it, those that are
    /// helped
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,

    /// Only these checks, like kernel,firewall
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(CHECKS.iter().map(|check| check.name))
    )]
    checks: Vec<String>,

    #[command(flatten)]
    output: Output,
}

/// Prints what the checks found; an error when one of them failed.
pub(super) fn run(arguments: &Arguments, pins: &PinDirectory) -> Result<()> {
    let gateway = Gateway::new(pins, &arguments.interfaces)?;
    let wanted = |check: &&Check| {
        arguments.checks.is_empty() || arguments.checks.iter().any(|name| name == check.name)
    };
    let checks: Vec<&Check> = CHECKS.iter().filter(wanted).collect();
    let findings = examine(&gateway, &checks);
    output::print(&findings, arguments.output.output)?;
    let failed = findings
        .iter()
        .filter(|finding| finding.status == Status::Fail)
        .count();
    if failed > 0 {
        bail!("FTP can not be helped like this: see what to do about each FAIL ({failed})");
    }
    Ok(())
}
