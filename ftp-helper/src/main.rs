//! ftp-helper
fn main() {}
