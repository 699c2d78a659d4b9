//! A private network with real FTP clients and servers, to try ftp-helper on.
//!
//! A [`Lab`](lab::Lab) is three hosts in network namespaces of their own:
//!
//! ```text
//! client 10.0.0.2 --- lan0 [gateway] wan0 203.0.113.1 --- server 203.0.113.2
//!                          masquerade on wan0,
//!                          forward policy drop
//! ```
//!
//! or with the server inside and the client outside, with IPv6, without
//! translation, or with impaired wires: see [`setup`].
//!
//! Nothing of it can be reached from the machine, no packet leaves it, and it
//! vanishes with the process that made it, however that ends: every process of
//! a lab lives in the lab's own PID namespace, whose first process the kernel
//! kills together with its maker, and files, pins and devices live in mount and
//! network namespaces that have no other user.
//!
//! * [`scenario`]: how a test runs in a lab.
//! * [`setup`], [`lab`], [`host`]: the network and what runs in it.
//! * [`server`], [`client`], [`control`]: who speaks FTP.
//! * [`relay`]: a wire that loses and delays.
//! * [`counters`]: what the hosts' TCP had to repeat.
//! * [`duet`]: both ends of a control connection by hand.
//! * [`cases`]: what is tried that way, with ftp-helper and with the kernel's helper.
//! * [`comparison`]: the two of them side by side.
//! * [`agent`]: ftp-helper itself.
//! * [`announcement`], [`payload`], [`transfers`], [`check`]: what a transfer is judged by.

pub mod agent;
pub mod announcement;
pub mod cases;
pub mod check;
pub mod client;
pub mod comparison;
pub mod control;
pub mod counters;
pub mod duet;
mod firewall;
pub mod host;
pub mod lab;
mod namespace;
pub mod packets;
pub mod payload;
pub mod process;
mod python;
pub mod relay;
pub mod scenario;
pub mod server;
pub mod setup;
pub mod transfers;
pub mod wait;
