//! The networks that sessions are made in.

use crate::{
    server::ServerKind,
    setup::{Family, Impairment, Inside, Setup, Translation},
};

use super::traffic::kind::Kind;

/// A network with an agent of its own, and its part of the sessions.
#[derive(Clone, Copy, Debug)]
pub struct Wing {
    /// Its name, in reports.
    pub name: &'static str,
    /// Who is behind the gateway.
    pub inside: Inside,
    /// Which IP version is spoken.
    pub family: Family,
    /// Whether both wires lose, repeat, delay and cut.
    pub is_impaired: bool,
    /// A real server, to which every fifth session goes.
    pub real: Option<ServerKind>,
    /// Its part of all sessions, in hundredths.
    pub share: u64,
}

/// All of them; their shares are a hundred.
pub const WINGS: [Wing; 6] = [
    Wing {
        name: "client inside, IPv4",
        inside: Inside::Client,
        family: Family::V4,
        is_impaired: false,
        real: Some(ServerKind::Vsftpd),
        share: 30,
    },
    Wing {
        name: "server inside, IPv4",
        inside: Inside::Server,
        family: Family::V4,
        is_impaired: false,
        real: Some(ServerKind::Pyftpdlib),
        share: 20,
    },
    Wing {
        name: "client inside, IPv6",
        inside: Inside::Client,
        family: Family::V6,
        is_impaired: false,
        real: Some(ServerKind::Pyftpdlib),
        share: 20,
    },
    Wing {
        name: "server inside, IPv6",
        inside: Inside::Server,
        family: Family::V6,
        is_impaired: false,
        real: Some(ServerKind::Vsftpd),
        share: 20,
    },
    Wing {
        name: "client inside, IPv4, impaired",
        inside: Inside::Client,
        family: Family::V4,
        is_impaired: true,
        real: None,
        share: 5,
    },
    Wing {
        name: "server inside, IPv6, impaired",
        inside: Inside::Server,
        family: Family::V6,
        is_impaired: true,
        real: None,
        share: 5,
    },
];

impl Wing {
    /// Its network.
    pub fn setup(&self, seed: u64) -> Setup {
        let wire = |number| {
            self.is_impaired.then_some(Impairment {
                seed: seed.wrapping_add(number),
                loss: 10,
                duplication: 10,
                reordering: 30,
                distance: 2,
                pieces: Some(9),
            })
        };
        Setup {
            inside_wire: wire(0),
            outside_wire: wire(100),
            ..Setup::new(self.inside, self.family, Translation::Nat)
        }
    }

    /// What sessions do.
    pub fn kinds(&self) -> &'static [Kind] {
        match self.family {
            Family::V4 => &[Kind::Port, Kind::Eprt, Kind::Pasv, Kind::Epsv, Kind::Tls],
            Family::V6 => &[Kind::Eprt, Kind::Epsv, Kind::Tls],
        }
    }

    /// What they do with a real server.
    pub fn real_kinds(&self) -> &'static [Kind] {
        match self.family {
            Family::V4 => &[Kind::Port, Kind::Eprt, Kind::Pasv, Kind::Epsv],
            Family::V6 => &[Kind::Eprt, Kind::Epsv],
        }
    }

    /// Whether a transfer of this kind takes the helper: the inside host announces, and
    /// what it says can be read.
    pub fn is_helped(&self, kind: &str) -> bool {
        let active = [Kind::Port, Kind::Eprt].map(Kind::word).contains(&kind);
        let passive = [Kind::Pasv, Kind::Epsv].map(Kind::word).contains(&kind);
        match self.inside {
            Inside::Client => active,
            Inside::Server => passive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_everything() {
        assert_eq!(WINGS.iter().map(|wing| wing.share).sum::<u64>(), 100);
    }

    #[test]
    fn help_is_for_what_the_inside_host_announces() {
        let [client, server, ..] = WINGS;
        assert!(client.is_helped("port") && client.is_helped("eprt"));
        assert!(!client.is_helped("pasv") && !client.is_helped("tls"));
        assert!(server.is_helped("pasv") && server.is_helped("epsv"));
        assert!(!server.is_helped("port") && !server.is_helped("tls"));
    }
}
