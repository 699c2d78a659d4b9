//! Attachment with the clsact qdisc, for kernels before TCX.
//!
//! The attachment is a filter with a handle that only we use, so an agent can
//! replace the filter of an earlier one in place. The filter stays without a
//! pin; the program is pinned all the same, as the mark of where filters are.
//! The qdisc is made when it is missing and never removed: others may have put
//! their filters there meanwhile.

use std::{fs, io};

use anyhow::{Context as _, Result};
use aya::programs::{
    Link as _, SchedClassifier,
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle},
};
use ftp_helper_common::session::Direction;

use super::{
    attach_type,
    error::{program_os_error, tc_os_error},
};
use crate::pins::{AttachmentPin, direction_word};

/// "FTPH"
const HANDLE: TcHandle = TcHandle::new(0x4654, 0x5048);

/// Filters run in the order of their priority. The very first and the very last
/// one are where others put theirs when they want to be first or last; the ones
/// next to them do not collide.
const fn priority(direction: Direction) -> u16 {
    match direction {
        Direction::Ingress => 2,
        Direction::Egress => 0xfffe,
    }
}

/// Attaches a program and leaves the mark.
pub(super) fn attach(program: &mut SchedClassifier, pin: &AttachmentPin) -> Result<()> {
    match tc::qdisc_add_clsact(&pin.device.name) {
        Err(error) if tc_os_error(&error) != Some(libc::EEXIST) => {
            return Err(error).context("can not add the clsact qdisc");
        }
        _ => {}
    }
    // The mark comes first: a mark without a filter is harmless.
    mark(program, pin)?;
    // A filter whose mark was lost.
    if replace_filter(program, pin)? {
        return Ok(());
    }
    let options = NlOptions {
        priority: priority(pin.direction),
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
    Ok(())
}

/// Puts the program in the place of that of a filter. False when it is gone.
pub(super) fn replace(program: &mut SchedClassifier, pin: &AttachmentPin) -> Result<bool> {
    if !replace_filter(program, pin)? {
        return Ok(false);
    }
    // The old pin would keep the old program in memory.
    unmark(pin)?;
    mark(program, pin)?;
    Ok(true)
}

fn replace_filter(program: &mut SchedClassifier, pin: &AttachmentPin) -> Result<bool> {
    let Some(filter) = filter(&pin.device.name, pin.direction)? else {
        return Ok(false);
    };
    match program.attach_to_link(filter) {
        Ok(id) => {
            std::mem::forget(program.take_link(id)?);
            Ok(true)
        }
        Err(error) if is_absent(program_os_error(&error)) => Ok(false),
        Err(error) => Err(error).context("can not replace the filter"),
    }
}

/// Removes our filter and the mark.
pub(super) fn detach(pin: &AttachmentPin) -> Result<()> {
    remove(&pin.device.name, pin.direction)?;
    unmark(pin)
}

/// Removes our filter from a device; fine when there is none.
pub(super) fn remove(device: &str, direction: Direction) -> Result<()> {
    let Some(filter) = filter(device, direction)? else {
        return Ok(());
    };
    match filter.detach() {
        Err(error) if !is_absent(program_os_error(&error)) => Err(error).with_context(|| {
            let word = direction_word(direction);
            format!("can not remove the filter from {word} of interface {device}")
        }),
        _ => Ok(()),
    }
}

/// What our filter on this device would be; `None` without the device.
fn filter(device: &str, direction: Direction) -> Result<Option<SchedClassifierLink>> {
    let attach_type = attach_type(direction);
    match SchedClassifierLink::attached(device, attach_type, priority(direction), HANDLE, None) {
        Ok(link) => Ok(Some(link)),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("can not look up interface {device}")),
    }
}

/// The kernel's words for "no such filter" and "no such qdisc".
const fn is_absent(code: Option<i32>) -> bool {
    matches!(code, Some(libc::ENOENT | libc::EINVAL))
}

fn mark(program: &mut SchedClassifier, pin: &AttachmentPin) -> Result<()> {
    program
        .pin(&pin.path)
        .with_context(|| format!("can not pin the program as {}", pin.path.display()))
}

fn unmark(pin: &AttachmentPin) -> Result<()> {
    match fs::remove_file(&pin.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can not remove {}", pin.path.display()))
        }
        _ => Ok(()),
    }
}
