//! A TC program that does nothing: what a run of it takes is what the kernel takes
//! to run any program.

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use aya_obj::generated::{bpf_cmd, bpf_insn, bpf_prog_type};
use ftp_helper::datapath::sys::{self, Run};

use super::links::{self, Links};

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
        let mut attribute = sys::zero();
        // SAFETY: all parts of the union are plain numbers, and all zero is one of
        // their values.
        let load = unsafe { &mut attribute.__bindgen_anon_3 };
        load.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
        load.insns = instructions.as_ptr() as u64;
        load.insn_cnt = 2;
        load.license = license.as_ptr() as u64;
        // SAFETY: the pointers are those of memory that lives across the call, which
        // returns a new descriptor.
        let descriptor = unsafe { sys::open(bpf_cmd::BPF_PROG_LOAD, &mut attribute) }
            .context("the kernel takes no program that does nothing: run as root")?;
        Ok(Self { descriptor })
    }

    /// Attaches it to both hooks, see [`links::attach`].
    pub(super) fn attach(&self, device: u32) -> Result<Links> {
        let program = self.descriptor.as_fd();
        links::attach(device, program, program)
    }

    /// Nanoseconds that a run on this packet takes on average, of so many.
    pub fn run(&self, packet: &[u8], repeat: u32) -> Result<u32> {
        let ran = sys::test_run(
            self.descriptor.as_fd(),
            Run {
                packet,
                changed: &mut vec![0; packet.len() + GROWTH],
                context: &[0; CONTEXT],
                changed_context: &mut [0; CONTEXT],
                repeat,
            },
        )
        .context("the kernel does not run a program that does nothing")?;
        ensure!(
            ran.verdict.cast_signed() == NEXT,
            "the program that does nothing returned {}",
            ran.verdict
        );
        Ok(ran.nanoseconds)
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
