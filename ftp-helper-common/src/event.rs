//! What the programs report, one entry per thing that happened to a control
//! line or an expectation; never per data packet.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::{Address, Endpoint},
    session::SessionKey,
};

/// An entry of the event ring.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq,
)]
pub struct Event {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// The control connection.
    pub session: SessionKey,
    /// What was announced, or where the data connection leads.
    pub inside: Endpoint,
    /// What it became, or where the data connection was awaited.
    pub outside: Endpoint,
    /// Source of the awaited data connection: with `outside` it is the
    /// [`ExpectationKey`](crate::expectation::ExpectationKey). `::` also for
    /// everything that is not about an expectation.
    pub source: Address,
    /// Number of the [`Reason`](crate::reason::Reason).
    pub reason: u8,
    /// Number of the [`Kind`](crate::grammar::Kind).
    pub kind: u8,
    /// Always zero.
    pub reserved: [u8; 2],
    /// Interface index, host byte order.
    pub ifindex: u32,
}

const _: () = assert!(size_of::<Event>() == 112);
