//! What the kernel half and the user half of ftp-helper have in common.
//!
//! * [`grammar`]: the FTP grammar as a push parser, one byte at a time. The TC
//!   programs and the host tests run the very same code.
//! * [`stream`], [`stash`]: the bookkeeping of one direction of a control connection:
//!   how far it was read, and what came too early.
//! * [`rewrite`]: what became of the bytes that went out: held bytes, texts, and sequence
//!   translation.
//! * [`session`], [`journal`], [`expectation`], [`interface`], [`event`]: the types that live
//!   in BPF maps, each defined once.
//! * [`few_ports`]: what the gate compares the ports of a packet with.
//! * [`straight`]: what is written for the verifier.
//! * [`reason`]: one list of reasons that is counter, log word and CLI row.
//!
//! Everything that lives in a map is `repr(C)`, has its padding written out
//! (proven by zerocopy's `IntoBytes`) and a size that is asserted.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod address;
pub mod event;
pub mod expectation;
pub mod few_ports;
pub mod grammar;
pub mod interface;
pub mod journal;
pub mod reason;
pub mod rewrite;
pub mod session;
pub mod stash;
pub mod straight;
pub mod stream;

/// Version of the layout of every pinned map; it is part of the pin's name.
///
/// Raise it with every change of a type in this crate that lives in a map, and of what has
/// to be in one map for an entry of another to count.
pub const SCHEMA_VERSION: u32 = 6;

#[cfg(feature = "user")]
mod pod {
    //! Every map type may be copied to and from the kernel as bytes.
    use crate::{
        address::{Address, Endpoint},
        event::Event,
        expectation::{Expectation, ExpectationKey},
        interface::{ControlPort, Interface},
        session::{Handshake, Session, SessionKey},
        stash::Stash,
    };

    macro_rules! pod {
        ($($type:ty),*) => {
            $(
                // SAFETY: zerocopy's derives on the type prove that it has no
                // padding and that every bit pattern is a valid value.
                unsafe impl aya::Pod for $type {}
            )*
        };
    }

    pod!(
        Address,
        ControlPort,
        Endpoint,
        Event,
        Expectation,
        ExpectationKey,
        Handshake,
        Interface,
        Session,
        SessionKey,
        Stash
    );
}
