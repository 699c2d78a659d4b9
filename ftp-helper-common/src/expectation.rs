//! An awaited data connection.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::{Address, Endpoint},
    session::SessionKey,
};

/// Where an awaited SYN comes from and goes to, as seen outside.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Hash, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct ExpectationKey {
    /// Source address of the SYN; its port is not known beforehand.
    pub peer: Address,
    /// Destination of the SYN: the announced outside endpoint.
    pub outside: Endpoint,
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
    pub inside: Endpoint,
    /// Source address that the inside host shall see, where the control
    /// connection is source-translated too; `::` means "leave it".
    pub seen_peer: Address,
    /// One of [`Announcement`](crate::grammar::Kind), as a number.
    pub kind: u8,
    /// 1 while the server's approval is awaited (strict mode), else 0.
    pub unapproved: u8,
    /// Always zero.
    pub reserved: [u8; 2],
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
