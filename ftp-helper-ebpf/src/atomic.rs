//! Operations that other processors see as one step. The BPF target of Rust has none.

use core::arch::asm;

/// Stores the value and returns what was there before.
///
/// A barrier as well: everything before it is seen before everything behind it, on all
/// processors (Documentation/bpf/standardization/instruction-set.rst, "Atomic operations").
#[inline(always)]
pub(crate) fn exchange(place: &mut u64, value: u64) -> u64 {
    let mut value = value;
    // SAFETY: the place is writable and aligned, and nothing else is touched.
    unsafe {
        asm!(
            "{value} = xchg_64({place} + 0, {value})",
            place = in(reg) core::ptr::from_mut(place),
            value = inout(reg) value,
            options(nostack),
        );
    }
    value
}

/// What this processor has stored is seen by others before it looks at anything further.
#[inline(always)]
pub(crate) fn barrier() {
    exchange(&mut 0, 0);
}

/// Sets the bits that are set in `bits`, and leaves the others to whoever changes them at
/// the same time; returns what was there before.
#[inline(always)]
pub(crate) fn set(place: &mut u64, bits: u64) -> u64 {
    let mut before = bits;
    // SAFETY: as for `exchange`.
    unsafe {
        asm!(
            "{bits} = atomic_fetch_or((u64 *)({place} + 0), {bits})",
            place = in(reg) core::ptr::from_mut(place),
            bits = inout(reg) before,
            options(nostack),
        );
    }
    before
}

/// Clears the bits that are set in `bits`, and leaves the others.
#[inline(always)]
pub(crate) fn clear(place: &mut u64, bits: u64) {
    // SAFETY: as for `exchange`.
    unsafe {
        asm!(
            "lock *(u64 *)({place} + 0) &= {bits}",
            place = in(reg) core::ptr::from_mut(place),
            bits = in(reg) !bits,
            options(nostack),
        );
    }
}
