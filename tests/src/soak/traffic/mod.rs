//! Sessions of all kinds, many and for a long time, and what became of each.
//!
//! Client and server run as processes of their own on the lab's hosts, because a lab's
//! thread can start no threads. What they send is the same for everybody, so each end
//! knows what has to arrive: a byte that is wrong, or missing, is a failure.
//!
//! * [`kind`]: what a session does. [`content`]: what is transferred.
//! * [`client`], [`drive`]: one session; many of them, at a rate.
//! * [`server`], [`tls`]: who answers. [`dialogue`]: lines of a control connection.
//! * [`task`]: the command lines of these processes.

pub mod client;
pub mod content;
mod dialogue;
pub mod drive;
pub mod kind;
pub mod server;
pub mod task;
mod tls;
