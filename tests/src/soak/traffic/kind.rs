//! What a session does.

use clap::ValueEnum;

/// How a session gets its data connections, and whether anybody may read how.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, ValueEnum)]
pub enum Kind {
    /// `PORT`; IPv4 only.
    Port,
    /// `EPRT`.
    Eprt,
    /// `PASV`; IPv4 only.
    Pasv,
    /// `EPSV`.
    Epsv,
    /// `AUTH TLS`, and everything behind it encrypted, with `EPSV` and a server that
    /// listens on ports that the firewall knows, as it has to where nobody can help.
    Tls,
}

impl Kind {
    /// The word for command lines and reports.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Port => "port",
            Self::Eprt => "eprt",
            Self::Pasv => "pasv",
            Self::Epsv => "epsv",
            Self::Tls => "tls",
        }
    }

    /// Whether the server opens data connections.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Port | Self::Eprt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_command_line() {
        for kind in Kind::value_variants() {
            assert_eq!(Kind::from_str(kind.word(), false), Ok(*kind));
        }
    }
}
