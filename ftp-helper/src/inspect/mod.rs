//! What there is to see in the maps, in the words of an operator.
//!
//! * [`session`], [`expectation`]: control connections, and the data connections
//!   that are awaited.
//! * [`conntrack`]: expectations in the form of `conntrack -L expect`.
//! * [`mapping`]: which address stands for which.
//! * [`attachment`]: where the programs run.
//! * [`discovery`]: what the agent knows of Services of Kubernetes.
//! * [`status`]: everything at a glance.
//! * [`filter`] and [`mode`]: what is asked for.
//!
//! Apart from Services everything is read from the pinned maps, so it is there with and without an
//! agent, and for whoever may read the pins.

pub mod attachment;
pub mod conntrack;
pub mod discovery;
pub mod expectation;
pub mod filter;
pub mod mapping;
pub mod mode;
pub mod session;
pub mod status;
