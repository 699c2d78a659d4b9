//! When announcements and first packets of data connections come to the gateway and
//! leave it: the kernel's time stamps of a packet socket that hears all of its
//! devices.

use std::{
    io::IoSliceMut,
    os::fd::AsRawFd as _,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    errno::Errno,
    net::if_::if_nametoindex,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol,
            SockType, recvmsg, setsockopt, socket, sockopt,
        },
        time::{TimeSpec, TimeVal},
    },
};
use serde::{Deserialize, Serialize};

/// What to wait for.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// How many announcements
    count: usize,
    /// How long to wait for the next packet, in milliseconds
    patience: u64,
    /// How long in all, in milliseconds
    limit: u64,
}

/// One announcement and its data connection, in nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Passage {
    /// The announcement, from one wire to the other.
    pub announcement: f64,
    /// The first packet of the data connection, back.
    pub first_packet: f64,
    /// From the announcement's arrival to the departure of the first packet.
    pub whole: f64,
}

/// Something that happened at the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Event {
    AnnouncementIn,
    AnnouncementOut,
    FirstIn,
    FirstOut,
}

/// Longest part of a packet that matters.
const HEAD: usize = 256;

/// `PACKET_OUTGOING`
const OUTGOING: u8 = 4;

/// Listens on the host that this runs on.
pub fn take(arguments: &Arguments) -> Result<Vec<Passage>> {
    let device = |name| if_nametoindex(name).with_context(|| format!("there is no {name}"));
    let (lan, wan) = (device("lan0")?, device("wan0")?);
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::EthAll,
    )
    .context("no packet socket")?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("no time stamps")?;
    setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).context("no larger buffer")?;
    let wait = i64::try_from(arguments.patience)?;
    let wait = TimeVal::new(wait / 1000, (wait % 1000) * 1000);
    setsockopt(&socket, sockopt::ReceiveTimeout, &wait).context("no limit for receiving")?;
    println!("ready");

    let begin = Instant::now();
    let limit = Duration::from_millis(arguments.limit);
    let mut events = Vec::new();
    let mut first_out = 0;
    while first_out < arguments.count && begin.elapsed() < limit {
        let mut bytes = [0_u8; HEAD];
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg::<LinkAddr>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::empty(),
        );
        let received = match received {
            Err(Errno::EAGAIN) => break,
            Err(Errno::EINTR) => continue,
            other => other.context("packet socket")?,
        };
        let length = received.bytes;
        let Some(from) = received.address else {
            continue;
        };
        let time = received
            .cmsgs()
            .context("a cut message")?
            .find_map(|it| match it {
                ControlMessageOwned::ScmTimestampns(time) => Some(time),
                _ => None,
            });
        let Some(time) = time else {
            bail!("a packet without a time stamp");
        };
        let time = Duration::from(time);
        let is_out = from.pkttype() == OUTGOING;
        let index = u32::try_from(from.ifindex())?;
        let packet = &bytes[..length.min(HEAD)];
        let event = match (what(packet), is_out) {
            (Some(What::Announcement), false) if index == lan => Event::AnnouncementIn,
            (Some(What::Announcement), true) if index == wan => Event::AnnouncementOut,
            (Some(What::First), false) if index == wan => Event::FirstIn,
            (Some(What::First), true) if index == lan => Event::FirstOut,
            _ => continue,
        };
        first_out += usize::from(event == Event::FirstOut);
        events.push((time, event));
    }
    Ok(passages(events))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum What {
    Announcement,
    First,
}

/// What a frame with IPv4 and TCP carries, if it is of interest.
fn what(frame: &[u8]) -> Option<What> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;

    let sliced = etherparse::LaxSlicedPacket::from_ethernet(frame).ok()?;
    let Some(etherparse::TransportSlice::Tcp(tcp)) = sliced.transport else {
        return None;
    };
    if tcp.slice().get(13)? & (SYN | ACK) == SYN {
        return Some(What::First);
    }
    tcp.payload()
        .starts_with(b"PORT ")
        .then_some(What::Announcement)
}

/// The packets of one announcement behind each other; what is not complete is left out.
fn passages(mut events: Vec<(Duration, Event)>) -> Vec<Passage> {
    events.sort_by_key(|(time, _)| *time);
    let nanoseconds = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() * 1e9;
    let mut passages = Vec::new();
    let (mut announced, mut left, mut came) = (None, None, None);
    for (time, event) in events {
        match event {
            Event::AnnouncementIn => (announced, left, came) = (Some(time), None, None),
            Event::AnnouncementOut => left = Some(time),
            Event::FirstIn => came = Some(time),
            Event::FirstOut => {
                let all = (announced.take(), left.take(), came.take());
                if let (Some(announced), Some(left), Some(came)) = all {
                    passages.push(Passage {
                        announcement: nanoseconds(announced, left),
                        first_packet: nanoseconds(came, time),
                        whole: nanoseconds(announced, time),
                    });
                }
            }
        }
    }
    passages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::{
        flow::Flow,
        segment::flags::{ACK, SYN},
    };

    fn at(nanoseconds: u64) -> Duration {
        Duration::from_nanos(nanoseconds)
    }

    #[test]
    fn packets_of_interest_are_known() {
        let flow = Flow::client_inside(1);
        let of = |segment: crate::packets::segment::Segment| what(&segment.bytes());
        assert_eq!(
            of(flow.egress(0, "PORT 10,0,0,2,4,1\r\n")),
            Some(What::Announcement)
        );
        assert_eq!(of(flow.egress(0, "RETR 1\r\n")), None);
        assert_eq!(of(flow.ingress(0, "").flags(SYN)), Some(What::First));
        assert_eq!(of(flow.ingress(0, "").flags(SYN | ACK)), None);
        assert_eq!(what(&[0; 20]), None);
    }

    #[test]
    fn only_whole_passages_count() {
        use Event::{AnnouncementIn, AnnouncementOut, FirstIn, FirstOut};
        let events = vec![
            // The control connection's own first packet goes the other way; this one
            // belongs to an announcement before the first that was seen.
            (at(1), FirstIn),
            (at(2), FirstOut),
            (at(10), AnnouncementIn),
            // Read out of order, as it may be with two devices.
            (at(130), FirstIn),
            (at(40), AnnouncementOut),
            (at(135), FirstOut),
            (at(200), AnnouncementIn),
            (at(210), AnnouncementOut),
            (at(220), FirstIn),
        ];
        let passage = Passage {
            announcement: 30.0,
            first_packet: 5.0,
            whole: 125.0,
        };
        let [only] = passages(events)[..] else {
            panic!("one is whole");
        };
        for (found, wanted) in [
            (only.announcement, passage.announcement),
            (only.first_packet, passage.first_packet),
            (only.whole, passage.whole),
        ] {
            assert!((found - wanted).abs() < 0.01, "{only:?}");
        }
    }
}
