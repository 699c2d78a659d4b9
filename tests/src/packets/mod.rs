//! The programs on single packets, without a wire.
//!
//! A test builds a packet, has the kernel run a program on it, and compares the
//! whole of what comes out, checksums included, with a packet built the same way.
//!
//! * [`bench`]: a private network namespace with the programs loaded, and what a
//!   packet is expected to become.
//! * [`flow`]: the control connection that the packets belong to.
//! * [`segment`]: a TCP segment, in the words that tests need.
//! * [`decode`]: packets in a form that people can compare.
//! * [`stream`]: both ends of a control connection on a bad network.

pub mod bench;
pub mod decode;
pub mod flow;
mod pool;
pub mod segment;
pub mod stream;
