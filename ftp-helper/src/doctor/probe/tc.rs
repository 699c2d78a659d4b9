//! Filters of the clsact qdisc.

use anyhow::{Context as _, Result};
use ftp_helper_common::session::Direction;
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::netlink::dump;
use crate::device::Device;

/// A filter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    /// Filters run in the order of this number.
    pub priority: u16,
    /// The kind: `bpf`, `flower`, `matchall` ...
    pub kind: String,
    /// The program of a `bpf` filter.
    pub program: Option<u32>,
    /// The name that it was given.
    pub name: Option<String>,
}

/// The filters on one side of a device, in the order in which they run; none
/// where there is no clsact qdisc.
pub fn filters(device: &Device, direction: Direction) -> Result<Vec<Filter>> {
    /// Minor numbers of the two sides of the clsact qdisc.
    const INGRESS: u16 = 0xfff2;
    const EGRESS: u16 = 0xfff3;

    let mut request = TcMessage::default();
    request.header.index = i32::try_from(device.index).context("an index is out of range")?;
    request.header.parent = TcHandle {
        major: 0xffff,
        minor: match direction {
            Direction::Ingress => INGRESS,
            Direction::Egress => EGRESS,
        },
    };
    let request = RouteNetlinkMessage::GetTrafficFilter(request);
    let answers = dump(NETLINK_ROUTE, request, None)?;
    let mut filters: Vec<Filter> = answers.iter().filter_map(filter).collect();
    filters.sort_by_key(|filter| filter.priority);
    Ok(filters)
}

fn filter(answer: &RouteNetlinkMessage) -> Option<Filter> {
    let RouteNetlinkMessage::NewTrafficFilter(message) = answer else {
        return None;
    };
    let mut filter = Filter {
        // The upper half; the lower one is the packets' protocol.
        priority: u16::try_from(message.header.info >> 16).ok()?,
        kind: String::new(),
        program: None,
        name: None,
    };
    let mut has_options = false;
    for attribute in &message.attributes {
        match attribute {
            TcAttribute::Kind(kind) => filter.kind.clone_from(kind),
            TcAttribute::Options(options) => {
                has_options = true;
                for option in options {
                    match option {
                        TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => filter.program = Some(*id),
                        TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => {
                            filter.name = Some(name.clone());
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    // Each priority comes once more on its own, in front of its filters.
    has_options.then_some(filter)
}
