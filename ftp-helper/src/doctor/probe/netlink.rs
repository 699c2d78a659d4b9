//! Dumps over netlink.

use std::{fmt::Debug, time::Instant};

use anyhow::{Context as _, Result, bail};
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable,
};
use netlink_sys::{Socket, SocketAddr};

use super::Patience;

/// The answers to a dump request. The kernel makes them as they are read, so
/// nothing is waited for; the patience is for tables that are very large.
pub(super) fn dump<T>(protocol: isize, request: T, patience: Option<Patience>) -> Result<Vec<T>>
where
    T: NetlinkSerializable + NetlinkDeserializable + Debug,
{
    let deadline = patience.map(Patience::deadline);
    let mut socket = Socket::new(protocol).context("can not open a netlink socket")?;
    socket
        .bind_auto()
        .context("can not bind a netlink socket")?;
    socket
        .connect(&SocketAddr::new(0, 0))
        .context("can not connect a netlink socket")?;

    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).context("can not ask over netlink")?;

    let mut answers = Vec::new();
    loop {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            bail!("the table is too large to be read in time");
        }
        let (bytes, _) = socket.recv_from_full().context("no answer over netlink")?;
        if parse(&bytes, &mut answers)? {
            return Ok(answers);
        }
    }
}

/// True after the last part.
fn parse<T: NetlinkDeserializable>(bytes: &[u8], answers: &mut Vec<T>) -> Result<bool> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let message = NetlinkMessage::<T>::deserialize(rest).map_err(|error| {
            anyhow::anyhow!("an answer over netlink is not understood: {error}")
        })?;
        let length = message.header.length as usize;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) => {
                return Err(error.to_io()).context("the kernel refused to answer over netlink");
            }
            NetlinkPayload::InnerMessage(answer) => answers.push(answer),
            _ => {}
        }
        if length == 0 {
            bail!("an answer over netlink has no length");
        }
        // Messages start at multiples of four.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}
