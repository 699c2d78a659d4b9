//! Writing an endpoint in the form of the announcement that it replaces.

use super::{Announcement, Kind};
use crate::address::{Address, Endpoint};

/// Most bytes that a rewrite writes or a hold keeps. `EPRT` needs 45 for an
/// IPv6 address, a delimiter and a port; blanks and a CR may follow.
pub const TEXT: usize = 64;

/// A short text under construction; bytes behind its end are zero.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Text {
    bytes: [u8; TEXT],
    len: u32,
}

impl Text {
    /// The empty text.
    #[inline(always)]
    pub const fn new() -> Self {
        Self {
            bytes: [0; TEXT],
            len: 0,
        }
    }

    /// The replacement for an announcement's span, in its own form: `PORT` and
    /// 227 as six numbers, `EPRT` with its delimiter and the address in RFC 5952
    /// form, 229 as the port alone.
    #[inline(always)]
    pub fn of(announcement: &Announcement, endpoint: &Endpoint) -> Self {
        let mut text = Self::new();
        match announcement.kind {
            Kind::REPLY_229 => text.decimal(endpoint.port),
            Kind::EPRT => {
                if endpoint.address.is_v4() {
                    text.octets(&endpoint.address, b'.');
                } else {
                    text.groups(&endpoint.address);
                }
                text.push(announcement.delimiter);
                text.decimal(endpoint.port);
            }
            _ => {
                text.octets(&endpoint.address, b',');
                text.push(b',');
                text.decimal(endpoint.port >> 8);
                text.push(b',');
                text.decimal(endpoint.port & 0xff);
            }
        }
        text
    }

    /// The bytes, zero-padded.
    #[inline(always)]
    pub const fn bytes(&self) -> &[u8; TEXT] {
        &self.bytes
    }

    /// Number of bytes written.
    #[inline(always)]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// True when nothing was written.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a byte; what does not fit is lost.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        if (self.len as usize) < TEXT {
            self.bytes[self.len as usize & (TEXT - 1)] = byte;
            self.len += 1;
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
        let (mut best_start, mut best_len) = (8, 1);
        let (mut start, mut len) = (0, 0);
        for index in 0..8 {
            if address.group(index) == 0 {
                if len == 0 {
                    start = index;
                }
                len += 1;
                if len > best_len {
                    best_len = len;
                    best_start = start;
                }
            } else {
                len = 0;
            }
        }
        for index in 0..8 {
            if index >= best_start && index < best_start + best_len {
                if index == best_start {
                    self.push(b':');
                    self.push(b':');
                }
                continue;
            }
            if index > 0 && index != best_start + best_len {
                self.push(b':');
            }
            self.hexadecimal(address.group(index));
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::new()
    }
}
