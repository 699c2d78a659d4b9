//! Lines of a server.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ftp_helper_model::targets::reply(data));
