//! Writing an endpoint in the form of the announcement that it replaces.

use super::Kind;
use crate::{
    address::{Address, Endpoint},
    straight::{choose, is_less, is_set},
};

/// Most bytes that a rewrite writes or a hold keeps. `EPRT` needs 45 for an
/// IPv6 address, a delimiter and a port; blanks and a CR may follow.
pub const TEXT: usize = 64;

/// A short text under construction in memory of the caller.
///
/// In the kernel that memory is a map value: the stack is too small, and the
/// verifier forgets what it knew of a number that comes from there. With the
/// progress in registers it would follow every combination of digit counts.
#[derive(Debug)]
pub struct Text<'a> {
    bytes: &'a mut [u8; TEXT],
    progress: &'a mut Progress,
}

/// How far a [`Text`] is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Bytes written.
    pub len: u32,
    /// Groups of an IPv6 address that `::` stands for, one bit each.
    zeros: u32,
}

impl<'a> Text<'a> {
    /// An empty text; zeroes `bytes` and `progress`.
    #[inline(always)]
    pub fn new(bytes: &'a mut [u8; TEXT], progress: &'a mut Progress) -> Self {
        *bytes = [0; TEXT];
        *progress = Progress::default();
        Self { bytes, progress }
    }

    /// Writes the replacement for an announcement's span, in its own form:
    /// `PORT` and 227 as six numbers, `EPRT` with its delimiter and the address
    /// in RFC 5952 form, 229 as the port alone.
    #[inline(always)]
    pub fn endpoint(&mut self, kind: Kind, delimiter: u8, endpoint: &Endpoint) {
        match kind {
            Kind::REPLY_229 => self.decimal(endpoint.port),
            Kind::EPRT => {
                if endpoint.address.is_v4() {
                    self.octets(&endpoint.address, b'.');
                } else {
                    self.groups(&endpoint.address);
                }
                self.push(delimiter);
                self.decimal(endpoint.port);
            }
            _ => {
                self.octets(&endpoint.address, b',');
                self.push(b',');
                self.decimal(endpoint.port >> 8);
                self.push(b',');
                self.decimal(endpoint.port & 0xff);
            }
        }
    }

    /// Appends a byte; what does not fit is lost.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        // SAFETY: a valid reference; volatile for the reason given at the type.
        let len = unsafe { (&raw const self.progress.len).read_volatile() };
        if (len as usize) < TEXT {
            self.bytes[len as usize & (TEXT - 1)] = byte;
            // SAFETY: as above.
            unsafe { (&raw mut self.progress.len).write_volatile(len + 1) };
        }
    }

    #[inline(always)]
    fn decimal(&mut self, number: u16) {
        if number >= 10000 {
            self.push(b'0' + (number / 10000) as u8);
        }
        if number >= 1000 {
            self.push(b'0' + (number / 1000 % 10) as u8);
        }
        if number >= 100 {
            self.push(b'0' + (number / 100 % 10) as u8);
        }
        if number >= 10 {
            self.push(b'0' + (number / 10 % 10) as u8);
        }
        self.push(b'0' + (number % 10) as u8);
    }

    #[inline(always)]
    fn octets(&mut self, address: &Address, separator: u8) {
        let octets = address.v4_octets();
        for (index, octet) in octets.iter().enumerate() {
            if index > 0 {
                self.push(separator);
            }
            self.decimal(u16::from(*octet));
        }
    }

    #[inline(always)]
    fn hexadecimal(&mut self, number: u16) {
        let digit = |value: u16| {
            let value = (value & 15) as u8;
            if value < 10 {
                b'0' + value
            } else {
                b'a' + value - 10
            }
        };
        if number >= 0x1000 {
            self.push(digit(number >> 12));
        }
        if number >= 0x100 {
            self.push(digit(number >> 8));
        }
        if number >= 0x10 {
            self.push(digit(number >> 4));
        }
        self.push(digit(number));
    }

    /// RFC 5952: lower case, no leading zeros, the longest run of at least two
    /// zero groups (the first of equals) as `::`.
    #[inline(always)]
    fn groups(&mut self, address: &Address) {
        let mut zeros = 0u32;
        for index in 0..8 {
            zeros |= (1 - is_set(u32::from(address.group(index)))) << index;
        }
        // Bit n of `runs` after k rounds: a run of k + 1 zeros starts at group n.
        let (mut runs, mut longest, mut len) = (zeros, 0u32, 0u32);
        for round in 1..9 {
            let any = is_set(runs);
            longest = choose(any, runs, longest);
            len = choose(any, round, len);
            runs &= zeros >> round;
        }
        let first = longest & longest.wrapping_neg();
        let run = first.wrapping_mul((1 << (len & 15)) - 1);
        self.progress.zeros = is_less(1, len) * run;
        for index in 0..8 {
            let follows_run = index > 0 && self.in_run(index - 1);
            if !self.in_run(index) {
                if index > 0 && !follows_run {
                    self.push(b':');
                }
                self.hexadecimal(address.group(index as usize));
            } else if !follows_run {
                self.push(b':');
                self.push(b':');
            }
        }
    }

    /// The group belongs to the `::`.
    #[inline(always)]
    fn in_run(&self, index: u32) -> bool {
        // SAFETY: a valid reference; volatile for the reason given at the type.
        let zeros = unsafe { (&raw const self.progress.zeros).read_volatile() };
        (zeros >> index) & 1 == 1
    }
}
