//! `ftp-helper explain`: what happened on a control connection, and why a data
//! connection did not come.
//!
//! * [`target`]: which control connection is meant.
//! * [`line`] and [`verb`]: the last lines of it, and what was decided.
//! * [`data`]: what became of the last data connection that was announced.
//! * [`cause`]: why it did not come, by rules; [`advice`]: what to do about each
//!   refusal.
//! * [`absence`]: why a connection is not known at all.
//! * [`report`]: all of it together.
//!
//! Everything is read from the pinned maps, so it works without an agent. The
//! maps hold no arguments of commands but those of announcements, and verbs are
//! only shown when they are ones of FTP: no password can be shown.

pub mod absence;
pub mod advice;
pub mod cause;
pub mod data;
pub mod line;
pub mod report;
pub mod target;
mod verb;
