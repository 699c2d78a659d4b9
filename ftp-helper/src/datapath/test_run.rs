//! Running a program on a packet that is not on any wire.

use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};
use ftp_helper_common::session::Direction;

use super::{
    Datapath,
    sys::{self, Run},
};

/// `sizeof(struct __sk_buff)`; older kernels know a shorter one and want the
/// rest to be zero, which it is.
const CONTEXT: usize = 192;
const MARK: usize = 8;
const INGRESS_IFINDEX: usize = 36;
const IFINDEX: usize = 40;
const GSO_SEGMENTS: usize = 164;
const GSO_SIZE: usize = 176;

/// Bytes that a program may add to a packet.
const GROWTH: usize = 4096;

/// What a program sees of a packet beside its bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Context {
    /// Index of a device of this network namespace; 0 and 1 mean the loopback
    /// device.
    pub ifindex: u32,
    /// Device that the packet came from.
    pub ingress_ifindex: u32,
    /// The packet's mark.
    pub mark: u32,
    /// Payload of each of the segments that the packet was merged from, 0 for one that
    /// was not merged.
    pub gso_size: u32,
}

/// What a program made of a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// What the program returned.
    pub verdict: u32,
    /// The packet, with its link header.
    pub packet: Vec<u8>,
    /// The packet's mark.
    pub mark: u32,
    /// Nanoseconds that a run took on average.
    pub nanoseconds: u32,
}

impl Datapath {
    /// Runs the program of this direction on a packet with an Ethernet header, so
    /// many times; each run gets the packet as the one before left it.
    pub fn test_run(
        &self,
        direction: Direction,
        packet: &[u8],
        context: &Context,
        repeat: u32,
    ) -> Result<Outcome> {
        let mut input = [0; CONTEXT];
        let segments = match context.gso_size {
            0 => 0,
            size => u32::try_from(packet.len())?.div_ceil(size),
        };
        for (at, value) in [
            (MARK, context.mark),
            (INGRESS_IFINDEX, context.ingress_ifindex),
            (IFINDEX, context.ifindex),
            (GSO_SEGMENTS, segments),
            (GSO_SIZE, context.gso_size),
        ] {
            input[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        }
        let mut output = [0; CONTEXT];
        let mut changed = vec![0; packet.len() + GROWTH];

        let run = Run {
            packet,
            changed: &mut changed,
            context: &input,
            changed_context: &mut output,
            repeat,
        };
        let ran = sys::test_run(self.program(direction).as_fd(), run)
            .context("the kernel refused to run the program on this packet")?;
        changed.truncate(ran.length);
        let mut mark = [0; 4];
        mark.copy_from_slice(&output[MARK..MARK + 4]);
        Ok(Outcome {
            verdict: ran.verdict,
            packet: changed,
            mark: u32::from_ne_bytes(mark),
            nanoseconds: ran.nanoseconds,
        })
    }
}
