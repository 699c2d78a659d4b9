//! Code in a straight line for what is usually written with branches or bytes.
//!
//! The kernel's verifier follows both sides of every branch and every turn of a loop.
//! A choice for each byte of a buffer costs it thousands of instructions, and a call of
//! `memset` as many as there are bytes. The loads of the programs, and so the start of
//! the agent, take as long as all of these together.

use core::hint::black_box;

use zerocopy::{FromBytes, IntoBytes};

/// 1 when `a < b`, otherwise 0; the two must not be 2³¹ or more apart.
#[inline(always)]
pub fn is_less(a: u32, b: u32) -> u32 {
    highest_bit(a.wrapping_sub(b))
}

/// 1 when `number` is not zero, otherwise 0.
#[inline(always)]
pub fn is_set(number: u32) -> u32 {
    highest_bit(number | number.wrapping_neg())
}

#[inline(always)]
fn highest_bit(number: u32) -> u32 {
    // Both are hidden from the compiler: where it knows that a number is one of two, or
    // what it was compared with, it makes a branch of whatever is done with it.
    black_box(black_box(number) >> 31)
}

/// `yes` when `bit` is 1, `no` when it is 0. By a product: newer verifiers follow
/// both values of a mask.
#[inline(always)]
pub const fn choose(bit: u32, yes: u32, no: u32) -> u32 {
    no.wrapping_add(yes.wrapping_sub(no).wrapping_mul(bit))
}

/// How many bytes of the word lie in front of the first `wanted` in it, from the lowest
/// byte on; 8 when there is none.
#[inline(always)]
pub const fn bytes_before(word: u64, wanted: u8) -> u32 {
    const ONES: u64 = u64::MAX / 255;
    let zero_where_equal = word ^ (ONES * wanted as u64);
    // The highest bit of each byte that is zero; behind the first one also of others.
    let equal = zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & (ONES << 7);
    let in_front = equal.wrapping_sub(1) & !equal;
    (((in_front >> 7) & ONES).wrapping_mul(ONES) >> 56) as u32
}

/// Sets all bytes of a value to zero, by words.
#[inline(always)]
pub fn clear<T: FromBytes + IntoBytes>(value: &mut T) {
    const UNROLLED: usize = 8;
    const {
        assert!(align_of::<T>() >= align_of::<u64>() && size_of::<T>().is_multiple_of(8));
    }
    let words = size_of::<T>() / 8;
    let first: *mut u64 = core::ptr::from_mut(value).cast();
    // Volatile, or this would become the very call that it stands for.
    let clear = |index: usize| {
        // SAFETY: inside the value, aligned as was asserted, and zero is valid for it.
        unsafe { first.add(index).write_volatile(0) };
    };
    let mut at = 0;
    while at + UNROLLED <= words {
        clear(at);
        clear(at + 1);
        clear(at + 2);
        clear(at + 3);
        clear(at + 4);
        clear(at + 5);
        clear(at + 6);
        clear(at + 7);
        at += UNROLLED;
    }
    while at < words {
        clear(at);
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::{FromBytes, IntoBytes};

    use super::*;

    #[test]
    fn bits_follow_the_comparison() {
        for a in [0, 1, 2, 63, 64, 255, 0x7fff_ffff] {
            for b in [0, 1, 2, 63, 64, 255, 0x7fff_ffff] {
                assert_eq!(is_less(a, b), u32::from(a < b), "{a} {b}");
            }
        }
        for number in [1, 2, 0x8000_0000, u32::MAX] {
            assert_eq!(is_set(number), 1, "{number}");
        }
        assert_eq!(is_set(0), 0);
        for (yes, no) in [(1, 2), (2, 1), (0, u32::MAX), (u32::MAX, 0)] {
            assert_eq!(choose(1, yes, no), yes);
            assert_eq!(choose(0, yes, no), no);
        }
    }

    #[test]
    fn the_first_of_equal_bytes_is_found() {
        for text in [
            *b"12345678",
            *b"1234567\n",
            *b"\n2345678",
            *b"123\n5\n7\n",
            *b"12\x0b\n5678",
            *b"1\n\x0b45678",
            [0xff; 8],
            [0; 8],
            [0x8a; 8],
        ] {
            let found = text.iter().position(|byte| *byte == b'\n').unwrap_or(8);
            let word = u64::from_le_bytes(text);
            assert_eq!(bytes_before(word, b'\n') as usize, found, "{text:?}");
        }
    }

    #[test]
    fn no_byte_stays() {
        #[derive(FromBytes, IntoBytes)]
        #[repr(C)]
        struct Value([u64; 19]);
        let mut value = Value([u64::MAX; 19]);
        clear(&mut value);
        assert_eq!(value.0, [0; 19]);
    }
}
