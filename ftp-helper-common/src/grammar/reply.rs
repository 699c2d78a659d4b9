//! Replies: what a server says.

use super::{
    ANNOUNCEMENT, Kind, LINE, LineParser, NOTHING,
    parser::{Problem, phase},
};

impl LineParser {
    #[inline(always)]
    pub(super) fn push_reply(&mut self, byte: u8) -> u32 {
        let mut step = NOTHING;
        match self.phase {
            phase::START => {
                if byte.is_ascii_digit() {
                    self.add_digit(byte, 3, 999);
                    self.phase = phase::CODE;
                } else {
                    self.phase = phase::SKIP;
                }
            }
            phase::CODE => {
                if byte.is_ascii_digit() {
                    self.add_digit(byte, 3, 999);
                    if self.digits == 3 {
                        self.phase = phase::SEPARATOR;
                    }
                } else {
                    self.phase = phase::SKIP;
                }
            }
            phase::SEPARATOR => self.reply_separator(byte),
            phase::TEXT_227 | phase::RUN_227 => step = self.reply_227(byte),
            phase::TEXT_229 if byte == b'(' => {
                self.field = 0;
                self.phase = phase::OPEN_229;
            }
            phase::OPEN_229 => self.reply_229_open(byte),
            phase::PORT_229 => step = self.reply_229_port(byte),
            _ => {}
        }
        if byte == b'\n' { step | LINE } else { step }
    }

    /// RFC 959 section 4.2: `ddd-` opens a multi-line reply that ends with
    /// `ddd SP` of the same code; lines between may look like anything, also
    /// like a 227. A bare code is taken as a whole reply.
    #[inline(always)]
    fn reply_separator(&mut self, byte: u8) {
        let code = (self.value & 0xffff) as u16;
        self.phase = phase::SKIP;
        let closes = byte == b' ' || byte == b'\r' || byte == b'\n';
        if self.open_reply != 0 {
            if !closes || code != self.open_reply {
                return;
            }
            self.open_reply = 0;
        } else if byte == b'-' {
            self.open_reply = code;
            return;
        } else if !closes {
            return;
        }
        self.code = code;
        self.digits = 0;
        (self.kind, self.phase) = match code {
            227 => (Kind::REPLY_227.0, phase::TEXT_227),
            229 => (Kind::REPLY_229.0, phase::TEXT_229),
            228 => (Kind::LONG.0, phase::SKIP),
            _ => (Kind::REPLY.0, phase::SKIP),
        };
        if byte == b'\r' {
            // Nothing but the LF may follow.
            self.phase = phase::SKIP;
        }
    }

    /// The first six numbers joined by commas, wherever they are (RFC 1123
    /// section 4.1.2.6). A run of digits and commas is taken whole, so that a
    /// number in the text before it does no harm.
    #[inline(always)]
    fn reply_227(&mut self, byte: u8) -> u32 {
        let in_run = self.phase == phase::RUN_227;
        if byte.is_ascii_digit() {
            if !in_run {
                self.start_span(self.column);
                self.spoiled = 0;
                self.phase = phase::RUN_227;
            }
            if !self.add_digit(byte, 3, 255) {
                self.spoiled = 1;
            }
            return NOTHING;
        }
        if !in_run {
            return NOTHING;
        }
        if byte == b',' {
            if self.digits == 0 || self.field >= 5 {
                self.spoiled = 1;
            }
            self.file_number();
            return NOTHING;
        }
        if self.spoiled == 0 && self.field == 5 && self.digits > 0 {
            self.file_number();
            self.port = (self.numbers[4] << 8) | self.numbers[5];
            self.span_end = self.column;
            self.problem = 0;
            self.phase = phase::SKIP;
            return ANNOUNCEMENT;
        }
        // `227 Logout.` is no announcement and no fault; `1,2,3` is one.
        if self.field > 0 {
            self.problem = Problem::Syntax as u8;
        }
        self.phase = phase::TEXT_227;
        NOTHING
    }

    /// Three equal delimiters behind the parenthesis: family and address are
    /// empty (RFC 2428 section 3).
    #[inline(always)]
    fn reply_229_open(&mut self, byte: u8) {
        if self.field == 0 && byte.is_ascii_graphic() && !byte.is_ascii_digit() {
            self.delimiter = byte;
            self.field = 1;
        } else if self.field > 0 && byte == self.delimiter {
            self.field += 1;
            if self.field == 3 {
                self.start_span(self.column.saturating_add(1));
                self.phase = phase::PORT_229;
            }
        } else {
            self.problem = Problem::Syntax as u8;
            self.phase = phase::TEXT_229;
        }
    }

    #[inline(always)]
    fn reply_229_port(&mut self, byte: u8) -> u32 {
        if byte.is_ascii_digit() {
            if !self.add_digit(byte, 5, 65535) {
                self.problem = Problem::Port as u8;
                self.phase = phase::TEXT_229;
            }
            return NOTHING;
        }
        if byte == self.delimiter && self.digits > 0 {
            self.port = (self.value & 0xffff) as u16;
            self.span_end = self.column;
            self.problem = 0;
            self.phase = phase::SKIP;
            return ANNOUNCEMENT;
        }
        self.problem = Problem::Syntax as u8;
        self.phase = phase::TEXT_229;
        NOTHING
    }
}
