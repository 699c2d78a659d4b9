//! `ftp-helper nat list|add|del`: which address stands for which.
//!
//! The programs look up in a map what an interface announces, so a change counts
//! for the next announcement. The agent writes that map when it starts and when it
//! reads its settings again, so its configuration wins then.

use std::net::IpAddr;

use anyhow::{Result, bail, ensure};
use clap::{Args, Subcommand};
use ftp_helper_common::{
    address::Address,
    interface::{Interface, flags},
};

use super::Output;
use crate::{
    datapath::maps::{INTERFACES, Interfaces},
    device::Device,
    failure::Failure,
    inspect::mapping,
    output,
    pins::PinDirectory,
};

/// What to do with mappings.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what interfaces announce, and what was learned of each session
    List(Output),
    /// Announce an address in place of the one that packets leave with
    ///
    /// It counts for the next announcement on the interface, and lasts until the
    /// agent starts again or reads its settings again: then --advertise counts.
    Add(Add),
    /// Announce the address that packets leave with again
    ///
    /// It lasts until the agent starts again or reads its settings again: then
    /// --advertise counts.
    Del(Del),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Outside interface
    #[arg(value_name = "IFACE")]
    interface: String,

    /// The address that peers can reach
    #[arg(value_name = "ADDRESS")]
    address: IpAddr,
}

#[derive(Debug, Args)]
pub(super) struct Del {
    /// Outside interface
    #[arg(value_name = "IFACE")]
    interface: String,
}

/// How long it lasts.
const UNTIL: &str = "until the agent starts again or reads its settings again (--advertise counts \
                     then)";

pub(super) fn run(command: &Command, pins: &PinDirectory) -> Result<()> {
    match command {
        Command::List(output) => output::print(&mapping::all(pins)?, output.output),
        Command::Add(Add { interface, address }) => {
            if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
                bail!("{address} is no address that anybody can connect to: choose one of a host");
            }
            edit(pins, interface, |settings| {
                settings.advertise = Address::from(*address);
                settings.flags |= flags::ADVERTISED_BY_HAND;
                Ok(())
            })?;
            output::write(&format!("{interface} announces {address} {UNTIL}\n"))
        }
        Command::Del(Del { interface }) => {
            edit(pins, interface, |settings| {
                if settings.advertise.is_unspecified() {
                    return Err(Failure::not_found(format!(
                        "{interface} announces the address that packets leave with, and no other: \
                         see `ftp-helper nat list`"
                    ))
                    .into());
                }
                settings.advertise = Address::UNSPECIFIED;
                settings.flags &= !flags::ADVERTISED_BY_HAND;
                Ok(())
            })?;
            output::write(&format!(
                "{interface} announces the address that packets leave with, {UNTIL}\n"
            ))
        }
    }
}

/// Changes the settings of an outside interface.
fn edit(
    pins: &PinDirectory,
    name: &str,
    change: impl FnOnce(&mut Interface) -> Result<()>,
) -> Result<()> {
    let mut table = Interfaces::open_to_change(pins, INTERFACES)?;
    let not_helped = || {
        Failure::not_found(format!(
            "{name} is not helped: see `ftp-helper nat list`, or add `-i {name}` to `ftp-helper run`"
        ))
    };
    let device = Device::find(name).map_err(|_| not_helped())?;
    let mut settings = table
        .get(&device.index)?
        .filter(|settings| settings.flags & flags::INSIDE == 0)
        .ok_or_else(not_helped)?;
    // What is written back now would stop the interface for good.
    ensure!(
        settings.flags & flags::FROZEN == 0,
        "the agent moves its tables at the moment: try again"
    );
    change(&mut settings)?;
    table.insert(&device.index, &settings)
}
