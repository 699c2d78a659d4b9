//! An awaited data connection.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::{Address, Endpoint},
    session::SessionKey,
};

/// Where an awaited SYN comes from and goes to, before every translation.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct ExpectationKey {
    /// Source address of the SYN; its port is not known beforehand. `::` stands
    /// for the peer and for every third party that is allowed (FXP).
    pub source: Address,
    /// Destination of the SYN.
    pub destination: Endpoint,
}

/// What to do with the awaited connection.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct Expectation {
    /// The control connection that announced it.
    pub master: SessionKey,
    /// Where the connection has to end: the endpoint as its owner announced it.
    pub target: Endpoint,
    /// Source address that the target shall see, where the control connection is
    /// translated in the same way; `::` means "leave it".
    pub new_source: Address,
    /// One of [`Announcement`](crate::grammar::Kind), as a number.
    pub kind: u8,
    /// 1 while the server's approval is awaited (strict mode), else 0.
    pub unapproved: u8,
    /// 1 when the inside host opens the connection, through an inside interface; 0
    /// when it comes from the outside.
    pub outgoing: u8,
    /// Always zero.
    pub reserved: u8,
    /// Interface index of the outside interface, host byte order.
    pub ifindex: u32,
    /// Always zero.
    pub reserved_too: u32,
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub created: u64,
    /// `CLOCK_BOOTTIME`, nanoseconds; not valid from here on.
    pub expires: u64,
}

const _: () = assert!(size_of::<ExpectationKey>() == 36);
const _: () = assert!(size_of::<Expectation>() == 104);

impl Expectation {
    /// The inside host's end of the awaited connection; its port is 0 as long as
    /// it is not known.
    #[inline(always)]
    pub fn inside(&self, key: &ExpectationKey) -> Endpoint {
        if self.outgoing == 1 {
            Endpoint::new(key.source, 0)
        } else {
            self.target
        }
    }
}
