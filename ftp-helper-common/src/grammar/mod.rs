//! The FTP grammar, as a push parser.
//!
//! [`LineParser`] takes one byte of a direction at a time and keeps all of its
//! state in plain numbers, so a line may be cut into segments anywhere: feeding
//! it whole or byte by byte is the same thing. It follows RFC 959 (commands,
//! replies, `PORT`, `227`), RFC 2428 (`EPRT`, `EPSV`, `229`), RFC 1123 section
//! 4.1.2 and what servers really send; each deviation is said where it is made.

mod command;
mod format;
mod parser;
mod reply;

pub use format::{Progress, TEXT, Text};
pub use parser::{ANNOUNCEMENT, Announcement, LINE, LineParser, NOTHING};

/// Who sends the lines of a direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The TCP initiator: sends commands.
    Client,
    /// The TCP responder: sends replies.
    Server,
}

/// What a line is, as far as a helper cares.
///
/// Constants and not an enum: the number lives in a map, where any bit pattern
/// has to be a valid value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kind(pub u8);

impl Kind {
    /// Any other command or reply.
    pub const OTHER: Self = Self(0);
    /// `PORT h1,h2,h3,h4,p1,p2` (RFC 959).
    pub const PORT: Self = Self(1);
    /// `EPRT |af|address|port|` (RFC 2428).
    pub const EPRT: Self = Self(2);
    /// `227 ... h1,h2,h3,h4,p1,p2` (RFC 959).
    pub const REPLY_227: Self = Self(3);
    /// `229 ... (|||port|)` (RFC 2428).
    pub const REPLY_229: Self = Self(4);
    /// `PASV`.
    pub const PASV: Self = Self(5);
    /// `EPSV`, with or without a family.
    pub const EPSV: Self = Self(6);
    /// `EPSV ALL`.
    pub const EPSV_ALL: Self = Self(7);
    /// `LPRT`, `LPSV` (RFC 1639).
    pub const LONG: Self = Self(8);
    /// `AUTH` (RFC 2228).
    pub const AUTH: Self = Self(9);
    /// `CCC` (RFC 4217).
    pub const CCC: Self = Self(10);
    /// `REIN` (RFC 959) or `HOST` (RFC 7151): the session starts over.
    pub const RESTART: Self = Self(11);
    /// A reply other than 227 and 229; see [`LineParser::code`].
    pub const REPLY: Self = Self(12);

    /// A command with which a client logs in or negotiates before that: `USER`,
    /// `FEAT`, `SYST`, `OPTS`, `CLNT`.
    pub const LOGIN: Self = Self(13);
    /// A line of another protocol, which somebody can make a browser send to any port:
    /// a method of HTTP (`GET`, `HEAD`, `POST`, and `PUT`), its header field `Host:`, or
    /// one that starts with a byte that no text has. No command of FTP is like that.
    pub const HTTP: Self = Self(14);
    /// The end of a command whose beginning was not seen.
    pub const PART: Self = Self(15);

    /// True for commands whose reply decides something.
    #[inline(always)]
    pub const fn is_question(self) -> bool {
        matches!(
            self,
            Self::PORT
                | Self::EPRT
                | Self::PASV
                | Self::EPSV
                | Self::EPSV_ALL
                | Self::AUTH
                | Self::RESTART
        )
    }

    /// The word used in tables, JSON and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PORT => "PORT",
            Self::EPRT => "EPRT",
            Self::REPLY_227 => "227",
            Self::REPLY_229 => "229",
            Self::PASV => "PASV",
            Self::EPSV => "EPSV",
            Self::EPSV_ALL => "EPSV ALL",
            Self::LONG => "LPRT",
            Self::AUTH => "AUTH",
            Self::CCC => "CCC",
            Self::RESTART => "REIN",
            Self::REPLY => "reply",
            Self::LOGIN => "login",
            Self::HTTP => "HTTP",
            _ => "other",
        }
    }
}

#[cfg(test)]
mod tests;
