//! The few calls of bpf(2) that the comparison needs for itself: everything about
//! ftp-helper's programs is done by ftp-helper.

use std::{
    ffi::CString,
    fs, io, mem,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use anyhow::{Context as _, Result};
use aya_obj::generated::{BPF_F_RDONLY, bpf_attr, bpf_cmd};

/// Bytes that the kernel counts for a pinned map. To be called where `/proc` is that
/// of the caller.
pub(super) fn memory_of_map(pin: &Path) -> Result<u64> {
    let path = CString::new(pin.as_os_str().as_bytes()).context("a path with a NUL")?;
    let mut attribute = zero();
    attribute.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attribute.__bindgen_anon_4.file_flags = BPF_F_RDONLY;
    // SAFETY: the path lives across the call.
    let map = unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &mut attribute) }
        .with_context(|| format!("can not open {}", pin.display()))?;
    // SAFETY: the descriptor is new and nobody else's.
    let map = unsafe { OwnedFd::from_raw_fd(map) };
    let info = format!("/proc/self/fdinfo/{}", map.as_raw_fd());
    let text = fs::read_to_string(&info).with_context(|| format!("can not read {info}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
        .with_context(|| format!("{info} has no memlock:\n{text}"))
}

/// An attribute with nothing set.
pub(super) fn zero() -> bpf_attr {
    // SAFETY: all parts of the union are plain numbers.
    unsafe { mem::zeroed() }
}

/// The system call.
///
/// # Safety
///
/// `attribute` must be set up for the command, with valid pointers in it.
pub(super) unsafe fn bpf(command: bpf_cmd, attribute: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes `size` bytes of the attribute, which is a
    // valid reference; the caller vouches for what it holds.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as libc::c_long,
            std::ptr::from_mut(attribute),
            size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
