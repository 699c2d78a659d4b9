//! Tells when network devices come, go or change.

use std::{collections::HashSet, io};

use anyhow::{Context as _, Result};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use tokio::io::{Interest, unix::AsyncFd};
use tracing::debug;

/// `RTMGRP_LINK`
const LINKS: u32 = 1;

/// Messages that are read before anything is done about them: a machine on which
/// devices come and go all the time must not keep the agent busy with reading.
const BATCH: usize = 256;

/// What has happened to devices. Only a hint to look again: what there is is
/// always asked for anew.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Changes {
    /// So much that the kernel did not tell all of it.
    pub(super) unknown: bool,
    /// Indexes of devices that went; the same may be back already.
    pub(super) gone: HashSet<u32>,
}

/// Listens to the kernel.
#[derive(Debug)]
pub(super) struct Links {
    socket: AsyncFd<Socket>,
}

impl Links {
    /// Starts to listen; needs an event loop around it.
    pub(super) fn watch() -> Result<Self> {
        let context = "can not listen for changes of interfaces";
        let mut socket = Socket::new(NETLINK_ROUTE).context(context)?;
        socket.set_non_blocking(true).context(context)?;
        socket.bind(&SocketAddr::new(0, LINKS)).context(context)?;
        // SAFETY: the descriptor is that of the socket, which the value owns, and
        // neither changes while it lives.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        Ok(Self {
            socket: socket.context(context)?,
        })
    }

    /// Waits until something has happened.
    pub(super) async fn changes(&mut self) -> Result<Changes> {
        loop {
            let mut guard = self
                .socket
                .readable_mut()
                .await
                .context("can not wait for changes of interfaces")?;
            let mut changes = Changes::default();
            let mut read = 0;
            while read < BATCH {
                match guard.get_inner().recv_from_full() {
                    Ok((message, _)) => note(&message, &mut changes),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        guard.clear_ready();
                        break;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    // The kernel had more to say than the socket takes.
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                        debug!("more changes of interfaces than could be read: all are looked at");
                        changes.unknown = true;
                    }
                    Err(error) => {
                        return Err(error).context("can not read changes of interfaces");
                    }
                }
                read += 1;
            }
            if read > 0 {
                return Ok(changes);
            }
        }
    }
}

fn note(message: &[u8], changes: &mut Changes) {
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) {
        Ok(message) => {
            if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) =
                message.payload
                // Such a one leaves a bridge, and is still there.
                && link.header.interface_family != AddressFamily::Bridge
            {
                changes.gone.insert(link.header.index);
            }
        }
        // Something is told about a device that is not understood.
        Err(_) => changes.unknown = true,
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::LinkMessage;

    use super::*;

    fn bytes(message: RouteNetlinkMessage) -> Vec<u8> {
        let mut message = NetlinkMessage::from(message);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    #[test]
    fn what_went_is_noted() {
        let mut link = LinkMessage::default();
        link.header.index = 7;
        let mut changes = Changes::default();
        note(
            &bytes(RouteNetlinkMessage::NewLink(link.clone())),
            &mut changes,
        );
        assert_eq!(changes, Changes::default());
        let mut port = link.clone();
        port.header.index = 8;
        port.header.interface_family = AddressFamily::Bridge;
        for link in [link, port] {
            note(&bytes(RouteNetlinkMessage::DelLink(link)), &mut changes);
        }
        assert_eq!(changes.gone, HashSet::from([7]));
        assert!(!changes.unknown);
        note(&[1, 2, 3], &mut changes);
        assert!(changes.unknown);
    }
}
