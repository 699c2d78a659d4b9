//! `ftp-helper top`: what happens right now, on the whole screen.
//!
//! * [`sample`]: what the maps say at one moment.
//! * [`state`]: the last samples, and what the user chose.
//! * [`render`]: the screen.
//! * [`terminal`]: the terminal, left as it was found.
//!
//! It reads the pinned maps once a second and needs no agent.

pub mod render;
pub mod sample;
pub mod state;
pub mod terminal;
