//! A fuzzer for the loaded programs.
//!
//! Whole packets go through `BPF_PROG_TEST_RUN`: the conversation of an honest sender on
//! a bad network, with packets changed, added, repeated and left out. Behind each packet
//! the programs and the [model](ftp_helper_model::gateway) have to agree, on what becomes
//! of the packet and on all that is remembered, and some things have to hold whatever
//! the model says.
//!
//! * [`case`]: packets in order, and what they start from; also as text, to be replayed.
//! * [`packet`]: what a packet is, and what should become of it.
//! * [`generate`]: cases from a seed.
//! * [`mutate`]: what is done to the packets of a conversation.
//! * [`judge`]: sends a case through programs and model.
//! * [`shrink`]: the smallest part of a case that still fails.
//! * [`run`]: case after case.

pub mod case;
pub mod generate;
pub mod judge;
pub mod mutate;
pub mod packet;
pub mod run;
pub mod shrink;
