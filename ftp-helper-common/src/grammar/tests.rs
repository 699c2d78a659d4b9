//! The grammar against RFC 959, RFC 2428 and what is seen in the wild: tables of
//! lines by what they are, then properties over lines that nobody thought of.

mod eprt;
mod eprt_v6;
mod format;
mod harness;
mod lines;
mod multi_line;
mod pending;
mod port;
mod properties;
mod reply_227;
mod reply_229;
mod verbs;
