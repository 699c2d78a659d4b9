//! The errno inside aya's errors.

use std::io;

use aya::{
    maps::MapError,
    programs::{ProgramError, tc::TcError},
};

/// The errno of the first error in the chain that has one.
pub(super) fn os_error(error: &anyhow::Error) -> Option<i32> {
    error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<ProgramError>() {
            program_os_error(error)
        } else {
            cause.downcast_ref::<io::Error>()?.raw_os_error()
        }
    })
}

pub(super) fn program_os_error(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::NetlinkError(error) => error.raw_os_error(),
        ProgramError::TcError(error) => tc_os_error(error),
        _ => None,
    }
}

pub(super) fn tc_os_error(error: &TcError) -> Option<i32> {
    match error {
        TcError::NetlinkError(error) => error.raw_os_error(),
        TcError::IoError(error) => error.raw_os_error(),
        _ => None,
    }
}

pub(super) fn map_os_error(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    }
}
