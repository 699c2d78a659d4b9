//! Attachment with TCX (Linux 6.6): a link, which the pin keeps alive, and in
//! which one program takes the place of another atomically.

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use anyhow::{Context as _, Result};
use aya::programs::{
    LinkOrder, SchedClassifier,
    links::{FdLink, PinnedLink},
    tc::{SchedClassifierLink, TcAttachOptions},
};
use aya_obj::generated::bpf_cmd;
use ftp_helper_common::session::Direction;

use super::{attach_type, error::program_os_error};
use crate::pins::AttachmentPin;

/// Attaches a program and pins the link.
pub(super) fn attach(program: &mut SchedClassifier, pin: &AttachmentPin) -> Result<()> {
    let order = match pin.direction {
        Direction::Ingress => LinkOrder::first(),
        Direction::Egress => LinkOrder::last(),
    };
    let id = program.attach_with_options(
        &pin.device.name,
        attach_type(pin.direction),
        TcAttachOptions::TcxOrder(order),
    )?;
    let link: FdLink = program.take_link(id)?.try_into()?;
    link.pin(&pin.path)
        .with_context(|| format!("can not pin the link as {}", pin.path.display()))?;
    Ok(())
}

/// Puts the program in the place of that of a pinned link. False when the link's
/// device is gone.
pub(super) fn replace(program: &mut SchedClassifier, pin: &AttachmentPin) -> Result<bool> {
    let context = || format!("can not take over the pinned link {}", pin.path.display());
    let link = PinnedLink::from_pin(&pin.path).with_context(context)?;
    let link: SchedClassifierLink = FdLink::from(link).try_into().with_context(context)?;
    match program.attach_to_link(link) {
        Ok(id) => {
            // The pin keeps the attachment; ours would end it with the agent.
            let link = program.take_link(id).with_context(context)?;
            let _: FdLink = link.try_into().with_context(context)?;
            Ok(true)
        }
        Err(error) if program_os_error(&error) == Some(libc::ENOLINK) => Ok(false),
        Err(error) => Err(error).with_context(context),
    }
}

/// The part of `union bpf_attr` for `BPF_OBJ_GET`.
#[repr(C)]
struct ObjectGet {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// The part of `union bpf_attr` for `BPF_LINK_DETACH`.
#[repr(C)]
struct LinkDetach {
    link: u32,
}

/// Detaches the program of a pinned link and removes the pin.
///
/// Unlinking the pin is not enough for a caller that wants to know when the
/// program is gone: the kernel drops the last reference some time later. Telling
/// the link to detach takes effect before the call returns; aya has no call for
/// that.
pub(super) fn detach(path: &Path) -> Result<()> {
    let name = CString::new(path.as_os_str().as_bytes()).context("a path has a NUL in it")?;
    let get = ObjectGet {
        path: name.as_ptr() as u64,
        descriptor: 0,
        flags: 0,
    };
    // SAFETY: the attribute is that of the command, and the path it points to
    // lives across the call.
    let link = unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &get) }
        .with_context(|| format!("can not open the pinned link {}", path.display()))?;
    // SAFETY: a successful BPF_OBJ_GET returns a new descriptor.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    let detach = LinkDetach {
        link: link.as_raw_fd().cast_unsigned(),
    };
    // SAFETY: the attribute is that of the command and holds no pointer.
    unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &detach) }
        .with_context(|| format!("can not detach the pinned link {}", path.display()))?;
    fs::remove_file(path).with_context(|| format!("can not remove {}", path.display()))
}

/// The bpf(2) system call.
///
/// # Safety
///
/// `attribute` must be the part of `union bpf_attr` that belongs to the command,
/// with valid pointers in it.
unsafe fn bpf<T>(command: bpf_cmd, attribute: &T) -> io::Result<i32> {
    // SAFETY: the kernel reads `size` bytes of the attribute, which is a valid
    // reference; the caller vouches for what it holds.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_ref(attribute),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
