//! The four ways in which FTP announces a data connection.

use clap::ValueEnum;
use ftp_helper_common::grammar::Kind;
use serde::Serialize;

/// A way to announce a data connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "UPPERCASE")]
#[value(rename_all = "verbatim")]
pub enum Mode {
    /// The client listens, and said so with PORT
    #[value(name = "PORT")]
    Port,
    /// The client listens, and said so with EPRT
    #[value(name = "EPRT")]
    Eprt,
    /// The server listens, and said so with a 227
    #[value(name = "PASV")]
    Pasv,
    /// The server listens, and said so with a 229
    #[value(name = "EPSV")]
    Epsv,
}

impl Mode {
    /// What an announcement of this kind stands for.
    pub const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::PORT => Some(Self::Port),
            Kind::EPRT => Some(Self::Eprt),
            Kind::REPLY_227 => Some(Self::Pasv),
            Kind::REPLY_229 => Some(Self::Epsv),
            _ => None,
        }
    }

    /// The kind that the maps keep for it.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Port => Kind::PORT,
            Self::Eprt => Kind::EPRT,
            Self::Pasv => Kind::REPLY_227,
            Self::Epsv => Kind::REPLY_229,
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Port => "PORT",
            Self::Eprt => "EPRT",
            Self::Pasv => "PASV",
            Self::Epsv => "EPSV",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_kinds_belong_together() {
        for mode in Mode::value_variants() {
            assert_eq!(Mode::of(mode.kind()), Some(*mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.word());
            assert_eq!(Mode::from_str(mode.word(), false), Ok(*mode));
        }
        assert_eq!(Mode::of(Kind::REPLY), None);
        assert_eq!(Mode::of(Kind::PASV), None);
    }
}
