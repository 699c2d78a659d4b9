//! The programs on single packets, without a wire.
//!
//! A test builds a packet, has the kernel run a program on it, and compares the
//! whole of what comes out, checksums included, with a packet built the same way.
//!
//! * [`bench`]: a private network namespace with the programs loaded, and what a
//!   packet is expected to become.
//! * [`beginning`]: the handshake, and what conntrack knows of it.
//! * [`flow`]: the control connection that the packets belong to.
//! * [`segment`]: a TCP segment, in the words that tests need.
//! * [`decode`]: packets in a form that people can compare.
//! * [`stream`]: both ends of a control connection on a bad network.
//! * [`programs`]: the loaded programs in the middle of that network.

pub mod beginning;
pub mod bench;
pub mod decode;
mod pool;
pub mod programs;

pub use ftp_helper_model::{flow, segment, stream};
