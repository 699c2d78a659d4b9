//! The grammar in the kernel against the same grammar on the host.
//!
//! The parser is compiled twice: for the host, where its own tests run, and for
//! BPF, where the compiler, the linker and the verifier's wishes stand between
//! the source and what runs. What is tried here is that both are the same: every
//! line is read by the host's build, and sent through the loaded programs.
//!
//! * [`case`]: what is said, by whom, in which segments.
//! * [`answer`]: what became of it, as far as the programs show it.
//! * [`kernel`]: the answer of the programs.
//! * [`host`]: the answer that follows from what the host's build reads.
//! * [`corpus`]: lines as real servers and clients send them.
//! * [`generate`]: lines that are right, nearly right, and wrong.
//! * [`run`]: many cases, the smallest one that fails.
//!
//! What a parsed announcement leads to is the business of other tests; here it is
//! said only as far as it takes to see what the parser said.

pub mod answer;
pub mod case;
pub mod corpus;
pub mod generate;
pub mod host;
pub mod kernel;
pub mod run;
