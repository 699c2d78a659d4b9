//! Attachment with the clsact qdisc, for kernels before TCX.
//!
//! The attachment is a filter with a handle that only we use, so an agent can
//! replace the filter of an earlier one in place. The filter stays without a
//! pin; the program is pinned all the same, as the mark of where filters are.
//! The qdisc is made when it is missing and never removed: others may have put
//! their filters there meanwhile.

use std::{fs, io};

use anyhow::{Context as _, Result, bail};
use aya::programs::{
    Link as _, SchedClassifier,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle},
};
use ftp_helper_common::session::Direction;
use nix::sys::socket::SockProtocol;

use super::{
    attach_type,
    error::{program_os_error, tc_os_error},
    netlink,
    order::Order,
    program::Program,
};
use crate::{
    device::Device,
    pins::{AttachmentPin, direction_word},
};

/// "FTPH"
const HANDLE: TcHandle = TcHandle::new(0x4654, 0x5048);

/// Filters run in the order of their priority. The very first and the very last
/// one are where others put theirs when they want to be first or last; the ones
/// next to them do not collide.
const FIRST: u16 = 2;
const LAST: u16 = 0xfffe;

fn priority(direction: Direction, order: &Order) -> Result<u16> {
    Ok(match (order, direction) {
        (Order::First, _) | (Order::Wire, Direction::Ingress) => FIRST,
        (Order::Last, _) | (Order::Wire, Direction::Egress) => LAST,
        (Order::Before(neighbour) | Order::After(neighbour), _) => bail!(
            "a place next to program {neighbour} takes TCX (Linux 6.6): filters of clsact run by \
             priority, so use --order first (priority {FIRST}) or last ({LAST})"
        ),
    })
}

/// Attaches a program, leaves the mark, and tells whether the program is where it
/// is wanted: a filter whose mark was lost keeps its place.
pub(super) fn attach(program: &Program, pin: &AttachmentPin, order: &Order) -> Result<bool> {
    let priority = priority(pin.direction, order)?;
    match tc::qdisc_add_clsact(&pin.device.name) {
        Err(error) if tc_os_error(&error) != Some(libc::EEXIST) => {
            return Err(error).context("can not add the clsact qdisc");
        }
        _ => check_kind(&pin.device)?,
    }
    // The mark comes first: a mark without a filter is harmless.
    let mut program = mark(program, pin)?;
    if let Some(found) = replace_filter(&mut program, pin)? {
        return Ok(found == priority);
    }
    let options = NlOptions {
        priority,
        handle: HANDLE,
        classid: None,
    };
    let id = program.attach_with_options(
        &pin.device.name,
        attach_type(pin.direction),
        TcAttachOptions::Netlink(options),
    )?;
    // The kernel keeps the filter; dropping aya's handle would remove it.
    std::mem::forget(program.take_link(id)?);
    Ok(true)
}

/// An older kind of qdisc lies in the same place, has one direction only, and
/// takes the filters of both for that one.
fn check_kind(device: &Device) -> Result<()> {
    // struct tcmsg: no family, the device, no handle, the parent, no information.
    let body = [
        &[0; 4][..],
        &device.index.to_ne_bytes(),
        &[0; 4],
        &CLSACT.to_ne_bytes(),
        &[0; 4],
        &netlink::attribute(KIND, b"clsact\0"),
    ]
    .concat();
    match netlink::request(SockProtocol::NetlinkRoute, GET_QDISC, 0, &body) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => bail!(
            "the qdisc for filters is no clsact, which alone has both directions: see `tc qdisc \
             show dev {}`; replace it with clsact if nobody needs its filters",
            device.name
        ),
        result => result.context("can not look at the clsact qdisc"),
    }
}

/// `RTM_GETQDISC`, `TC_H_CLSACT`, `TCA_KIND`
const GET_QDISC: u16 = 38;
const CLSACT: u32 = 0xffff_fff1;
const KIND: u16 = 1;

/// Puts the program in the place of that of a filter, and tells whether that is
/// where it is wanted. `None` when it is gone.
pub(super) fn replace(
    program: &Program,
    pin: &AttachmentPin,
    order: &Order,
) -> Result<Option<bool>> {
    // The old pin would keep the old program in memory.
    unmark(pin)?;
    let found = replace_filter(&mut mark(program, pin)?, pin)?;
    let wanted = priority(pin.direction, order).ok();
    Ok(found.map(|found| wanted == Some(found)))
}

/// Replaces our filter and returns its priority; `None` when there is none.
fn replace_filter(program: &mut SchedClassifier, pin: &AttachmentPin) -> Result<Option<u16>> {
    let Some(device) = pin.device.now() else {
        return Ok(None);
    };
    for priority in [FIRST, LAST] {
        let Some(filter) = filter(&device.name, pin.direction, priority)? else {
            return Ok(None);
        };
        match program.attach_to_link(filter) {
            Ok(id) => {
                std::mem::forget(program.take_link(id)?);
                return Ok(Some(priority));
            }
            Err(error) if is_absent(program_os_error(&error)) => {}
            Err(error) => return Err(error).context("can not replace the filter"),
        }
    }
    Ok(None)
}

/// Removes our filter and the mark.
pub(super) fn detach(pin: &AttachmentPin) -> Result<()> {
    if let Some(device) = pin.device.now() {
        remove(&device.name, pin.direction)?;
    }
    unmark(pin)
}

/// Removes our filter from a device; fine when there is none.
pub(super) fn remove(device: &str, direction: Direction) -> Result<()> {
    for priority in [FIRST, LAST] {
        let Some(filter) = filter(device, direction, priority)? else {
            return Ok(());
        };
        match filter.detach() {
            Err(error) if !is_absent(program_os_error(&error)) => {
                return Err(error).with_context(|| {
                    let word = direction_word(direction);
                    format!("can not remove the filter from {word} of interface {device}")
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// What our filter of this priority would be; `None` without the device.
fn filter(
    device: &str,
    direction: Direction,
    priority: u16,
) -> Result<Option<SchedClassifierLink>> {
    let attach_type = attach_type(direction);
    match SchedClassifierLink::attached(device, attach_type, priority, HANDLE, None) {
        Ok(link) => Ok(Some(link)),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can not look up interface {device}")),
    }
}

/// The kernel's words for "no such filter" and "no such qdisc".
const fn is_absent(code: Option<i32>) -> bool {
    matches!(code, Some(libc::ENOENT | libc::EINVAL))
}

/// Pins the program, and takes it from there as one of aya's, which speaks
/// netlink.
fn mark(program: &Program, pin: &AttachmentPin) -> Result<SchedClassifier> {
    program.pin(&pin.path)?;
    SchedClassifier::from_pin(&pin.path)
        .with_context(|| format!("can not open the program {}", pin.path.display()))
}

fn unmark(pin: &AttachmentPin) -> Result<()> {
    match fs::remove_file(&pin.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can not remove {}", pin.path.display()))
        }
        _ => Ok(()),
    }
}
