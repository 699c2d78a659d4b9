//! TC programs of somebody else: they do nothing, `r0 = TCX_NEXT; exit`.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use ftp_helper_common::session::Direction;
use nix::net::if_::if_nametoindex;

const PROGRAM_LOAD: i64 = 5;
const OBJECT_PIN: i64 = 6;
const LINK_CREATE: i64 = 28;
const LINK_DETACH: i64 = 34;

const SCHED_CLS: u32 = 3;

/// `BPF_MOV64_IMM(R0, -1)`, `BPF_EXIT_INSN()`
const INSTRUCTIONS: [[u8; 8]; 2] = [
    [0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
    [0x95, 0, 0, 0, 0, 0, 0, 0],
];

#[repr(C)]
struct ProgramLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    version: u32,
    flags: u32,
    name: [u8; 16],
}

#[repr(C)]
struct ObjectPin {
    path: u64,
    descriptor: u32,
    flags: u32,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    device: u32,
    place: u32,
    flags: u32,
    relative: u64,
    revision: u64,
}

/// Where a program comes among others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
}

/// A loaded program.
pub(crate) struct Program {
    descriptor: OwnedFd,
}

impl Program {
    /// Loads one of this name, of at most 15 characters.
    pub(crate) fn load(name: &str) -> Result<Self> {
        let license = c"MIT";
        let mut attribute = ProgramLoad {
            kind: SCHED_CLS,
            count: 2,
            instructions: INSTRUCTIONS.as_ptr() as u64,
            license: license.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            version: 0,
            flags: 0,
            name: [0; 16],
        };
        attribute.name[..name.len()].copy_from_slice(name.as_bytes());
        // SAFETY: instructions and license live across the call.
        let descriptor = unsafe { bpf(PROGRAM_LOAD, &attribute) }.context("program not loaded")?;
        // SAFETY: a successful load returns a new descriptor.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { descriptor })
    }

    /// Attaches it to a device of this network namespace, until the returned
    /// value goes away. `None` when the kernel has no TCX.
    pub(crate) fn attach(
        &self,
        device: &str,
        way: Direction,
        place: Place,
    ) -> Result<Option<Link>> {
        const BEFORE: u32 = 1 << 3;
        const AFTER: u32 = 1 << 4;
        let attribute = LinkCreate {
            program: self.descriptor.as_raw_fd().cast_unsigned(),
            device: if_nametoindex(device)?,
            place: match way {
                Direction::Ingress => 46,
                Direction::Egress => 47,
            },
            flags: match place {
                Place::First => BEFORE,
                Place::Last => AFTER,
            },
            relative: 0,
            revision: 0,
        };
        // SAFETY: there is no pointer in it.
        match unsafe { bpf(LINK_CREATE, &attribute) } {
            // SAFETY: success returns a new descriptor.
            Ok(link) => Ok(Some(Link(unsafe { OwnedFd::from_raw_fd(link) }))),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
            Err(error) => Err(error).context("program not attached"),
        }
    }

    /// Pins it, for tools that want a path.
    pub(crate) fn pin(&self, path: &str) -> Result<()> {
        let path = CString::new(path)?;
        let attribute = ObjectPin {
            path: path.as_ptr() as u64,
            descriptor: self.descriptor.as_raw_fd().cast_unsigned(),
            flags: 0,
        };
        // SAFETY: the path lives across the call.
        unsafe { bpf(OBJECT_PIN, &attribute) }.context("program not pinned")?;
        Ok(())
    }
}

/// A program that is attached. It is detached when this goes away, also while a program
/// that another test starts has a copy of the descriptor.
pub(crate) struct Link(OwnedFd);

impl Drop for Link {
    fn drop(&mut self) {
        let attribute = [self.0.as_raw_fd().cast_unsigned()];
        // SAFETY: there is no pointer in it.
        let _ = unsafe { bpf(LINK_DETACH, &attribute) };
    }
}

/// # Safety
///
/// Pointers in the attribute must be valid for what the command reads there.
unsafe fn bpf<T>(command: i64, attribute: &T) -> io::Result<i32> {
    // SAFETY: the attribute is a valid reference; the caller vouches for the rest.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attribute),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
