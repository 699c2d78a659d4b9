//! A conversation through the gateway.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ftp_helper_model::targets::stream(data));
