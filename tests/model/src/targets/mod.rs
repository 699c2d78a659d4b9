//! What a fuzzer calls with bytes of its choice. Each of these panics when something
//! does not hold, with the line or the history that shows it.
//!
//! * [`command`], [`reply`]: lines of a client, or of a server.
//! * [`stream`]: a whole conversation through the model of the gateway.
//! * [`reader`]: what the parser says of a stream, and what has to hold meanwhile.

pub mod conversation;
pub mod lines;
pub mod reader;

use ftp_helper_common::grammar::Role;

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const ALL: [Target; 3] = [("command", command), ("reply", reply), ("stream", stream)];

/// Bytes that a client sends.
pub fn command(data: &[u8]) {
    lines::check(Role::Client, data);
}

/// Bytes that a server sends.
pub fn reply(data: &[u8]) {
    lines::check(Role::Server, data);
}

/// A stream of an inside host, cut anywhere, on any network.
pub fn stream(data: &[u8]) {
    conversation::check(data);
}
