//! Networks, as the configuration names them.

use std::{net::IpAddr, str::FromStr};

use anyhow::{Context as _, Result, bail};
use ftp_helper_common::address::Address;

/// Bits in front of an IPv4 address in its mapped form.
const MAPPED: u32 = 96;

/// A network like `192.0.2.0/24` or `2001:db8::/32`; a bare address is one of a
/// single host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: Address,
    bits: u32,
}

impl Network {
    /// The first address, IPv4 in its mapped form.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Length of the prefix in bits; those in front of an IPv4 address count.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// True when the address is one of the network's, which is of one family.
    pub fn contains(&self, address: &Address) -> bool {
        let number = |address: &Address| u128::from_be_bytes(*address.as_bytes());
        let differing = number(&self.address) ^ number(address);
        let network_bits = !u128::MAX.checked_shr(self.bits).unwrap_or(0);
        self.address.is_v4() == address.is_v4() && differing & network_bits == 0
    }
}

impl FromStr for Network {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .with_context(|| format!("`{address}` is no IP address"))?;
        let (offset, most) = match address {
            IpAddr::V4(_) => (MAPPED, 32),
            IpAddr::V6(_) => (0, 128),
        };
        let length = match length {
            None => most,
            Some(length) => length
                .parse()
                .ok()
                .filter(|length| *length <= most)
                .with_context(|| format!("`/{length}` is no prefix length from 0 to {most}"))?,
        };
        let bits = offset + length;
        let number = u128::from_be_bytes(*Address::from(address).as_bytes());
        let host_bits = u128::MAX.checked_shr(bits).unwrap_or(0);
        if number & host_bits != 0 {
            bail!("`{text}` has bits behind its prefix: it names a host, not a network");
        }
        Ok(Self {
            address: address.into(),
            bits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Network> {
        text.parse()
    }

    #[test]
    fn networks_of_both_families() {
        assert_eq!(parse("192.0.2.0/24").unwrap().bits(), 120);
        assert_eq!(parse("192.0.2.7").unwrap().bits(), 128);
        assert_eq!(parse("0.0.0.0/0").unwrap().bits(), 96);
        assert_eq!(parse("2001:db8::/32").unwrap().bits(), 32);
        assert_eq!(parse("::/0").unwrap().bits(), 0);
    }

    #[test]
    fn what_is_in_a_network() {
        let is_in = |address: &str, network: &str| {
            let address: IpAddr = address.parse().unwrap();
            parse(network).unwrap().contains(&address.into())
        };
        assert!(is_in("192.0.2.255", "192.0.2.0/24"));
        assert!(!is_in("192.0.3.0", "192.0.2.0/24"));
        assert!(is_in("192.0.2.7", "192.0.2.7"));
        assert!(is_in("10.0.0.1", "0.0.0.0/0"));
        assert!(!is_in("2001:db8::1", "0.0.0.0/0"));
        assert!(!is_in("10.0.0.1", "::/0"));
        assert!(is_in("2001:db8::1", "2001:db8::/32"));
        assert!(!is_in("2001:db9::1", "2001:db8::/32"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("192.0.2.1/24", "names a host"),
            ("192.0.2.0/33", "from 0 to 32"),
            ("2001:db8::/x", "from 0 to 128"),
            ("example.net/8", "is no IP address"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
