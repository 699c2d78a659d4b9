//! A program in the kernel.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use anyhow::{Context as _, Result};

use aya_obj::generated::bpf_prog_info;

use super::sys::{self, Image};

/// A loaded program. It is gone with the value, unless it is pinned or attached.
pub(super) struct Program {
    descriptor: OwnedFd,
}

/// What a program is refused with, and what the verifier said.
pub(super) struct LoadError {
    pub(super) error: io::Error,
    pub(super) log: String,
}

/// The most that the verifier may say: the largest buffer that all kernels take.
const LOG: usize = (u32::MAX >> 8) as usize;

/// How often a load is tried that signals interrupt.
const ATTEMPTS: usize = 5;

impl Program {
    /// Loads a program.
    pub(super) fn load(image: &Image<'_>) -> Result<Self, LoadError> {
        // Writing the log takes time; it is of interest only when there is an
        // error.
        let descriptor = patiently(|| sys::load_program(image, &mut [])).or_else(|first| {
            let mut log = vec![0; LOG];
            patiently(|| sys::load_program(image, &mut log)).map_err(|second| {
                let end = log.iter().position(|byte| *byte == 0);
                log.truncate(end.unwrap_or(LOG));
                LoadError {
                    // A log that is too long is no reason to refuse a program.
                    error: match second.raw_os_error() {
                        Some(libc::ENOSPC) => first,
                        _ => second,
                    },
                    log: String::from_utf8_lossy(&log).into_owned(),
                }
            })
        })?;
        Ok(Self { descriptor })
    }

    /// Pins the program.
    pub(super) fn pin(&self, path: &Path) -> Result<()> {
        sys::pin(self, path)
            .with_context(|| format!("can not pin the program as {}", path.display()))
    }

    /// The number by which the kernel knows the program.
    pub(super) fn id(&self) -> Result<u32> {
        Ok(self.info()?.id)
    }

    /// Instructions that the verifier went through. `None` when the kernel does
    /// not say.
    pub(super) fn verified_instructions(&self) -> Result<Option<u32>> {
        let count = self.info()?.verified_insns;
        Ok((count > 0).then_some(count))
    }

    fn info(&self) -> Result<bpf_prog_info> {
        sys::program_info(self.as_fd()).context("can not ask about the program")
    }
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The name of any program, by its id. Needs CAP_SYS_ADMIN.
pub(super) fn name_of(id: u32) -> Result<String> {
    let info = sys::open_program(id)
        .and_then(|program| sys::program_info(program.as_fd()))
        .with_context(|| format!("can not open program {id}"))?;
    let name: Vec<u8> = info.name.iter().map(|byte| byte.to_ne_bytes()[0]).collect();
    let end = name.iter().position(|byte| *byte == 0);
    Ok(String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]).into_owned())
}

/// The verifier gives up when a signal comes; the next time it may not.
fn patiently(mut load: impl FnMut() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let mut attempts = 1;
    loop {
        match load() {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && attempts < ATTEMPTS => {
                attempts += 1;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use aya_obj::generated::bpf_insn;

    use super::*;
    use crate::datapath::{sys::Records, tests::privileged};

    fn instruction(code: u8, registers: u8) -> bpf_insn {
        let mut instruction = bpf_insn {
            code,
            _bitfield_align_1: [],
            _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
            off: 0,
            imm: 0,
        };
        instruction.set_dst_reg(registers & 0xf);
        instruction.set_src_reg(registers >> 4);
        instruction
    }

    fn load(instructions: &[bpf_insn]) -> Result<Program, LoadError> {
        // One type: an integer without a name.
        let mut types = vec![0x9f, 0xeb, 1, 0];
        let words = [24, 0, 16, 16, 1, 0, 1 << 24, 4, 32_u32];
        types.extend(words.into_iter().flat_map(u32::to_ne_bytes));
        types.push(0);
        let types = sys::load_types(&types).unwrap();
        let none = || Records {
            bytes: &[],
            size: 0,
        };
        Program::load(&Image {
            name: "a_test_with_a_long_name",
            license: c"GPL",
            instructions,
            types: types.as_fd(),
            functions: none(),
            lines: none(),
            modules: &[-1],
        })
    }

    #[test]
    fn a_refused_program_comes_with_what_the_verifier_said() {
        if !privileged() {
            return;
        }
        // r0 = r2; exit
        let refused = load(&[instruction(0xbf, 0x20), instruction(0x95, 0)])
            .err()
            .unwrap();
        assert_eq!(refused.error.raw_os_error(), Some(libc::EACCES));
        assert!(refused.log.contains("R2 !read_ok"), "{}", refused.log);
    }

    #[test]
    fn a_loaded_program_has_an_id_and_a_name() {
        if !privileged() {
            return;
        }
        // r0 = 0; exit
        let program = load(&[instruction(0xb7, 0), instruction(0x95, 0)])
            .ok()
            .unwrap();
        let name = name_of(program.id().unwrap()).unwrap();
        assert_eq!(name, "a_test_with_a_l");
        assert_eq!(program.verified_instructions().unwrap(), Some(2));
    }
}
