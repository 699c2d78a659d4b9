//! Attachment with TCX (Linux 6.6): a link, which the pin keeps alive, and in
//! which one program takes the place of another atomically.

use std::{fs, os::fd::AsFd as _, path::Path};

use anyhow::{Context as _, Result};
use aya_obj::generated::bpf_attach_type;
use ftp_helper_common::session::Direction;

use super::{
    error::os_error,
    order::Order,
    program::{self, Program},
    sys::{self, Place},
};
use crate::pins::AttachmentPin;

/// The hook of a direction.
pub(super) const fn hook(direction: Direction) -> bpf_attach_type {
    match direction {
        Direction::Ingress => bpf_attach_type::BPF_TCX_INGRESS,
        Direction::Egress => bpf_attach_type::BPF_TCX_EGRESS,
    }
}

/// Attaches a program and pins the link.
pub(super) fn attach(program: &Program, pin: &AttachmentPin, order: &Order) -> Result<()> {
    let place = place(pin.direction, order, || programs(pin))?;
    let hook = hook(pin.direction);
    let link = sys::create_link(program.as_fd(), pin.device.index, hook, place)
        .context("can not make a link")?;
    sys::pin(link, &pin.path)
        .with_context(|| format!("can not pin the link as {}", pin.path.display()))
}

/// Puts the program in the place of that of a pinned link, and tells whether that
/// is where it is wanted. `None` when the link's device is gone.
pub(super) fn replace(
    program: &Program,
    pin: &AttachmentPin,
    order: &Order,
) -> Result<Option<bool>> {
    let updated =
        sys::open_pin(&pin.path).and_then(|link| sys::update_link(link.as_fd(), program.as_fd()));
    match updated {
        // A neighbour that is gone is no reason to refuse an attachment that works; and
        // where names may not be looked up any more, nothing can be said against it.
        Ok(()) => {
            Ok(Some(holds(program, pin, order).unwrap_or_else(|error| {
                os_error(&error) == Some(libc::EPERM)
            })))
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => Ok(None),
        Err(error) => Err(error)
            .with_context(|| format!("can not take over the pinned link {}", pin.path.display())),
    }
}

/// The kernel's word for an order among these other programs, which are asked for
/// only when they matter.
fn place(
    direction: Direction,
    order: &Order,
    others: impl FnOnce() -> Result<Vec<u32>>,
) -> Result<Place> {
    Ok(match (order, direction) {
        (Order::First, _) | (Order::Wire, Direction::Ingress) => Place::First,
        (Order::Last, _) | (Order::Wire, Direction::Egress) => Place::Last,
        (Order::Before(neighbour), _) => {
            Place::Before(neighbour.find(&others()?, program::name_of)?)
        }
        (Order::After(neighbour), _) => Place::After(neighbour.find(&others()?, program::name_of)?),
    })
}

/// True when the program, which is attached, runs where it is wanted.
fn holds(program: &Program, pin: &AttachmentPin, order: &Order) -> Result<bool> {
    let all = programs(pin)?;
    let own = program.id()?;
    let others = all.iter().copied().filter(|id| *id != own).collect();
    let position = |id: u32| all.iter().position(|other| *other == id);
    Ok(match place(pin.direction, order, || Ok(others))? {
        Place::First => all.first() == Some(&own),
        Place::Last => all.last() == Some(&own),
        Place::Before(other) => position(own) < position(other),
        Place::After(other) => position(own) > position(other),
    })
}

/// Ids of the programs of the hook, in the order in which they run.
fn programs(pin: &AttachmentPin) -> Result<Vec<u32>> {
    sys::programs_of(pin.device.index, hook(pin.direction))
        .context("can not see which programs are attached")
}

/// Detaches the program of a pinned link and removes the pin.
///
/// Unlinking the pin is not enough for a caller that wants to know when the
/// program is gone: the kernel drops the last reference some time later. Telling
/// the link to detach takes effect before the call returns.
pub(super) fn detach(path: &Path) -> Result<()> {
    sys::open_pin(path)
        .and_then(|link| sys::detach_link(link.as_fd()))
        .with_context(|| format!("can not detach the pinned link {}", path.display()))?;
    fs::remove_file(path).with_context(|| format!("can not remove {}", path.display()))
}
