//! `ftp-helper port list|add|del`: control ports, while everything runs.
//!
//! The programs look the ports up in a map for each packet, so a change counts
//! at once and nothing is loaded again. The next start of the agent goes back to
//! the ports that it is told.

use anyhow::Result;
use clap::{Args, Subcommand, value_parser};
use ftp_helper_common::interface::{ControlPort, control_port, flags};
use serde::Serialize;

use super::Output;
use crate::{
    control_ports::summarise,
    datapath::maps::{CONTROL_PORTS, ControlSummary, INTERFACES, Interfaces, Ports},
    device::Device,
    failure::Failure,
    output::{self, Format, Row},
    pins::PinDirectory,
};

/// What to do with control ports.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the control ports of all interfaces
    List(Output),
    /// Help connections to these ports of FTP servers from now on
    Add(Change),
    /// Take on no more connections to these ports; those that are there go on
    Del(Change),
}

#[derive(Debug, Args)]
pub(super) struct Change {
    /// Outside interface; without it, every one that is helped
    #[arg(short, long = "interface", value_name = "IFACE")]
    interfaces: Vec<String>,

    /// Port of FTP servers
    #[arg(required = true, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    ports: Vec<u16>,
}

#[derive(Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
struct Entry {
    interface: String,
    port: u16,
    /// `open`; `discovered`, which is open for as long as a Service of Kubernetes wants
    /// it; or `draining`: only connections that are there are helped.
    state: &'static str,
}

impl Row for Entry {
    const KIND: &'static str = "control_ports";
    const HEADER: &'static [&'static str] = &["INTERFACE", "PORT", "STATE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.interface.clone(),
            self.port.to_string(),
            self.state.to_owned(),
        ]
    }
}

pub(super) fn run(command: &Command, pins: &PinDirectory) -> Result<()> {
    match command {
        Command::List(output) => list(pins, output.output),
        Command::Add(change) => edit(change, pins, |ports, key| {
            ports.insert(key, &control_port::OPEN)
        }),
        Command::Del(change) => edit(change, pins, |ports, key| {
            if !ports.get(key)?.is_some_and(control_port::is_open) {
                let interface = Device::name_of(key.ifindex);
                return Err(Failure::not_found(format!(
                    "{} is no control port of {interface}: see `ftp-helper port list`",
                    key.port
                ))
                .into());
            }
            ports.insert(key, &control_port::DRAINING)
        }),
    }
}

fn list(pins: &PinDirectory, format: Format) -> Result<()> {
    let ports = Ports::open(pins, CONTROL_PORTS)?.entries()?;
    let mut entries: Vec<Entry> = ports
        .iter()
        .map(|(key, value)| Entry {
            interface: Device::name_of(key.ifindex),
            port: key.port,
            state: match *value {
                control_port::OPEN => "open",
                control_port::DISCOVERED => "discovered",
                _ => "draining",
            },
        })
        .collect();
    entries.sort();
    output::print(&entries, format)
}

fn edit(
    change: &Change,
    pins: &PinDirectory,
    one: impl Fn(&mut Ports, &ControlPort) -> Result<()>,
) -> Result<()> {
    let mut helped = Interfaces::open(pins, INTERFACES)?.entries()?;
    // On inside interfaces no control connection is read.
    helped.retain(|(_, interface)| interface.flags & flags::INSIDE == 0);
    let mut selected: Vec<u32> = helped.iter().map(|(ifindex, _)| *ifindex).collect();
    if !change.interfaces.is_empty() {
        let mut wanted = Vec::new();
        for name in &change.interfaces {
            let index = Device::find(name)?.index;
            if !selected.contains(&index) {
                return Err(Failure::not_found(format!(
                    "{name} is not helped: add `-i {name}` to `ftp-helper run`"
                ))
                .into());
            }
            wanted.push(index);
        }
        selected = wanted;
    }
    let mut ports = Ports::open_to_change(pins, CONTROL_PORTS)?;
    for ifindex in selected {
        for port in &change.ports {
            let key = ControlPort {
                ifindex,
                port: *port,
                reserved: 0,
            };
            one(&mut ports, &key)?;
        }
    }
    let mut summary = ControlSummary::open_to_change(pins)?;
    let detect = summary.detects()?;
    summarise(&ports, &mut summary, detect)
}
