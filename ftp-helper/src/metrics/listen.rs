//! Where metrics are served.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use anyhow::{Result, bail};

/// Where metrics are served, if they are: `off`, a port of this host alone, or an
/// address and a port.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Listen(Option<SocketAddr>);

impl Listen {
    /// Nowhere.
    pub const OFF: Self = Self(None);

    /// The port that is meant when metrics are asked for without one. Prometheus'
    /// list of default ports has none left between 9100 and 9999, and this one is
    /// below the ports that Linux gives to outgoing connections.
    pub const PORT: u16 = 21021;

    /// The usual place.
    pub const USUAL: Self = Self::local(Self::PORT);

    /// The address to listen on.
    pub const fn address(self) -> Option<SocketAddr> {
        self.0
    }

    const fn local(port: u16) -> Self {
        Self(Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl FromStr for Listen {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let listen = if text == "off" {
            Self::OFF
        } else if let Ok(port) = text.parse::<u16>() {
            Self::local(port)
        } else if let Ok(address) = text.parse::<SocketAddr>() {
            Self(Some(address))
        } else {
            bail!(
                "it looks like {}, [::1]:{}, or off",
                Self::USUAL,
                Self::PORT
            );
        };
        if listen.0.is_some_and(|address| address.port() == 0) {
            bail!("nobody would find port 0");
        }
        Ok(listen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_on_this_host() {
        for (text, meant) in [
            ("21021", "127.0.0.1:21021"),
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("[::1]:9000", "[::1]:9000"),
            ("off", "off"),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), meant);
        }
        assert_eq!("off".parse::<Listen>().unwrap().address(), None);
        assert_eq!(Listen::USUAL.to_string(), "127.0.0.1:21021");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "0",
            "70000",
            "wan0:80",
            "::1",
            "127.0.0.1",
            "127.0.0.1:0",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
