//! Commands: what a client says.

use super::{
    ANNOUNCEMENT, Kind, LINE, LineParser, NOTHING,
    parser::{Problem, is_binary, is_blank, phase},
};

/// Up to four letters as one number, as [`LineParser::verb`] holds them.
const fn verb(letters: &[u8]) -> u32 {
    let mut value = 0;
    let mut index = 0;
    while index < letters.len() {
        value = (value << 8) | letters[index] as u32;
        index += 1;
    }
    value
}

const PORT: u32 = verb(b"PORT");
const EPRT: u32 = verb(b"EPRT");
const PASV: u32 = verb(b"PASV");
const EPSV: u32 = verb(b"EPSV");
const LPRT: u32 = verb(b"LPRT");
const LPSV: u32 = verb(b"LPSV");
const AUTH: u32 = verb(b"AUTH");
const CCC: u32 = verb(b"CCC");
const REIN: u32 = verb(b"REIN");
const HOST: u32 = verb(b"HOST");
const USER: u32 = verb(b"USER");
const FEAT: u32 = verb(b"FEAT");
const SYST: u32 = verb(b"SYST");
const OPTS: u32 = verb(b"OPTS");
const CLNT: u32 = verb(b"CLNT");
const GET: u32 = verb(b"GET");
const HEAD: u32 = verb(b"HEAD");
const POST: u32 = verb(b"POST");
const PUT: u32 = verb(b"PUT");

/// Telnet (RFC 854): commands WILL to DONT carry one more byte.
const WILL: u8 = 251;
const DONT: u8 = 254;
const IAC: u8 = 255;

impl LineParser {
    #[inline(always)]
    pub(super) fn push_command(&mut self, byte: u8) -> u32 {
        match self.phase {
            phase::START => self.command_start(byte),
            // RFC 959 sends ABOR behind IAC IP and IAC DM; they are not part of
            // the line.
            phase::IAC => {
                self.phase = match byte {
                    WILL..=DONT => phase::IAC_OPTION,
                    IAC => phase::SKIP,
                    _ => phase::START,
                };
            }
            phase::IAC_OPTION => self.phase = phase::START,
            phase::VERB => self.command_verb(byte),
            phase::PORT => self.command_port(byte),
            phase::TAIL if !is_blank(byte) && byte != b'\r' && byte != b'\n' => {
                self.give_up(Problem::Syntax);
            }
            phase::EPRT => self.command_eprt(byte),
            phase::EPRT_FAMILY => self.command_eprt_family(byte),
            phase::EPRT_V4 => self.command_eprt_v4(byte),
            phase::EPRT_V6 => self.command_eprt_v6(byte),
            phase::EPRT_PORT => self.command_eprt_port(byte),
            phase::EPSV => self.command_epsv(byte),
            phase::UNKNOWN if is_binary(byte) => self.kind = Kind::HTTP.0,
            _ => {}
        }
        // RFC 959 ends a line with CRLF, clients in the wild with LF alone. A CR
        // that no LF follows is part of the text (RFC 2640 section 3.1).
        if byte != b'\n' {
            return NOTHING;
        }
        if self.phase == phase::UNKNOWN && self.kind == Kind::OTHER.0 {
            self.kind = Kind::PART.0;
        }
        let announces = self.kind == Kind::PORT.0 || self.kind == Kind::EPRT.0;
        if !announces {
            return LINE;
        }
        if self.phase == phase::TAIL {
            return LINE | ANNOUNCEMENT;
        }
        if self.problem == 0 {
            self.problem = Problem::Syntax as u8;
        }
        LINE
    }

    #[inline(always)]
    fn command_start(&mut self, byte: u8) {
        if byte == IAC {
            self.phase = phase::IAC;
        } else if byte.is_ascii_alphabetic() {
            self.verb = u32::from(byte.to_ascii_uppercase());
            self.digits = 1;
            self.phase = phase::VERB;
        } else if !is_blank(byte) {
            if is_binary(byte) {
                self.kind = Kind::HTTP.0;
            }
            self.phase = phase::SKIP;
        }
    }

