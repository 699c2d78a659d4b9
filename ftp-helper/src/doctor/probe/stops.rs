//! What packets pass on one side of an interface: programs and filters, ours and
//! those of others.

use anyhow::Result;
use ftp_helper_common::session::Direction;

use super::tc;
use crate::{
    datapath::chain::{self, is_own_name},
    device::Device,
};

/// Something that packets pass.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stop {
    /// Number of its program, if it has one.
    pub program: Option<u32>,
    /// What it is called in reports.
    pub name: String,
    /// It goes by the name of one of our programs.
    pub is_own_name: bool,
}

/// What packets pass, in this order.
pub fn look(device: &Device, direction: Direction) -> Result<Vec<Stop>> {
    let mut stops = Vec::new();
    // Links come before the filters of the qdisc on both sides.
    for program in chain::tcx(device, direction)?.unwrap_or_default() {
        stops.push(Stop {
            program: Some(program.id),
            is_own_name: is_own_name(&program.name),
            name: format!("TCX program {} `{}`", program.id, program.name),
        });
    }
    for filter in tc::filters(device, direction)? {
        let given = filter.name.unwrap_or_default();
        stops.push(Stop {
            program: filter.program,
            is_own_name: is_own_name(&given),
            name: match filter.program {
                Some(id) => format!("filter with program {id} `{given}`"),
                None => format!("filter {} of priority {}", filter.kind, filter.priority),
            },
        });
    }
    Ok(stops)
}
