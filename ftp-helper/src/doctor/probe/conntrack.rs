//! Entries of the connection table.

use anyhow::Result;
use netlink_packet_core::{
    DefaultNla, Emitable as _, NLA_F_NESTED, NLA_TYPE_MASK, Nla, NlaBuffer, NlasIterator,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    NetfilterSubsystem,
    conntrack::{
        ConntrackAttribute, ConntrackMessage, ConntrackMessageType, ProtoInfo, ProtoInfoTCP,
        ProtoTuple, Protocol, Status, Tuple,
    },
};
use netlink_sys::protocols::NETLINK_NETFILTER;

use super::{Patience, netlink::dump};

/// A TCP connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entry {
    /// Port that its initiator connects to.
    pub port: u16,
    /// The kernel's helper that is attached to it.
    pub helper: Option<String>,
    /// A flow table forwards its packets.
    pub offloaded: bool,
    /// A device forwards its packets.
    pub in_hardware: bool,
    /// State of the connection, a number of `enum tcp_conntrack`.
    pub state: Option<u8>,
    /// Its zone; 0 is the default.
    pub zone: u16,
}

/// The TCP connections to a port.
pub fn to_port(port: u16, patience: Patience) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    // The kernel does not filter both families at once.
    for family in [NetfilterProtoFamily::IPv4, NetfilterProtoFamily::IPv6] {
        let header = NetfilterHeader::new(family, 0, 0);
        // Written out, because the crate does not know the filter.
        let request = NetfilterMessage::new(
            header,
            NetfilterMessageInner::Other {
                subsys: NetfilterSubsystem::Conntrack,
                message_type: ConntrackMessageType::Get.into(),
                attributes: only(port),
            },
        );
        let answers = dump(NETLINK_NETFILTER, request, Some(patience))?;
        // One that does not know the filter answers with everything.
        entries.extend(
            answers
                .iter()
                .filter_map(entry)
                .filter(|entry| entry.port == port),
        );
    }
    Ok(entries)
}

/// Attributes that let the kernel answer with TCP connections to this port alone.
fn only(port: u16) -> Vec<DefaultNla> {
    /// `CTA_FILTER`, and in it `CTA_FILTER_ORIG_FLAGS`.
    const CTA_FILTER: u16 = 25;
    const ORIG_FLAGS: u16 = 1;
    /// Bits of the attributes of a tuple that count.
    const PROTOCOL: u32 = 1 << 3;
    const DESTINATION_PORT: u32 = 1 << 5;

    let tuple = ConntrackAttribute::CtaTupleOrig(vec![Tuple::Proto(vec![
        ProtoTuple::Protocol(Protocol::Tcp),
        ProtoTuple::DestinationPort(port),
    ])]);
    let flags = PROTOCOL | DESTINATION_PORT;
    let flags = DefaultNla::new(ORIG_FLAGS, flags.to_ne_bytes().to_vec());
    let mut filter = vec![0; flags.buffer_len()];
    flags.emit(&mut filter);
    vec![
        DefaultNla::new(tuple.kind() | NLA_F_NESTED, value(&tuple)),
        DefaultNla::new(CTA_FILTER | NLA_F_NESTED, filter),
    ]
}

fn value(attribute: &impl Nla) -> Vec<u8> {
    let mut value = vec![0; attribute.value_len()];
    attribute.emit_value(&mut value);
    value
}

fn entry(answer: &NetfilterMessage) -> Option<Entry> {
    /// `IPS_HW_OFFLOAD`
    const HARDWARE: u32 = 1 << 15;
    /// `CTA_HELP`, and in it `CTA_HELP_NAME`.
    const CTA_HELP: u16 = 5;
    /// `CTA_ZONE`: a number in network byte order, absent for the default.
    const CTA_ZONE: u16 = 18;

    let NetfilterMessageInner::Conntrack(ConntrackMessage::New(attributes)) = &answer.inner else {
        return None;
    };
    let mut entry = Entry::default();
    for attribute in attributes {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(parts) => entry.port = tcp_port(parts)?,
            ConntrackAttribute::CtaStatus(status) => {
                entry.offloaded = status.contains(Status::Offload);
                entry.in_hardware = status.bits() & HARDWARE != 0;
            }
            ConntrackAttribute::CtaProtoInfo(protocols) => entry.state = tcp_state(protocols),
            ConntrackAttribute::Other(other) if other.kind() & NLA_TYPE_MASK == CTA_HELP => {
                entry.helper = helper_name(&value(other));
            }
            ConntrackAttribute::Other(other) if other.kind() & NLA_TYPE_MASK == CTA_ZONE => {
                let zone = <[u8; 2]>::try_from(value(other)).ok()?;
                entry.zone = u16::from_be_bytes(zone);
            }
            _ => {}
        }
    }
    Some(entry)
}

/// The destination port, of TCP only.
fn tcp_port(parts: &[Tuple]) -> Option<u16> {
    let mut port = None;
    for part in parts {
        let Tuple::Proto(fields) = part else { continue };
        for field in fields {
            match field {
                ProtoTuple::Protocol(protocol) if *protocol != Protocol::Tcp => return None,
                ProtoTuple::DestinationPort(value) => port = Some(*value),
                _ => {}
            }
        }
    }
    port
}

fn tcp_state(protocols: &[ProtoInfo]) -> Option<u8> {
    let parts = protocols.iter().filter_map(|protocol| match protocol {
        ProtoInfo::TCP(parts) => Some(parts),
        _ => None,
    });
    parts.flatten().find_map(|part| match part {
        ProtoInfoTCP::State(state) => Some(*state),
        _ => None,
    })
}

fn helper_name(help: &[u8]) -> Option<String> {
    /// `CTA_HELP_NAME`
    const NAME: u16 = 1;
    let mut parts = NlasIterator::new(help).flatten();
    let name = parts.find(|part: &NlaBuffer<&[u8]>| part.kind() == NAME)?;
    let text = name.value().split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_kernel_understands_the_question() {
        let patience = Patience::Each(Duration::from_secs(10));
        match to_port(21, patience) {
            Ok(entries) => assert!(entries.iter().all(|entry| entry.port == 21)),
            // Without the right to ask.
            Err(error) => assert!(format!("{error:#}").contains("not permitted"), "{error:#}"),
        }
    }

    #[test]
    fn the_name_of_a_helper_is_found() {
        let help = [8, 0, 1, 0, b'f', b't', b'p', 0];
        assert_eq!(helper_name(&help).as_deref(), Some("ftp"));
        assert_eq!(helper_name(&[]), None);
        assert_eq!(helper_name(&[8, 0, 2, 0, b'f', b't', b'p', 0]), None);
    }
}