    #[inline(always)]
    fn command_verb(&mut self, byte: u8) {
        if byte.is_ascii_alphabetic() {
            self.verb = (self.verb << 8) | u32::from(byte.to_ascii_uppercase());
            self.digits += 1;
            if self.digits > 4 {
                self.phase = phase::SKIP;
            }
            return;
        }
        if !is_blank(byte) && byte != b'\r' && byte != b'\n' {
            // A field that every request of HTTP has, whatever its method is called.
            if byte == b':' && self.verb == HOST {
                self.kind = Kind::HTTP.0;
            }
            self.phase = phase::SKIP;
            return;
        }
        self.digits = 0;
        (self.kind, self.phase) = match self.verb {
            PORT => (Kind::PORT.0, phase::PORT),
            EPRT => (Kind::EPRT.0, phase::EPRT),
            PASV => (Kind::PASV.0, phase::SKIP),
            EPSV => (Kind::EPSV.0, phase::EPSV),
            LPRT | LPSV => (Kind::LONG.0, phase::SKIP),
            AUTH => (Kind::AUTH.0, phase::SKIP),
            CCC => (Kind::CCC.0, phase::SKIP),
            USER | FEAT | SYST | OPTS | CLNT => (Kind::LOGIN.0, phase::SKIP),
            REIN | HOST => (Kind::RESTART.0, phase::SKIP),
            GET | HEAD | POST | PUT => (Kind::HTTP.0, phase::SKIP),
            _ => (Kind::OTHER.0, phase::SKIP),
        };
        if byte == b'\r' {
            // Nothing but the LF may follow.
            self.phase = phase::SKIP;
        }
    }

    /// `h1,h2,h3,h4,p1,p2`: six numbers of at most three digits and 255.
    #[inline(always)]
    fn command_port(&mut self, byte: u8) {
        let before_first = self.field == 0 && self.digits == 0;
        if byte.is_ascii_digit() {
            if before_first {
                self.start_span(self.column);
            }
            if !self.add_digit(byte, 3, 255) {
                self.give_up(Problem::Syntax);
            }
        } else if byte == b',' && self.digits > 0 && self.field < 5 {
            self.file_number();
        } else if is_blank(byte) || byte == b'\r' || byte == b'\n' {
            if self.field == 5 && self.digits > 0 {
                self.file_number();
                self.port = (self.numbers[4] << 8) | self.numbers[5];
                self.span_end = self.column;
                self.phase = phase::TAIL;
            } else if !before_first || byte == b'\r' {
                self.give_up(Problem::Syntax);
            }
        } else {
            self.give_up(Problem::Syntax);
        }
    }

    /// The delimiter: any of the characters 33 to 126 (RFC 2428 section 2). A
    /// digit would make the line ambiguous and is refused.
    #[inline(always)]
    fn command_eprt(&mut self, byte: u8) {
        if byte.is_ascii_graphic() && !byte.is_ascii_digit() {
            self.delimiter = byte;
            self.family = 0;
            self.phase = phase::EPRT_FAMILY;
        } else if !is_blank(byte) {
            self.give_up(Problem::Syntax);
        }
    }

    #[inline(always)]
    fn command_eprt_family(&mut self, byte: u8) {
        if byte == self.delimiter && self.family != 0 {
            // The rewrite's address may have the letter where this one has not.
            if self.family == 2 && self.delimiter.is_ascii_hexdigit() {
                self.give_up(Problem::Syntax);
                return;
            }
            // The byte behind this delimiter is the first of the address.
            self.start_span(self.column.saturating_add(1));
            self.gap = 0;
            self.phase = if self.family == 1 {
                phase::EPRT_V4
            } else {
                phase::EPRT_V6
            };
        } else if self.family == 0 && (byte == b'1' || byte == b'2') {
            self.family = byte - b'0';
        } else {
            // The server answers an unknown family with 522 (RFC 2428).
            self.give_up(if byte.is_ascii_digit() {
                Problem::Family
            } else {
                Problem::Syntax
            });
        }
    }

