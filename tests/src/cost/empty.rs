//! A TC program that does nothing: what a run of it takes is what the kernel takes
//! to run any program.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use aya_obj::generated::{bpf_cmd, bpf_insn, bpf_prog_type};

use super::bpf::{bpf, zero};

/// `sizeof(struct __sk_buff)`, as ftp-helper's programs are run with.
const CONTEXT: usize = 192;

/// Room for what a program may add to a packet, as with ftp-helper's programs.
const GROWTH: usize = 4096;

/// What the program returns: `TC_ACT_UNSPEC`.
const NEXT: i32 = -1;

/// The program, loaded.
#[derive(Debug)]
pub struct Empty {
    descriptor: OwnedFd,
}

impl Empty {
    /// Loads it.
    pub fn load() -> Result<Self> {
        // r0 = -1; exit
        let instructions = [instruction(0xb7, NEXT), instruction(0x95, 0)];
        let license = c"GPL";
        let mut attribute = zero();
        // SAFETY: all parts of the union are plain numbers, and all zero is one of
        // their values.
        let load = unsafe { &mut attribute.__bindgen_anon_3 };
        load.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
        load.insns = instructions.as_ptr() as u64;
        load.insn_cnt = 2;
        load.license = license.as_ptr() as u64;
        // SAFETY: the pointers are those of memory that lives across the call.
        let descriptor = unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attribute) }
            .context("the kernel takes no program that does nothing: run as root")?;
        // SAFETY: the descriptor is new and nobody else's.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { descriptor })
    }

    /// Nanoseconds that a run on this packet takes on average, of so many.
    pub fn run(&self, packet: &[u8], repeat: u32) -> Result<u32> {
        let context = [0_u8; CONTEXT];
        let mut changed_context = [0_u8; CONTEXT];
        let mut changed = vec![0_u8; packet.len() + GROWTH];
        let mut attribute = zero();
        attribute.test.prog_fd = self.descriptor.as_raw_fd().cast_unsigned();
        attribute.test.data_in = packet.as_ptr() as u64;
        attribute.test.data_size_in = length(packet.len());
        attribute.test.data_out = changed.as_mut_ptr() as u64;
        attribute.test.data_size_out = length(changed.len());
        attribute.test.ctx_in = context.as_ptr() as u64;
        attribute.test.ctx_size_in = length(CONTEXT);
        attribute.test.ctx_out = changed_context.as_mut_ptr() as u64;
        attribute.test.ctx_size_out = length(CONTEXT);
        attribute.test.repeat = repeat;
        // SAFETY: the pointers are those of memory that lives across the call, with
        // its lengths.
        unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attribute) }
            .context("the kernel does not run a program that does nothing")?;
        // SAFETY: the kernel wrote numbers there.
        let test = unsafe { attribute.test };
        ensure!(
            test.retval.cast_signed() == NEXT,
            "the program that does nothing returned {}",
            test.retval
        );
        Ok(test.duration)
    }
}

fn instruction(code: u8, immediate: i32) -> bpf_insn {
    bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
        off: 0,
        imm: immediate,
    }
}

/// A length that the kernel can not take becomes one that it refuses.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
