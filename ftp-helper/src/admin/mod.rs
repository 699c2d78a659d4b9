//! The agent's own socket: what `ftp-helper watch` listens to, and how
//! `ftp-helper reload` gets its answer.
//!
//! * [`place`]: where the socket is; it follows from the pin directory.
//! * [`protocol`]: a request is one line of JSON, and so is each message.
//! * [`word`] and [`notice`]: what is told of an event.
//! * [`hub`]: from the agent's loop to everybody who listens.
//! * [`listener`] and [`server`]: the agent's side.
//! * [`client`]: the other side.
//!
//! Nobody who listens can hold up the agent or make it grow: each message is made
//! once and kept in a ring of a fixed size, and whoever reads too slowly is told
//! how many messages it has missed.

pub mod client;
pub mod hub;
pub mod listener;
pub mod notice;
pub mod place;
pub mod protocol;
mod server;
pub mod word;

pub use self::{hub::Hub, listener::Listener, place::RunDirectory, server::Server};
