//! Metrics for Prometheus, and whether the agent is alive and ready, over HTTP.
//!
//! * [`listen`]: where they are served.
//! * [`observer`]: what the agent's loop tells about its work.
//! * [`latency`]: how long announced data connections take to come.
//! * [`source`] and [`snapshot`]: what is read from the maps for a scrape.
//! * [`attachments`]: whether the programs are attached, looked at in the kernel.
//! * [`text`]: what a scrape gets.
//! * [`http`] and [`service`]: the server, and its answers.
//!
//! The server lives in the agent's event loop. Whatever takes time (walking maps,
//! asking the kernel) is done on a thread of its own with maps that are opened
//! once more, so no request holds up the loop.
//!
//! No metric has an address as a label: that would be one series per host, and it
//! is nobody's business who transfers with whom.

pub mod attachments;
pub mod http;
pub mod latency;
pub mod listen;
pub mod observer;
mod service;
pub mod snapshot;
pub mod source;
pub mod text;

pub use self::{
    http::Listener,
    listen::Listen,
    observer::{Cleanup, Observer},
};
