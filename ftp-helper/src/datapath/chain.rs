//! The programs on one side of a device, ours and those of others.

use anyhow::{Context as _, Result};
use aya::programs::{
    ProgramInfo, SchedClassifier,
    links::{FdLink, PinnedLink},
};
use ftp_helper_common::session::Direction;

use super::{attach_type, error::program_os_error, program_name};
use crate::{
    device::Device,
    pins::{AttachmentPin, Technique},
};

/// Characters of a program's name that the kernel keeps.
const NAME: usize = 15;

/// A program in the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Program {
    /// Its number.
    pub id: u32,
    /// Its name, as much of it as the kernel keeps.
    pub name: String,
}

/// The programs that are attached with TCX, in the order in which they run.
/// `None` when the kernel has no TCX.
pub fn tcx(device: &Device, direction: Direction) -> Result<Option<Vec<Program>>> {
    match SchedClassifier::query_tcx(&device.name, attach_type(direction)) {
        Ok((_, programs)) => Ok(Some(
            programs
                .iter()
                .map(|program| Program {
                    id: program.id(),
                    name: String::from_utf8_lossy(program.name()).into_owned(),
                })
                .collect(),
        )),
        Err(error) if program_os_error(&error) == Some(libc::EINVAL) => Ok(None),
        Err(error) => Err(error)
            .with_context(|| format!("can not list the programs on interface {}", device.name)),
    }
}

/// The number of the program behind a pin.
pub fn pinned_program(pin: &AttachmentPin) -> Result<u32> {
    let context = || format!("can not open {}", pin.path.display());
    match pin.technique {
        Technique::Tcx => {
            let link = PinnedLink::from_pin(&pin.path).with_context(context)?;
            let info = FdLink::from(link).info().with_context(context)?;
            Ok(info.program_id())
        }
        Technique::Clsact => {
            let info = ProgramInfo::from_pin(&pin.path).with_context(context)?;
            Ok(info.id())
        }
    }
}

/// True for the name of one of our programs.
pub fn is_own_name(name: &str) -> bool {
    [Direction::Ingress, Direction::Egress]
        .into_iter()
        .map(program_name)
        .any(|own| name == own || own.get(..NAME) == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_known_in_full_and_as_the_kernel_keeps_them() {
        for name in ["ftp_helper_ingress", "ftp_helper_ingr", "ftp_helper_egre"] {
            assert!(is_own_name(name), "{name}");
        }
        for name in ["", "ftp_helper", "ftp_helper_in", "cil_to_netdev"] {
            assert!(!is_own_name(name), "{name}");
        }
    }
}
