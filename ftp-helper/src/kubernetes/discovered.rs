//! How what Services ask for gets into the maps.
//!
//! A control port has one of three reasons: the configuration, an administrator
//! (`ftp-helper port add`), or a Service. The value of its entry tells those of
//! Services from the others, so that it is known whom a port belongs to, also after
//! the agent was started again. What Services no longer want is drained as
//! everything else: connections that are there are helped to their end.

use std::collections::HashSet;

use anyhow::Result;
use ftp_helper_common::{
    address::{Address, Endpoint},
    interface::{ControlPort, control_port, flags},
};
use tracing::warn;

use super::Wanted;
use crate::{agent::Outside, datapath::Maps, failure::one_line};

/// What is known of Services.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Discovered {
    /// They are not watched: what was learned of them goes.
    #[default]
    Off,
    /// They are, and were not seen yet: what an agent before this one has learned
    /// counts.
    Unknown,
    /// They were seen.
    Known(Wanted),
}

impl Discovered {
    /// Further bits for the settings of outside interfaces.
    pub const fn flags(&self) -> u16 {
        match self {
            Self::Off => 0,
            Self::Unknown | Self::Known(_) => flags::PER_ENDPOINT,
        }
    }

    /// Adds what Services want to these interfaces. What can not be added does not keep the rest from
    /// being helped.
    pub fn add(&self, outsides: &[&Outside], maps: &mut Maps) {
        let Self::Known(wanted) = self else {
            return;
        };
        if let Err(error) = add(wanted, outsides, maps) {
            warn!(
                "not everything that Services want can be done: {}",
                one_line(&error)
            );
        }
    }

    /// What becomes of a control port that the configuration does not have (any
    /// more) and that has this value.
    pub fn unconfigured(&self, port: u16, value: u8) -> u8 {
        match self {
            Self::Known(wanted) if wanted.ports.contains(&port) => control_port::DISCOVERED,
            Self::Unknown if value == control_port::DISCOVERED => value,
            _ => control_port::DRAINING,
        }
    }

    /// Takes on no more connections to ports that only Services have wanted.
    pub fn drain(&self, maps: &mut Maps) -> Result<()> {
        for (key, value) in maps.control_ports.entries()? {
            if value == control_port::DISCOVERED {
                let value = self.unconfigured(key.port, value);
                maps.control_ports.insert(&key, &value)?;
            }
        }
        Ok(())
    }

    /// Announces no longer what no Service wants. Connections on a port that is
    /// drained keep their address to the end.
    pub fn forget(&self, maps: &mut Maps) -> Result<()> {
        let wanted = match self {
            Self::Unknown => return Ok(()),
            Self::Known(wanted) => Some(wanted),
            Self::Off => None,
        };
        let ports = maps.control_ports.entries()?.into_iter();
        let draining: HashSet<u16> = ports
            .filter(|(_, value)| *value == control_port::DRAINING)
            .map(|(key, _)| key.port)
            .collect();
        let wanted: HashSet<Endpoint> = wanted
            .into_iter()
            .flat_map(|wanted| wanted.advertised.keys())
            .map(|endpoint| Endpoint::new(endpoint.ip().into(), endpoint.port()))
            .collect();
        for (endpoint, _) in maps.advertised.entries()? {
            if !wanted.contains(&endpoint) && !draining.contains(&endpoint.port) {
                maps.advertised.remove(&endpoint)?;
            }
        }
        Ok(())
    }
}

fn add(wanted: &Wanted, outsides: &[&Outside], maps: &mut Maps) -> Result<()> {
    // First: a connection that is taken on has to find its address.
    for (endpoint, address) in &wanted.advertised {
        let endpoint = Endpoint::new(endpoint.ip().into(), endpoint.port());
        maps.advertised
            .insert(&endpoint, &Address::from(*address))?;
    }
    for outside in outsides {
        for port in &wanted.ports {
            let key = ControlPort {
                ifindex: outside.device.index,
                port: *port,
                reserved: 0,
            };
            // The configuration's, or an administrator's, which outlasts the Service.
            if maps.control_ports.get(&key)? != Some(control_port::OPEN) {
                maps.control_ports.insert(&key, &control_port::DISCOVERED)?;
            }
        }
    }
    Ok(())
}
