//! Bounded loops that the verifier looks at once.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;

/// One step of a loop: its index, and what was given to [`repeat`]. 0 goes on, 1
/// ends the loop.
pub(crate) type Step = unsafe extern "C" fn(u32, *mut c_void) -> i64;

/// Runs `step` with 0 to `count - 1` on `context`. `step` has to take its
/// context for a `T`, which nothing else can check.
#[inline(always)]
pub(crate) fn repeat<T>(count: u32, step: Step, context: &mut T) {
    // SAFETY: the step gets a pointer to the context, which outlives the loop.
    unsafe {
        bpf_loop(
            count,
            step as *mut c_void,
            core::ptr::from_mut(context).cast(),
            0,
        )
    };
}
