//! Lines of a client.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ftp_helper_model::targets::command(data));
