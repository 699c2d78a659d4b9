//! A host model of ftp-helper's programs, and what tries the two of them.
//!
//! * [`segment`], [`flow`]: a TCP segment, and the control connection it belongs to.
//! * [`stream`]: both ends of a control connection on a bad network, with rules that
//!   have to hold at every step, whatever stands between them.
//! * [`gateway`]: what stands between them, on the host.
//! * [`oracle`]: the grammar a second time, of whole lines, strictly after the RFCs.
//! * [`targets`]: what a fuzzer calls with bytes of its choice.
//!
//! Nothing of it is part of the product. The tests of the loaded programs use it, and so
//! do the fuzzers in `fuzz/`, which are built with other tools; that is why it is a
//! package of its own, without root and without BPF.

pub mod flow;
pub mod gateway;
pub mod oracle;
pub mod segment;
pub mod stream;
pub mod targets;
