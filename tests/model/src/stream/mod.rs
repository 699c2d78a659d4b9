//! Both ends of a control connection on a bad network, with the programs between
//! them.
//!
//! The inside host sends a stream of lines, cut anywhere. Segments are lost, come
//! twice or in another order, on both sides of the gateway; the peer
//! acknowledges what it has, and its acknowledgments get lost too. Everything
//! that is random comes from a seed.
//!
//! * [`script`]: what is said, and what has to arrive.
//! * [`receiver`]: the peer.
//! * [`network`]: the inside host and the network, and the rules that have to hold
//!   at every step.
//! * [`random`]: where all numbers come from.

pub mod network;
pub mod random;
pub mod receiver;
pub mod script;
