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
//! * [`firewall`]: the gateway's rules, and what they have counted.
//! * [`docker`], [`node`]: the gateway as a Docker host, or as a node of Kubernetes.
//! * [`link`]: what the gateway's outside interface is.
//! * [`server`], [`client`], [`control`]: who speaks FTP.
//! * [`ongoing`]: a large transfer while something else happens.
//! * [`relay`]: a wire that loses and delays.
//! * [`counters`]: what the hosts' TCP had to repeat.
//! * [`conntrack`]: what the gateway's kernel knows of data connections.
//! * [`duet`], [`urgent`], [`raw`]: both ends of a control connection by hand.
//! * [`cases`]: what is tried that way, with ftp-helper and with the kernel's helper.
//! * [`comparison`]: the two of them side by side.
//! * [`attack`]: what must not get through.
//! * [`packets`]: the programs on single packets, without a lab.
//! * [`cost`]: what ftp-helper costs, next to others that could do its work.
//! * [`differential`]: the grammar in the kernel and on the host.
//! * [`fuzz`]: packets at random, through the programs and through a model of them.
//! * [`walk`], [`watch`]: what the gateway's connection tracking makes of it all.
//! * [`agent`]: ftp-helper itself; [`container`]: a system to install its package on.
//! * [`api_stub`]: the API server of Kubernetes, as far as the agent asks it.
//! * [`manifests`]: what is given to Kubernetes; [`pod`]: a container as it is made there.
//! * [`kernel`]: which kernel runs.
//! * [`announcement`], [`payload`], [`transfers`], [`check`]: what a transfer is judged by.

pub mod agent;
pub mod announcement;
pub mod api_stub;
pub mod attack;
mod bridged;
pub mod cases;
pub mod chaos;
pub mod check;
pub mod client;
pub mod comparison;
pub mod conntrack;
pub mod container;
pub mod control;
pub mod cost;
pub mod counters;
pub mod differential;
pub mod docker;
pub mod document;
pub mod duet;
pub mod firewall;
pub mod fuzz;
pub mod host;
pub mod kernel;
pub mod lab;
pub mod link;
pub mod listener;
pub mod manifests;
mod namespace;
pub mod node;
pub mod ongoing;
pub mod packets;
pub mod payload;
pub mod pod;
pub mod process;
mod python;
pub mod raw;
pub mod relay;
pub mod scenario;
pub mod server;
pub mod setup;
pub mod soak;
pub mod transcript;
pub mod transfers;
pub mod urgent;
pub mod wait;
pub mod walk;
pub mod watch;
