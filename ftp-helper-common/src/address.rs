//! Addresses and endpoints, one type for IPv4 and IPv6.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An IP address in 16 bytes, network byte order. IPv4 is held in the
/// IPv4-mapped form `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2), so one map key
/// serves both families.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct Address {
    /// Four 32-bit words, each as it lies in the packet (network byte order).
    words: [u32; 4],
}

/// `::ffff:0:0/96` as the third word of an [`Address`].
const MAPPED: u32 = u32::from_be(0x0000_ffff);

impl Address {
    /// `::`, which stands for "no address".
    pub const UNSPECIFIED: Self = Self { words: [0; 4] };

    /// From the 32-bit address as it lies in an IPv4 header.
    #[inline(always)]
    pub const fn from_v4_be(word: u32) -> Self {
        Self {
            words: [0, 0, MAPPED, word],
        }
    }

    /// From the octets of an IPv4 address, most significant first.
    #[inline(always)]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        Self::from_v4_be(u32::from_ne_bytes(octets))
    }

    /// From the 16 bytes of an IPv6 address.
    #[inline(always)]
    pub fn from_v6(bytes: &[u8; 16]) -> Self {
        Self {
            words: zerocopy::transmute!(*bytes),
        }
    }

    /// From the four words of an IPv6 address as they lie in the header.
    #[inline(always)]
    pub const fn from_v6_be(words: [u32; 4]) -> Self {
        Self { words }
    }

    /// From the eight groups of an IPv6 address in host byte order.
    #[inline(always)]
    pub fn from_groups(groups: &[u16; 8]) -> Self {
        let word = |high: u16, low: u16| ((u32::from(high) << 16) | u32::from(low)).to_be();
        Self {
            words: [
                word(groups[0], groups[1]),
                word(groups[2], groups[3]),
                word(groups[4], groups[5]),
                word(groups[6], groups[7]),
            ],
        }
    }

    /// True for an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.words[0] == 0 && self.words[1] == 0 && self.words[2] == MAPPED
    }

    /// True for `::` and for `0.0.0.0`.
    #[inline(always)]
    pub const fn is_unspecified(&self) -> bool {
        self.words[0] == 0
            && self.words[1] == 0
            && (self.words[2] == 0 || self.words[2] == MAPPED)
            && self.words[3] == 0
    }

    /// The IPv4 address as it lies in a header; meaningless for IPv6.
    #[inline(always)]
    pub const fn v4_be(&self) -> u32 {
        self.words[3]
    }

    /// The octets of the IPv4 address; meaningless for IPv6.
    #[inline(always)]
    pub const fn v4_octets(&self) -> [u8; 4] {
        self.words[3].to_ne_bytes()
    }

    /// The four words as they lie in an IPv6 header.
    #[inline(always)]
    pub const fn words_be(&self) -> [u32; 4] {
        self.words
    }

    /// The 16 bytes as they lie in an IPv6 header.
    #[inline(always)]
    pub fn as_bytes(&self) -> &[u8; 16] {
        zerocopy::transmute_ref!(&self.words)
    }

    /// The 16-bit group `index` (0 to 7) of the address, in host byte order.
    #[inline(always)]
    pub const fn group(&self, index: usize) -> u16 {
        let word = u32::from_be(self.words[(index >> 1) & 3]);
        if index & 1 == 0 {
            (word >> 16) as u16
        } else {
            (word & 0xffff) as u16
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_v4() {
            Self::V4(Ipv4Addr::from(address.v4_octets()))
        } else {
            let mut groups = [0; 8];
            for (index, group) in groups.iter_mut().enumerate() {
                *group = address.group(index);
            }
            Self::V6(Ipv6Addr::from(groups))
        }
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::from_v4(v4.octets()),
            IpAddr::V6(v6) => Self::from_groups(&v6.segments()),
        }
    }
}

/// An address and a TCP port.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct Endpoint {
    /// The address.
    pub address: Address,
    /// TCP port, host byte order.
    pub port: u16,
    /// Always zero.
    pub reserved: u16,
}

impl Endpoint {
    /// Stands for an endpoint that is not known.
    pub const UNKNOWN: Self = Self::new(Address::UNSPECIFIED, 0);

    /// An endpoint from its parts; `port` in host byte order.
    #[inline(always)]
    pub const fn new(address: Address, port: u16) -> Self {
        Self {
            address,
            port,
            reserved: 0,
        }
    }
}

const _: () = assert!(size_of::<Address>() == 16);
const _: () = assert!(size_of::<Endpoint>() == 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_round_trips_through_the_mapped_form() {
        let ip: IpAddr = "203.0.113.9".parse().unwrap();
        let address = Address::from(ip);
        assert!(address.is_v4());
        assert_eq!(address.v4_octets(), [203, 0, 113, 9]);
        assert_eq!(IpAddr::from(address), ip);
    }

    #[test]
    fn ipv6_round_trips_and_is_not_ipv4() {
        let ip: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        let address = Address::from(ip);
        assert!(!address.is_v4());
        assert_eq!(address.group(1), 0xdb8);
        assert_eq!(address.group(7), 6);
        assert_eq!(IpAddr::from(address), ip);
    }

    #[test]
    fn unspecified_of_both_families() {
        assert!(Address::from_v4([0; 4]).is_unspecified());
        assert!(Address::UNSPECIFIED.is_unspecified());
        assert!(!Address::from_v4([0, 0, 0, 1]).is_unspecified());
    }
}