    #[inline(always)]
    fn command_eprt_v4(&mut self, byte: u8) {
        if byte == self.delimiter {
            if self.field == 3 && self.digits > 0 {
                self.file_number();
                self.phase = phase::EPRT_PORT;
            } else {
                self.give_up(Problem::Syntax);
            }
        } else if byte.is_ascii_digit() {
            if !self.add_digit(byte, 3, 255) {
                self.give_up(Problem::Syntax);
            }
        } else if byte == b'.' && self.digits > 0 && self.field < 3 {
            self.file_number();
        } else {
            self.give_up(Problem::Syntax);
        }
    }

    /// RFC 4291 text form, without the dotted quad: IPv4 has a family of its own.
    #[inline(always)]
    fn command_eprt_v6(&mut self, byte: u8) {
        let at_start = self.column == self.span_start;
        let after_colon = self.previous == b':' && !at_start;
        if byte == self.delimiter {
            let dangling = after_colon && self.gap != self.field + 1;
            if self.digits > 0 && self.field < 8 {
                self.file_number();
            }
            let whole = if self.gap == 0 {
                self.field == 8
            } else {
                self.field < 8
            };
            if dangling || !whole {
                self.give_up(Problem::Syntax);
                return;
            }
            if self.gap != 0 {
                self.expand_gap();
            }
            if self.is_mapped() {
                self.give_up(Problem::Family);
                return;
            }
            self.value = 0;
            self.digits = 0;
            self.phase = phase::EPRT_PORT;
        } else if byte == b':' {
            if self.digits > 0 && self.field < 8 {
                self.file_number();
            } else if after_colon && self.gap == 0 {
                self.gap = self.field + 1;
            } else if !at_start {
                self.give_up(Problem::Syntax);
            }
        } else if byte.is_ascii_hexdigit() && self.digits < 4 && self.field < 8 {
            // A single colon may not open the address.
            if after_colon && self.field == 0 && self.gap == 0 {
                self.give_up(Problem::Syntax);
                return;
            }
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                _ => byte.to_ascii_lowercase() - b'a' + 10,
            };
            self.value = (self.value << 4) | u32::from(digit);
            self.digits += 1;
        } else {
            self.give_up(Problem::Syntax);
        }
    }

    /// Moves the groups behind the `::` to the end and fills the gap with zeros.
    #[inline(always)]
    fn expand_gap(&mut self) {
        let before = usize::from(self.gap) - 1;
        let missing = 8 - usize::from(self.field & 7);
        // From the end, so that no group is overwritten before it is moved.
        for index in (0..8).rev() {
            if index >= before + missing {
                // The kernel's verifier does not follow the arithmetic; the mask
                // must be there for it to see.
                let from = core::hint::black_box(index - missing) & 7;
                self.numbers[index] = self.numbers[from];
            } else if index >= before {
                self.numbers[index] = 0;
            }
        }
    }

    /// IPv4 in IPv6 clothes: it has a family of its own, and would be written
    /// back in that one's form.
    #[inline(always)]
    fn is_mapped(&self) -> bool {
        let [first, second, third, fourth, fifth, mark, ..] = self.numbers;
        first | second | third | fourth | fifth == 0 && mark == 0xffff
    }

    #[inline(always)]
    fn command_eprt_port(&mut self, byte: u8) {
        if byte == self.delimiter && self.digits > 0 {
            self.port = (self.value & 0xffff) as u16;
            self.span_end = self.column;
            self.phase = phase::TAIL;
        } else if byte.is_ascii_digit() {
            if !self.add_digit(byte, 5, 65535) {
                self.give_up(Problem::Port);
            }
        } else {
            self.give_up(Problem::Syntax);
        }
    }

    /// `EPSV`, `EPSV 1`, `EPSV 2` or `EPSV ALL`; the server judges anything else.
    #[inline(always)]
    fn command_epsv(&mut self, byte: u8) {
        let expected = match self.digits {
            0 => b'A',
            1 | 2 => b'L',
            _ => 0,
        };
        if expected != 0 && byte.to_ascii_uppercase() == expected {
            self.digits += 1;
        } else if is_blank(byte) && self.digits == 0 {
            // Blanks before the argument.
        } else {
            if self.digits == 3 && (is_blank(byte) || byte == b'\r' || byte == b'\n') {
                self.kind = Kind::EPSV_ALL.0;
            }
            self.phase = phase::SKIP;
        }
    }
}
